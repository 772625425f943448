"""Running scripts with python and with `bptt run`, to compare."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

collect_ignore = ["scripts"]  # programs, not modules

SCRIPTS = Path(__file__).parent / "scripts"
Run = Callable[..., subprocess.CompletedProcess[str]]

# Colours, threads and terminals of whoever runs the tests must not show in what the processes print.
ENVIRONMENT = {
    key: value
    for key, value in os.environ.items()
    if not key.startswith(("PYTHON", "COLUMNS", "NO_COLOR", "FORCE_COLOR", "RANK"))
} | {"OMP_NUM_THREADS": "2", "PYTHONIOENCODING": "utf-8"}


def _run(command: list[str], cwd: Path, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *command],
        cwd=cwd,
        env=ENVIRONMENT | env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.fixture
def python(tmp_path: Path) -> Run:
    """`python("train.py", "--lr", "1")` in an empty folder."""
    return lambda *args, cwd=tmp_path, **env: _run([str(each) for each in args], cwd, **env)


@pytest.fixture
def bptt_run(tmp_path: Path) -> Run:
    """`bptt_run("train.py", "--lr", "1")`: results in `tmp_path / "out"`."""

    def run(
        *args: str | Path, cwd: Path = tmp_path, **env: str
    ) -> subprocess.CompletedProcess[str]:
        command = ["-m", "bptt", "run", "--out", str(tmp_path / "out"), *map(str, args)]
        return _run(command, cwd, **env)

    return run


@pytest.fixture
def scripts() -> Path:
    return SCRIPTS
