"""`report.html`: the page of a run folder, written into it."""

import os
from dataclasses import replace
from pathlib import Path

from bptt._files import put_whole
from bptt.doctor import RunFolder, open_run
from bptt.report.page._page import page

NAME = "report.html"


def write_page(path: str | os.PathLike[str]) -> Path:
    """Read a run folder and write its `report.html`, whole or not at all; for the user alone to read, as the folder is.

    Returns:
        The page's path.

    Raises:
        RunFolderError: the folder holds no run that can be read.
        OSError: the page cannot be written.

    Example:
        >>> import tempfile
        >>> from bptt.doctor import Logbook
        >>> with tempfile.TemporaryDirectory() as parent:
        ...     log = Logbook(RunFolder(Path(parent) / "a"), script="train.py")
        ...     log.begin()
        ...     log.end("finished", exit_code=0)
        ...     log.release()
        ...     write_page(Path(parent) / "a").name
        'report.html'
    """
    run = open_run(path)
    if run.run.get("state") == "running" and not RunFolder.in_use(path):
        run = replace(run, run=run.run | {"state": "killed"})  # it could not write its end
    target = Path(path) / NAME
    put_whole(target, page(run).encode("utf-8", "replace"))
    return target
