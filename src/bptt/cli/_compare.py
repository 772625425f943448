"""`bptt compare`: runs side by side, from their folders: in the terminal, and as a page."""

import json
import sys
from pathlib import Path
from typing import Any, NoReturn

from bptt._files import put_out
from bptt.cli._pipe import reader_may_leave
from bptt.doctor import Run, RunFolder, RunFolderError, open_run
from bptt.report import clean, compared, console, short_names, summary, table

UNUSABLE = 2


def compare(folders: list[Path], *, as_json: bool, page: Path | None = None) -> None:
    """Print the comparison, and write it to `page`; exit code 2 with a sentence if there are not two runs."""
    if len(folders) < 2:
        _leave(f"a comparison needs the folders of two runs or more, {len(folders)} was given")
    try:
        runs = [(RunFolder.in_use(each), open_run(each)) for each in folders]
    except RunFolderError as error:
        _leave(clean(error, 4096))
    if page is not None:
        _write(page, runs, folders)
    with reader_may_leave():
        _print([summary(run, alive=alive) for alive, run in runs], folders, as_json)
        if page is not None and not as_json:
            console(sys.stdout).print(f"\nTo look at: {clean(page, 4096)}", soft_wrap=True)


def _write(page: Path, runs: list[tuple[bool, Run]], folders: list[Path]) -> None:
    """The page, whole or not at all: in a place that cannot be written nothing is printed either."""
    from bptt.report.page import comparison

    alive, read = [goes for goes, _ in runs], [run for _, run in runs]
    text = comparison(read, alive, short_names(folders))
    try:
        put_out(page, text.encode("utf-8", "replace"))
    except OSError as error:
        _leave(f"{clean(page, 4096)} could not be written: {error.strerror or error}")


def _print(told: list[dict[str, Any]], folders: list[Path], as_json: bool) -> None:
    rows = compared(told)
    if as_json:
        different = [{"group": row.group, "row": row.label} for row in rows if row.differs]
        print(json.dumps({"version": 1, "runs": told, "different": different}, indent=1))
        return
    out = console(sys.stdout)
    table(rows, short_names(folders), out)
    for run in told:
        for sentence in run["damage"]:
            out.print(clean(f"damaged: {run['folder']}: {sentence}", 4096), soft_wrap=True)


def _leave(sentence: str) -> NoReturn:
    print(f"bptt: {sentence}", file=sys.stderr)
    raise SystemExit(UNUSABLE)
