"""Leaves in the way its first argument names."""

import atexit
import os
import sys
from types import TracebackType


def fail() -> None:
    raise LookupError("no such word")


def nested() -> None:
    try:
        fail()
    except LookupError as error:
        raise RuntimeError("while looking") from error


def hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    print("hook:", kind.__name__, error, trace.tb_lineno if trace else None)


def with_hook() -> None:
    sys.excepthook = hook
    fail()


def with_bad_hook() -> None:
    sys.excepthook = lambda *exception: 1 / 0
    fail()


def at_exit() -> None:
    atexit.register(print, "bye")
    sys.exit(4)


def interrupt() -> None:
    raise KeyboardInterrupt


def quit_at_once() -> None:
    sys.stdout.flush()
    os._exit(7)


def in_child() -> None:
    if os.fork() == 0:
        sys.exit(5)
    print("child:", os.waitstatus_to_exitcode(os.wait()[1]))


WAYS = {
    "end": lambda: None,
    "int": lambda: sys.exit(3),
    "true": lambda: sys.exit(True),
    "text": lambda: sys.exit("no data: 50 %"),
    "none": lambda: sys.exit(),
    "error": fail,
    "nested": nested,
    "hook": with_hook,
    "bad-hook": with_bad_hook,
    "atexit": at_exit,
    "interrupt": interrupt,
    "os-exit": quit_at_once,
    "fork": in_child,
}

if __name__ == "__main__":
    print("before", flush=True)
    WAYS[sys.argv[1]]()
