"""A Ctrl-C that Python drops is delivered again.

An exception cannot leave a weak reference's callback or a `__del__`: Python hands it to `sys.unraisablehook` and goes
on, a `KeyboardInterrupt` too. Every import runs such a callback, and torch imports hundreds of modules as the first
optimizer is made, so that now and then a training would go on as if nobody had pressed a key.
"""

import contextlib
import signal
import sys
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sys import UnraisableHookArgs

SECONDS = 0.01
"""How long the callback has to come to its end before the signal is sent again."""


@contextlib.contextmanager
def delivered() -> Iterator[None]:
    """Within, a `KeyboardInterrupt` that was dropped is raised anew; a script's own handler of SIGINT is left alone."""
    before, again = sys.unraisablehook, list[threading.Timer]()

    def hook(dropped: "UnraisableHookArgs") -> None:
        if dropped.exc_type is not KeyboardInterrupt or not _to_be_raised():
            before(dropped)
            return
        main = threading.get_ident()
        timer = threading.Timer(SECONDS, signal.pthread_kill, (main, signal.SIGINT))
        timer.daemon = True
        timer.start()
        again.append(timer)

    sys.unraisablehook = hook
    try:
        yield
    finally:
        for timer in again:
            timer.cancel()
        if sys.unraisablehook is hook:
            sys.unraisablehook = before


def _to_be_raised() -> bool:
    """Whether a signal that comes now is a `KeyboardInterrupt` here."""
    here = threading.current_thread() is threading.main_thread()
    return here and signal.getsignal(signal.SIGINT) is signal.default_int_handler
