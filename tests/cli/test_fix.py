"""`bptt run --fix`: what was repaired stands on the page, in run.json, and no longer among the findings."""

import json
import os
import subprocess
import sys
from pathlib import Path

from scripts import ROOT

SCRIPTS = ROOT / "tests" / "suite" / "scripts"


def bptt(*args: object, cwd: Path = ROOT, **env: str) -> subprocess.CompletedProcess[str]:
    """What the command line did, both of its streams, and its exit code."""
    command = [sys.executable, "-m", "bptt", *map(str, args)]
    known = {**os.environ, "PYTHONIOENCODING": "utf-8", **env}
    return subprocess.run(command, cwd=cwd, env=known, capture_output=True, text=True, check=False)


def test_a_script_is_repaired_and_everything_is_said(tmp_path: Path) -> None:
    script = SCRIPTS / "op503" / "never_cleared.py"
    done = bptt("run", "--fix", "--out", tmp_path / "run", script)
    assert done.returncode == 0, done.stderr
    assert "bptt --fix: OP503 at update 2: clear_gradients() applied" in done.stderr
    assert "repaired OP503 · clear_gradients() at update 2" in done.stderr
    assert "to keep it: optimizer.zero_grad()" in done.stderr
    (repair,) = json.loads((tmp_path / "run" / "run.json").read_text())["repairs"]
    assert (repair["remedy"], repair["outcome"]) == ("clear_gradients", "kept")
    found = json.loads((tmp_path / "run" / "findings.json").read_text())["findings"]
    assert "OP503" not in [each["code"] for each in found]
    again = bptt("report", tmp_path / "run")
    assert "repaired OP503" in again.stdout + again.stderr


def test_a_run_of_several_processes_is_not_repaired_one_by_one(tmp_path: Path) -> None:
    script = SCRIPTS / "op503" / "never_cleared.py"
    done = bptt("run", "--fix", script, cwd=tmp_path, WORLD_SIZE="2")
    assert done.returncode == 2
    assert "one process" in done.stderr
