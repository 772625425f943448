"""Where one update ends and the next begins.

Optimizer steps are the boundaries. A loop that changes its weights itself has none: its passes tell the updates apart.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch.optim import Optimizer

from bptt._errors import BpttError
from bptt.doctor._process import optimizer_exists

PASSES_WITHOUT_STEP = 64
"""Backward passes after which an optimizer that exists but never steps is taken to be unused."""


class Enough(BaseException):
    """Raised into the script once it has run for as many updates as were asked for."""

    bptt_enough = True


class Boundaries:
    """Counts updates.

    Args:
        optimizers: those whose steps count; None counts those of every optimizer.
        stop_after: the number of updates after which `Enough` is raised, None for never.

    Attributes:
        updates: steps that counted.
        stepped: whether there was one.
        inside_step: whether one is going on (a closure runs its passes there).
        passes: new passes since the last probe began, with no step between.
        hand_passes: backward passes of a loop by hand.
    """

    def __init__(
        self, optimizers: Sequence[Optimizer] | None = None, stop_after: int | None = None
    ) -> None:
        self._optimizers, self._stop_after = optimizers, stop_after
        self.updates = self.passes = self.hand_passes = 0
        self.stepped = self.inside_step = False
        self._stepped_in_backward = False
        self._round: set[int] | None = set()

    def counts(self, optimizer: Optimizer) -> bool:
        """Whether a step of this optimizer is a boundary."""
        own = self._optimizers
        if own is not None and not any(each is optimizer for each in own):
            return False
        if torch._C._current_graph_task_id() != -1:
            self._stepped_in_backward = True  # one a parameter, while others' gradients are on
            return False  # their way: no boundary
        return True

    def by_hand(self) -> bool:
        """Whether passes, not optimizer steps, tell the updates apart."""
        if self.stepped:
            return False
        unused = self.passes >= PASSES_WITHOUT_STEP
        return self._stepped_in_backward or unused or not optimizer_exists()

    @property
    def current(self) -> int:
        """Number of the update that is going on."""
        return (self.updates if self.stepped else self.hand_passes) + 1

    @property
    def first_round(self) -> bool:
        """Whether some optimizer's first update may still be to come."""
        return self._round is not None

    def round_over(self, optimizer: Optimizer) -> bool:
        """The first update of every optimizer is probed; the second step of one of them ends that round."""
        over = self._round is not None and id(optimizer) in self._round
        if over:
            self._round = None
        elif self._round is not None:
            self._round.add(id(optimizer))
        return over

    def stop_if_enough(self, updates: int) -> None:
        """Raise `Enough` if so many updates are all that were asked for."""
        if self._stop_after is not None and updates >= self._stop_after:
            raise Enough


def checked_optimizers(
    optimizer: Optimizer | Sequence[Optimizer] | None,
) -> tuple[Optimizer, ...] | None:
    """One optimizer or several, as a tuple, each without a framework's wrapping; None stays None.

    Raises:
        BpttError: something is not an optimizer, or the sequence is empty.
    """
    if optimizer is None:
        return None
    given = optimizer if isinstance(optimizer, Sequence) else (optimizer,)
    each = tuple(map(unwrapped, given))
    wrong = [type(one).__name__ for one in each if not isinstance(one, Optimizer)]
    if wrong or not each:
        raise BpttError(
            f"optimizer is {f'a {wrong[0]}' if wrong else 'an empty sequence'}, expected a torch.optim.Optimizer, "
            "a sequence of them, or None (all of them)"
        )
    return each


def unwrapped(optimizer: Any) -> Any:
    """The optimizer that torch announces the steps of: what Accelerate or Lightning made of it steps by way of that.

    A wrapper is told from an optimizer that holds another one by having no step hooks of its own.

    Example:
        >>> from types import SimpleNamespace
        >>> own = torch.optim.SGD([torch.zeros(1)], lr=0.1)
        >>> unwrapped(SimpleNamespace(optimizer=own)) is own, unwrapped(own) is own
        (True, True)
    """
    while "_optimizer_step_pre_hooks" not in getattr(optimizer, "__dict__", {}):
        inner = getattr(optimizer, "optimizer", None)
        if not isinstance(inner, Optimizer):
            break
        optimizer = inner
    return optimizer
