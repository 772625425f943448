"""Runs a script in a process of its own, as a user would, and hands back what it printed."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
EXAMPLES = ROOT / "examples"


def python(*args: str | Path, cwd: Path = ROOT, timeout: float = 240) -> str:
    """The standard output of `python -W error ARGS`; a failure unless it exits with 0."""
    command = [sys.executable, "-W", "error", *map(str, args)]
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=timeout)
    assert done.returncode == 0, f"{command} exited with {done.returncode}\n{done.stderr}"
    return done.stdout


def numbers(pattern: str, text: str) -> list[float]:
    """What stands in the group of `pattern`, wherever it matches; at least one, or it raises."""
    found = [float(match) for match in re.findall(pattern, text)]
    assert found, f"nothing matches {pattern!r} in {text!r}"
    return found
