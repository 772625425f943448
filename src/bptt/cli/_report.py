"""`bptt report`: the page of a run again, from its folder."""

import sys
from pathlib import Path

from bptt.doctor import RunFolder, RunFolderError, read_run
from bptt.report import console, show


def report(folder: Path) -> None:
    """Print the page; on a folder that holds no run, one sentence and exit code 2."""
    try:
        run, tally = read_run(folder)
    except RunFolderError as error:
        print(f"bptt: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    if run.get("state") == "running" and not RunFolder.in_use(folder):
        run["state"] = "killed"  # it could not write its end
    show(run, tally, console(sys.stdout), str(folder))
