"""What a monitor shares with the process it is in: other monitors, forked children, optimizers."""

import os
import weakref
from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

from torch import nn
from torch.optim import Optimizer

from bptt._errors import BpttError
from bptt.flow.record._shelter import sheltered


@runtime_checkable
class Watching(Protocol):
    """A monitor, as others see it."""

    @property
    def _active(self) -> bool:
        """Whether it is watching at present."""
        ...

    @property
    def watched(self) -> frozenset[int] | None:
        """Ids of the modules it watches; None for all."""

    def _detach(self) -> None: ...

    def _leave_child(self) -> None: ...


_watching: list[weakref.ref[Watching]] = []


def take(monitor: Watching) -> None:
    """Two monitors of one model would each see what the other does.

    Raises:
        BpttError: another one watches the same modules.
    """
    own = monitor.watched
    for weak in _watching:
        other = weak()
        if other is None or not other._active or other is monitor:
            continue
        if own is None or other.watched is None or own & other.watched:
            what = "every module of the process" if other.watched is None else "this model"
            monitor._detach()
            raise BpttError(
                f"another monitor is watching {what} already; close it first, or pass it on instead of making a second"
            )
    _watching.append(weakref.ref(monitor))


def give_back(monitor: Watching) -> None:
    _watching[:] = [weak for weak in _watching if weak() not in (None, monitor)]


def one_model(
    model: nn.Module | Sequence[nn.Module] | Mapping[str, nn.Module] | None,
) -> nn.Module | None:
    """Several modules as one, their sites named by place or by name; None stays None.

    Raises:
        BpttError: something is not a module, or there is none.

    Example:
        >>> list(dict(one_model({"actor": nn.GRU(2, 4), "critic": nn.GRU(2, 4)}).named_children()))
        ['actor', 'critic']
    """
    if model is None or isinstance(model, nn.Module):
        return model
    each = dict(model) if isinstance(model, Mapping) else {}
    if not each and isinstance(model, Sequence):
        each = {str(n): one for n, one in enumerate(model)}
    wrong = [type(one).__name__ for one in each.values() if not isinstance(one, nn.Module)]
    if wrong or not each:
        given = wrong[0] if wrong else type(model).__name__
        raise BpttError(
            f"model is or holds a {given}, expected a torch.nn.Module, a sequence or a mapping of them, or None "
            "(every recurrent module of the process)"
        )
    return nn.ModuleDict(each)


def checked_lag(lag: int | None) -> int | None:
    """The lag that the user stated.

    Raises:
        BpttError: it is below 1.
    """
    if lag is not None and lag < 1:
        raise BpttError(
            f"lag is {lag}, expected the number of steps that the task spans, at least 1"
        )
    return lag


def leave_in_forked_children(monitor: Watching) -> None:
    weak = weakref.ref(monitor)

    @sheltered
    def leave() -> None:
        if (alive := weak()) is not None and alive._active:
            alive._leave_child()

    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=leave)


def optimizer_exists(base: type[Optimizer] = Optimizer) -> bool:
    """Whether an optimizer was ever made: its constructor marks its class's `step` as hooked."""
    return any(
        getattr(kind.__dict__.get("step"), "hooked", False) or optimizer_exists(kind)
        for kind in base.__subclasses__()
    )
