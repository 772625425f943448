"""Call something once torch has been imported.

`bptt run` does not import torch before the script does: a script may set `OMP_NUM_THREADS` or `CUDA_VISIBLE_DEVICES`
first, and one that never imports torch should not wait for it.
"""

import sys
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType


def when_imported(name: str, call: Callable[[], None]) -> None:
    """Call `call` as soon as the module `name` has been imported; at once if it has been already.

    Example:
        >>> when_imported("sys", lambda: print("there"))
        there
    """
    if name in sys.modules:
        call()
    else:
        sys.meta_path.insert(0, _Waiter(name, call))


class _Waiter:
    """A finder that finds nothing itself: it lets the others find the module, and hears of its end."""

    def __init__(self, name: str, call: Callable[[], None]) -> None:
        self.name, self.call = name, call

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name != self.name:
            return None
        sys.meta_path.remove(self)
        for finder in sys.meta_path:
            spec = finder.find_spec(name, path, target)
            if spec is not None:
                self._attach(spec)
                return spec
        return None

    def _attach(self, spec: ModuleSpec) -> None:
        loader = spec.loader
        if loader is None:
            return
        execute = loader.exec_module

        def exec_module(module: ModuleType) -> None:
            del loader.exec_module  # the loader is as it was; only this one call is ours
            execute(module)
            self.call()

        loader.exec_module = exec_module
