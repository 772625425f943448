"""A run as it is today: one script of the suite under `bptt run`, its screen and its report."""

import functools
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from _shared import ROOT

SCRIPT = "tests/suite/scripts/vg101/adding_gru.py"


@functools.cache
def _run() -> tuple[str, str]:
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "a"
        command = [sys.executable, "-m", "bptt", "run", "--out", str(out), SCRIPT]
        environment = os.environ | {
            "COLUMNS": "80",
            "PYTHONIOENCODING": "utf-8",
            "OMP_NUM_THREADS": "1",
        }
        done = subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, encoding="utf-8", check=True
        )
        screen = (done.stdout + done.stderr).replace(str(out), "runs/a")
        return screen, (out / "report.html").read_text(encoding="utf-8").replace(str(out), "runs/a")


def screen() -> str:
    """What the command printed, behind the command."""
    return f"```text\n$ bptt run --out runs/a {SCRIPT}\n{_run()[0].rstrip()}\n```"


def report() -> str:
    """Its report.html."""
    return _run()[1]
