"""What is installed: all that git keeps of the package, the page's style sheet and scripts too, and no more."""

import subprocess
import sys
import zipfile
from pathlib import Path

from scripts import ROOT


def test_the_wheel_holds_the_whole_package_byte_for_byte(tmp_path: Path) -> None:
    command = [
        *(sys.executable, "-m", "pip", "wheel", ".", "--wheel-dir", str(tmp_path), "--quiet"),
        # Nothing is fetched, and the native part, which takes a minute, is left out.
        *("--no-deps", "--no-index", "--no-build-isolation"),
        "--config-settings=wheel.cmake=false",
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "src/bptt"]
    names = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    paths = [ROOT / each for each in names.split("\0") if each]
    kept = {str(path.relative_to(ROOT / "src")): path for path in paths if path.is_file()}
    with zipfile.ZipFile(wheel) as archive:
        held = {each for each in archive.namelist() if each.startswith("bptt/")}
        assert held == set(kept)
        assert "bptt/report/page/assets/page.css" in held
        different = [each for each in held if archive.read(each) != kept[each].read_bytes()]
    assert different == []
