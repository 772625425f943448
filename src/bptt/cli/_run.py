"""`bptt run`: an unchanged training script under the monitor."""

import os
import sys
from pathlib import Path
from typing import NoReturn

from bptt._errors import BpttError
from bptt.cli._script import Script, ScriptError, hide_own_frames
from bptt.cli._session import Session
from bptt.doctor import Logbook, RunFolder, Schedule, default_folder


def run(
    name: str,
    argv: list[str],
    *,
    module: bool,
    budget: float,
    out: Path | None,
    threshold: float,
) -> None:
    """Run the script and let it leave as it would without bptt.

    Before the script starts, an option, folder or script that cannot be used raises `SystemExit`.
    """
    script = _open_script(name, argv, module)
    session = None
    if os.environ.get("RANK", "0") == "0":  # of several processes of one run the first is watched
        session = _open_session(name, argv, budget, out, threshold)
        session.begin()
    try:
        script.run()
    except BaseException as error:
        if session is not None:
            session.end(error)
        hide_own_frames()
        raise
    if session is not None:
        session.end(None)


def _open_script(name: str, argv: list[str], module: bool) -> Script:
    try:
        return Script(name, argv, module=module)
    except ScriptError as error:
        _leave(str(error), error.exit_code)
    except (SyntaxError, ValueError) as error:  # ValueError: null bytes, before Python 3.12
        sys.excepthook(type(error), error.with_traceback(None), None)
        raise SystemExit(1) from None


def _open_session(
    name: str, argv: list[str], budget: float, out: Path | None, threshold: float
) -> Session:
    try:
        Schedule(budget)
        if not 0 < threshold < 1:
            raise BpttError(
                f"threshold is {threshold}, expected a number between 0 and 1, such as 1e-3"
            )
        folder = RunFolder(out or default_folder(name))
        options = {"budget": budget, "threshold": threshold}
        log = Logbook(folder, script=name, argv=argv, options=options)
        return Session(log, budget=budget, threshold=threshold)
    except BpttError as error:
        _leave(str(error), 2)


def _leave(sentence: str, code: int) -> NoReturn:
    print(f"bptt: {sentence}", file=sys.stderr)
    raise SystemExit(code)
