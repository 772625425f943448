"""States that are handed on without their gradient from one module to another, or out of `no_grad` into training.

A module's own loop, called again on its detached state, is seen by the probe. What a probe cannot see is where a state
came from that another module made, or that was made while gradients were off.
"""

import weakref
from collections.abc import Iterable
from typing import Any, NamedTuple

from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from bptt.flow.record._watch import same_values

WIDTH = 8
"""Tensors of one call's output that are remembered."""
LARGEST = 2**18
"""Numbers in one of them; a state is not larger."""


class Handed(NamedTuple):
    """A state of `giver` was given to `taker`, and no gradient follows it; both are one where it ran under no_grad."""

    giver: nn.Module
    taker: nn.Module
    steps: int


class HandOvers:
    """Of one update."""

    def __init__(self) -> None:
        self.found: list[Handed] = []
        self._quiet: dict[int, tuple[weakref.ref[nn.Module], list[Tensor], int]] = {}
        self._ends: list[tuple[weakref.ref[nn.Module], Tensor]] = []

    def clear(self) -> None:
        """The update is over."""
        self._quiet, self._ends = {}, []

    def begin(self) -> None:
        """The next one begins."""
        self.found = []

    def quiet(self, module: nn.Module, output: Any) -> None:
        """A call of a module that may hand a state on, without gradient recording."""
        _, _, count = self._quiet.get(id(module), (None, [], 0))
        self._quiet[id(module)] = (
            weakref.ref(module),
            [each for each in _tensors(output) if each.numel() <= LARGEST],
            count + _steps(module, output),
        )

    def ends(self, module: nn.Module, h: Tensor) -> None:
        """A recurrent module's call is over; gradient could flow into its last state."""
        if h.requires_grad:
            self._ends.append((weakref.ref(module), h.detach()))

    def given(self, module: nn.Module, state: Any) -> None:
        """A call with gradient recording was given this state."""
        if not self._quiet and not self._ends:
            return
        for h in _tensors(state):
            if h.requires_grad or not h.is_floating_point() or h.dim() < 2:
                continue
            giver, steps = self._source(module, h)
            if giver is not None and bool(h.any()):
                self.found.append(Handed(giver, module, steps))
                return

    def _source(self, module: nn.Module, h: Tensor) -> tuple[nn.Module | None, int]:
        weak, made, count = self._quiet.get(id(module), (None, [], 0))
        if weak is not None and weak() is module:
            place = h.data_ptr()
            if any(place == each.data_ptr() for each in made):
                return module, count
        for owner, end in self._ends:
            giver = owner()
            if giver is not None and giver is not module and same_values(h, end):
                return giver, 0
        return None, 0


def _steps(module: nn.Module, output: Any) -> int:
    """Steps of one call: those of a sequence for a stack of layers, one for a cell."""
    if not isinstance(module, nn.RNNBase):
        return 1
    y: Any = output[0]
    if isinstance(y, PackedSequence):
        return len(y.batch_sizes)
    return y.shape[1 if module.batch_first and y.dim() == 3 else 0]


def _tensors(value: Any) -> Iterable[Tensor]:
    if isinstance(value, Tensor):
        return (value,)
    if not isinstance(value, (tuple, list)):
        return ()
    flat = [t for each in value for t in (each if isinstance(each, (tuple, list)) else (each,))]
    return [each for each in flat if isinstance(each, Tensor)][:WIDTH]
