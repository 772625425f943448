"""`bptt run`: an unchanged training script under the monitor."""

import os
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NoReturn

from bptt._errors import BpttError
from bptt.cli._interrupt import delivered
from bptt.cli._script import Script, ScriptError, exit_code, hide_own_frames
from bptt.cli._session import Session
from bptt.doctor import Logbook, RunFolder, Sink, default_folder, read_config


def run(
    name: str,
    argv: list[str],
    *,
    module: bool,
    out: Path | None,
    told: dict[str, Any],
    fix: bool = False,
    to: Sequence[str] = (),
) -> None:
    """Run the script and let it leave as it would without bptt.

    Before the script starts, an option, configuration, folder or script that cannot be used raises `SystemExit`.
    """
    if fix and int(os.environ.get("WORLD_SIZE", "1")) > 1:
        _leave("--fix repairs a run of one process; of several each would be changed on its own", 2)
    sinks = _sinks(to)
    script = _open_script(name, argv, module)
    session = _open_session(name, argv, out, told)
    session.fix, session.sinks = fix, sinks
    try:
        with delivered():
            session.begin()  # Ctrl-C may come here, too
            script.run()
    except BaseException as error:
        session.end(error)
        hide_own_frames()
        raise
    session.end(None)


def check(
    name: str,
    argv: list[str],
    *,
    module: bool,
    out: Path | None,
    told: dict[str, Any],
    updates: int,
) -> None:
    """Run the script for some updates; exit code 1 on an error, the script's own if it fails."""
    if updates < 1:
        _leave(f"updates is {updates}, expected a number of updates, at least 1", 2)
    script = _open_script(name, argv, module)
    session = _open_session(name, argv, out, told, updates=updates)
    try:
        with delivered():
            session.begin()  # Ctrl-C may come here, too
            script.run()
    except BaseException as error:
        enough = getattr(error, "bptt_enough", False)
        session.end(None if enough else error)
        if not enough and exit_code(error) != 0:
            hide_own_frames()
            raise
    else:
        session.end(None)
    raise SystemExit(1 if session.errors else 0)


def _sinks(to: Sequence[str]) -> list[Sink]:
    if not to:
        return []
    from bptt.integrations._named import sink_of

    try:
        return [sink_of(each) for each in to]
    except BpttError as error:
        _leave(str(error), 2)


def _open_script(name: str, argv: list[str], module: bool) -> Script:
    try:
        return Script(name, argv, module=module)
    except ScriptError as error:
        _leave(str(error), error.exit_code)
    except (SyntaxError, ValueError) as error:  # ValueError: null bytes, before Python 3.12
        sys.excepthook(type(error), error.with_traceback(None), None)
        raise SystemExit(1) from None


def _open_session(
    name: str,
    argv: list[str],
    out: Path | None,
    told: dict[str, Any],
    updates: int | None = None,
) -> Session:
    try:
        config = read_config(Path.cwd()).changed(**told)
        # Of several processes of one run all watch, and the first writes and speaks.
        first = os.environ.get("RANK", "0") == "0"
        folder = RunFolder(out or default_folder(name)) if first else None
        log = Logbook(folder, script=name, argv=argv, options=asdict(config))
        return Session(log, config, updates=updates, speaks=first)
    except BpttError as error:
        _leave(str(error), 2)


def _leave(sentence: str, code: int) -> NoReturn:
    print(f"bptt: {sentence}", file=sys.stderr)
    raise SystemExit(code)
