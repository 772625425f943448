"""Training loops without an optimizer: updates are known by weights that changed between two backward passes."""

import math
from typing import Any

import torch
from torch import Tensor

from bptt.doctor._gauge import copies, joint_norm, moves, norms
from bptt.rules import Updates

LIMIT = 20_000
"""Nodes of the first pass's graph that are looked at for parameters."""


class HandUpdates:
    """Entries for a loop that changes its weights itself."""

    def __init__(self) -> None:
        self.updates = Updates(by_hand=True)
        self.leaves: list[Tensor] = []
        self.passes = 0
        self._before: list[Tensor] = []
        self._loss = self._norm = math.nan
        self._carried = False

    def begin(self, root: Any, loss: float) -> None:
        """A backward pass begins: if the weights are no longer what they were, an update lies behind."""
        self.passes += 1
        if not self.leaves:
            self.leaves = _leaves(root)
        sizes, steps = moves(self._before, self.leaves)
        if (moved := math.hypot(*steps)) > 0:
            size = math.hypot(*sizes)
            self._add(moved / size if size > 0 else math.nan)
        if moved > 0 or not self._before:
            self._before = copies(self.leaves)
        self._loss = loss
        self._carried = any(norm > 0 for norm in norms(self._grads()))

    def end(self) -> None:
        """The pass is over; gradients are there."""
        grads = self._grads()
        self._norm = joint_norm(grads) if grads else math.nan

    def forget(self) -> None:
        """What happens to the weights meanwhile is no update."""
        self._before, self._loss, self._norm = [], math.nan, math.nan

    def _grads(self) -> list[Tensor]:
        return [leaf.grad for leaf in self.leaves if leaf.grad is not None]

    @property
    def finite(self) -> bool:
        """Whether the last pass brought finite gradients."""
        return math.isnan(self._norm) or math.isfinite(self._norm)

    def _add(self, ratio: float) -> None:
        u = self.updates
        u.loss.append(self._loss)
        u.norm.append(self._norm)
        u.unclipped.append(self._norm)
        u.finite.append(math.isfinite(self._norm))
        u.ratio.append(ratio)
        u.whole_ratio.append(ratio)
        u.carried.append(self._carried)
        u.passes.append(1)
        for column in (u.clip, u.coefficient, u.lr):
            column.append(math.nan)
        u.numbers.append(u.count)
        u.shorten()


def _leaves(root: Any) -> list[Tensor]:
    """The leaves below a node that hold weights: those that require gradients."""
    found: dict[int, Tensor] = {}
    seen, stack = {root}, [root]
    while stack and len(seen) < LIMIT:
        for child, _ in stack.pop().next_functions:
            if child is None or child in seen:
                continue
            seen.add(child)
            stack.append(child)
            if child.name().endswith("AccumulateGrad"):
                found[id(child.variable)] = child.variable
    return [leaf for leaf in found.values() if isinstance(leaf, torch.Tensor)]
