"""Is interrupted where Python cannot raise; with an argument it has a handler of its own."""

import signal
import sys
import time
import weakref
from types import FrameType


class Held:
    """Can be referred to weakly."""


def heard(number: int, frame: FrameType | None) -> None:
    print("heard", flush=True)
    raise KeyboardInterrupt


if __name__ == "__main__":
    if sys.argv[1:]:
        signal.signal(signal.SIGINT, heard)
    held = Held()
    watching = weakref.ref(held, lambda _: signal.raise_signal(signal.SIGINT))
    del held
    time.sleep(0.5)
    print("went on")
