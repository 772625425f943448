"""`bptt compare`: runs side by side, from their folders."""

import json
import sys
from pathlib import Path
from typing import Any, NoReturn

from bptt.cli._pipe import reader_may_leave
from bptt.doctor import RunFolder, RunFolderError, open_run
from bptt.report import clean, compared, console, short_names, summary, table

UNUSABLE = 2


def compare(folders: list[Path], *, as_json: bool) -> None:
    """Print the comparison; exit code 2 with a sentence if there are not two runs."""
    if len(folders) < 2:
        _leave(f"a comparison needs the folders of two runs or more, {len(folders)} was given")
    try:
        runs = [(RunFolder.in_use(each), open_run(each)) for each in folders]
    except RunFolderError as error:
        _leave(clean(error, 4096))
    with reader_may_leave():
        _print([summary(run, alive=alive) for alive, run in runs], folders, as_json)


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
