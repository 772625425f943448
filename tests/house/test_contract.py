"""The floors of the house: the contract holds, and it would notice if it did not."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from scripts import ROOT


def lint_imports(root: Path) -> subprocess.CompletedProcess[str]:
    """import-linter with the repository's configuration, on the package under `root / "src"`."""
    command = [
        sys.executable,
        "-c",
        # The editable install's finder would show the repository's own package instead.
        "import sys; sys.path.insert(0, 'src');"
        "sys.meta_path[:] = [f for f in sys.meta_path if 'editable' not in type(f).__module__];"
        "from importlinter.cli import lint_imports;"
        "sys.exit(lint_imports(no_cache=True))",
    ]
    return subprocess.run(command, cwd=root, capture_output=True, text=True)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the package and its configuration that a test may break."""
    shutil.copytree(ROOT / "src", tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def test_the_house_stands() -> None:
    done = lint_imports(ROOT)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("module", "line", "contract"),
    [
        ("cells/_upward.py", "import bptt.flow", "imports go downwards only"),
        ("attic/__init__.py", "", "imports go downwards only"),
        ("flow/_lightning.py", "import lightning", "other frameworks are imported"),
        ("flow/_screen.py", "import rich", "knows nothing of terminals"),
    ],
    ids=["upward import", "unknown room", "framework below its room", "terminal below its room"],
)
def test_a_break_is_seen(copy: Path, module: str, line: str, contract: str) -> None:
    file = copy / "src" / "bptt" / module
    file.parent.mkdir(exist_ok=True)
    file.write_text(f'"""Breaks the contract."""\n\n{line}\n', encoding="utf-8")
    done = lint_imports(copy)
    assert done.returncode == 1, done.stdout + done.stderr
    broken = [row for row in done.stdout.splitlines() if " BROKEN" in row]
    assert len(broken) == 1
    assert contract in broken[0]
