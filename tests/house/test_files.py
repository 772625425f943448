"""What may lie in the repository: no large file, no long one, no path of somebody's machine."""

import re
import subprocess
from pathlib import Path

import pytest

from scripts import ROOT

# Absolute paths under these folders belong to one machine. Spelt so that this file has none itself.
MACHINE = re.compile(
    r"(?<![\w.}~/-])/(?:" + "|".join(["home", "root", "tmp", "Users", "work"]) + ")/"
)
CODE = {".py", ".c", ".cc", ".cpp", ".h", ".hpp", ".cu", ".toml", ".cmake"}


def files() -> list[Path]:
    """Everything git keeps or would keep: tracked files and new ones that no ignore rule names."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    paths = [ROOT / name for name in listed.split("\0") if name]
    return [path for path in paths if path.is_file()]


def test_files_are_found() -> None:
    assert ROOT / "pyproject.toml" in files()
    assert Path(__file__) in files()


def test_no_file_is_over_one_mebibyte() -> None:
    assert [path for path in files() if path.stat().st_size > 1024 * 1024] == []


def test_no_code_file_is_over_500_lines() -> None:
    code = [path for path in files() if path.suffix in CODE]
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in code}
    assert {path: length for path, length in lengths.items() if length > 500} == {}


def test_no_machine_path_and_no_registry() -> None:
    found: list[str] = []
    for path in files():
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except UnicodeDecodeError:
            continue  # a picture
        for n, line in enumerate(lines, 1):
            if MACHINE.search(line) or "--index" + "-url" in line or "--find" + "-links" in line:
                found.append(f"{path.relative_to(ROOT)}:{n}: {line.strip()}")
    assert found == []


@pytest.mark.parametrize(
    ("line", "is_one"),
    [
        ("/" + "tmp/run", True),
        ('open("/' + 'home/me/text")', True),
        ("runs/demo", False),
        ("https://example.org/" + "work/x", False),
        ("see src/bptt/" + "work/x.py", False),
    ],
)
def test_a_machine_path_is_known_when_seen(line: str, is_one: bool) -> None:
    assert bool(MACHINE.search(line)) == is_one


def test_constraints_pin_every_version() -> None:
    text = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    rows = [row for row in text.splitlines() if row and not row.startswith("#")]
    assert [row for row in rows if not re.fullmatch(r"[\w.-]+==[\w.]+", row)] == []
    assert "torch==2.13.0" in rows
