"""`bptt train`: a language model on text, from the first time or from where it was stopped; and the run's page."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bptt._errors import BpttError
from bptt.cli import _page
from bptt.cli._live import Live
from bptt.doctor import default_folder

if TYPE_CHECKING:
    from bptt.doctor import Monitor

UNUSABLE = 2
SIGNALS = {"SIGINT": 130, "SIGTERM": 143}


def train(files: list[Path], out: Path | None, resume: Path | None, told: dict[str, Any]) -> None:
    """Train; exit code 2 with a sentence if it cannot be, 130 or 143 if it was stopped from outside."""
    try:
        result = _trained(files, out, resume, told)
    except BpttError as error:
        print(f"bptt: {error}", file=sys.stderr)
        raise SystemExit(UNUSABLE) from None
    if result.stopped:
        raise SystemExit(SIGNALS[result.reason])
    if os.environ.get("RANK", "0") != "0":
        return  # of several processes the first speaks
    print(
        f"{result.updates:,} updates; the best model has {result.bits:.4f} bits per character on the text held out · "
        f"{result.folder}"
    )
    if (page := _page.where(result.folder)) is not None:
        print(f"How far its gradients reached: {page}")


def _trained(files: list[Path], out: Path | None, resume: Path | None, told: dict[str, Any]) -> Any:
    from bptt.lm import Config, LmError, resumed

    if resume is None:
        given = {name: value for name, value in told.items() if value is not None}
        given |= {"files": tuple(map(str, files))}
        stem = files[0].stem if files else "sotu"
        return _shown(Config(**given), out or default_folder(stem), stem)
    fixed = [name for name, value in told.items() if value is not None and name not in LATER]
    if files or out is not None or fixed:
        what = "a text" if files else "--out" if out else f"--{fixed[0].replace('_', '-')}"
        raise LmError(
            f"{what} was given with --resume, which goes on with what the run was started with; of its settings only "
            f"{', '.join('--' + name.replace('_', '-') for name in LATER)} may change"
        )
    changed = {name: told.get(name) for name in LATER}
    return _shown(resumed(resume, **changed), resume, str(resume), resume=True)


def _shown(config: Any, folder: Path, name: str, *, resume: bool = False) -> Any:
    """With the live panel, or where there is no monitor to tell it anything, with a bar; both on a terminal only."""
    from bptt.lm import train as run

    first = os.environ.get("RANK", "0") == "0"
    live = Live(f"train {name}", sys.stderr)
    panel = first and config.budget >= 0 and live.possible
    watched = False

    def begun(monitor: "Monitor", before: int, goal: int) -> None:
        nonlocal watched
        watched = True
        if panel:
            live.watch(monitor, before, goal)

    if panel:
        live.begin()
    try:
        bar = sys.stderr.isatty() and not panel
        return run(config, folder, resume=resume, say=_say, bar=bar, begun=begun)
    finally:
        live.close()
        # Also of a run that was stopped or that failed; not of a folder that another run holds, or that was not begun.
        if watched and (trouble := _page.write(folder)) is not None:
            print(f"bptt: {trouble}", file=sys.stderr)


LATER = ("updates", "minutes", "validate_every", "save_every", "patience", "budget")
"""Settings that may change when a run is resumed."""


def _say(line: str) -> None:
    print(line, flush=True)
