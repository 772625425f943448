"""A shelter around what torch calls of ours inside somebody's training: a fault of it stays in, and is told.

Hooks on the graph and wrappers around torch's functions belong to no one recorder or monitor: whoever is at work hears
of their faults, and gives up.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any

import torch

from bptt._signals import let_signals_pass

Keeper = Callable[[Exception], None]
"""Takes a fault in; must not raise."""

_keepers: list[Keeper] = []


def keep_faults(keeper: Keeper) -> None:
    """Tell `keeper` of every fault from now on; twice is once."""
    if keeper not in _keepers:
        _keepers.append(keeper)


def keep_no_more(keeper: Keeper) -> None:
    """Stop telling it."""
    if keeper in _keepers:
        _keepers.remove(keeper)


def sheltered(call: Callable[..., Any]) -> Callable[..., Any]:
    """The call, whose faults are told to the keepers; it then returns None. What is no `Exception` passes.

    Example:
        >>> kept = []
        >>> keep_faults(kept.append)
        >>> sheltered(lambda: 1 / 0)(), kept
        (None, [ZeroDivisionError('division by zero')])
        >>> keep_no_more(kept.append)
    """

    @wraps(call)
    def shelter(*args: Any, **kwargs: Any) -> Any:
        if torch.compiler.is_compiling():  # nothing of ours is compiled along
            return None
        try:
            return call(*args, **kwargs)
        except Exception as fault:
            let_signals_pass(fault)
            tell(fault)
        return None

    return shelter


def tell(fault: Exception) -> None:
    """Have the keepers know of a fault that was kept in."""
    for keeper in tuple(_keepers):
        keeper(fault)


def each_of(*calls: Callable[[], object]) -> None:
    """Call every one of them, though one before it failed.

    Raises:
        Exception: the first one's that failed.
    """
    first: Exception | None = None
    for call in calls:
        try:
            call()
        except Exception as fault:
            first = first or fault
    if first is not None:
        raise first
