"""Is interrupted where Python drops or hides it: in a callback, `handler` with one of its own, or at an `import`."""

import signal
import sys
import time
import weakref
from types import FrameType


class Held:
    """Can be referred to weakly."""


class Pressed:
    """Interrupted as it is made a class's attribute; Python 3.11 raises a RuntimeError for that."""

    def __set_name__(self, owner: type, name: str) -> None:
        raise KeyboardInterrupt


class Import:
    """Finds no module, and is interrupted as one of bptt's is looked for."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        if name == "bptt.kernels._call":
            type("Made", (), {"at": Pressed()})


def heard(number: int, frame: FrameType | None) -> None:
    print("heard", flush=True)
    raise KeyboardInterrupt


def in_a_callback() -> None:
    held = Held()
    watching = weakref.ref(held, lambda _: signal.raise_signal(signal.SIGINT))
    del held
    time.sleep(0.5)
    del watching


if __name__ == "__main__":
    if sys.argv[1:] == ["import"]:
        sys.meta_path.insert(0, Import())
        import torch as torch
    else:
        if sys.argv[1:] == ["handler"]:
            signal.signal(signal.SIGINT, heard)
        in_a_callback()
    print("went on")
