"""`bptt report`: the pages of a run again, from its folder: `report.html` in it, and the one for the terminal."""

import sys
from pathlib import Path

from bptt.cli import _page
from bptt.doctor import RunFolder, RunFolderError, read_run
from bptt.report import console, show
from bptt.report.page import write_page


def report(folder: Path) -> None:
    """Write and print the page; on a folder that holds no run, one sentence and exit code 2."""
    try:
        run, tally = read_run(folder)
        _write(folder)
    except RunFolderError as error:
        print(f"bptt: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    if run.get("state") == "running" and not RunFolder.in_use(folder):
        run["state"] = "killed"  # it could not write its end
    show(run, tally, console(sys.stdout), str(folder), _page.where(folder))


def _write(folder: Path) -> None:
    try:
        write_page(folder)
    except OSError as error:  # the page for the terminal needs no disk
        reason = error.strerror or error
        print(f"bptt: {folder}: report.html could not be written: {reason}", file=sys.stderr)
