"""Calls of a module that led to a state, made again when the state comes back without its gradient."""

from collections import deque
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree


@dataclass(eq=False)
class Call:
    """What a module was given: its arguments without gradients, flat, and how many steps they were."""

    leaves: list[Any]
    form: Any
    steps: int


class Again:
    """Hooks around one module's calls in training.

    Args:
        length: steps to go back, counted from the end of a chunk that is as long as the one before.
        counts: `counts["again"]` has the calls that were made again.
    """

    def __init__(self, length: int, counts: dict[str, int]) -> None:
        self.length, self.counts = length, counts
        self._calls: deque[Call] = deque()
        self._ends: list[Any] = []
        self._links: dict[int, int] = {}  # which argument is which part of what was returned
        self._chunk = self._since = 0  # steps of the last whole chunk, and since it ended
        self._busy = False

    def __getstate__(self) -> dict[str, Any]:
        """A copied or saved model begins without what it was given: its states hold a graph."""
        return {**vars(Again(self.length, self.counts))}

    def forget(self) -> None:
        """Hold nothing any longer."""
        self._calls.clear()
        self._ends, self._links = [], {}

    def begins(self, module: nn.Module, args: Any, kwargs: Any) -> Any:
        """Before a call: a state that was cut off is made again."""
        if self._busy or not torch.is_grad_enabled():
            return None
        leaves, form = pytree.tree_flatten((args, kwargs))
        links = {
            i: j
            for i, leaf in enumerate(leaves)
            for j, end in enumerate(self._ends)
            if _cut_from(leaf, end)
        }
        if not links:
            if not any(isinstance(leaf, Tensor) and leaf.requires_grad for leaf in leaves):
                self.forget()  # a sequence begins
            return None
        self._links, self._chunk, self._since = links, self._since, 0
        state = self._run(module)
        for i, value in state.items():
            leaves[i] = value
        return pytree.tree_unflatten(leaves, form)

    def ends(self, module: nn.Module, args: Any, kwargs: Any, output: Any) -> None:
        """After a call: it is noted."""
        if self._busy or not torch.is_grad_enabled():
            return
        leaves, form = pytree.tree_flatten((args, kwargs))
        held = [leaf.detach() if isinstance(leaf, Tensor) else leaf for leaf in leaves]
        steps = _steps(module, leaves)
        self._calls.append(Call(held, form, steps))
        self._since += steps
        self._ends = pytree.tree_leaves(output)
        while sum(call.steps for call in self._calls) - self._calls[0].steps >= 2 * self.length:
            self._calls.popleft()

    def _run(self, module: nn.Module) -> dict[int, Tensor]:
        """The last calls once more, from the state that the first of them was given."""
        wanted, chosen = max(self.length - self._chunk, 1), list[Call]()
        for call in reversed(self._calls):
            chosen.insert(0, call)
            if sum(each.steps for each in chosen) >= wanted:
                break
        self._busy, parts = True, list[Any]()
        try:
            with torch.random.fork_rng():  # dropout on the way is not to shift the script's numbers
                for n, call in enumerate(chosen):
                    leaves = list(call.leaves)
                    for i, j in self._links.items() if n else ():
                        leaves[i] = parts[j]
                    args, kwargs = pytree.tree_unflatten(leaves, call.form)
                    parts = pytree.tree_leaves(module(*args, **kwargs))
        finally:
            self._busy = False
        self.counts["again"] += len(chosen)
        return {i: parts[j] for i, j in self._links.items()}


def _cut_from(part: Any, end: Any) -> bool:
    """Whether a given tensor is a returned one without its gradient; zeros are a beginning."""
    if not (isinstance(part, Tensor) and isinstance(end, Tensor)) or part.requires_grad:
        return False
    same = part.shape == end.shape and part.dtype == end.dtype and end.requires_grad
    return same and part.is_floating_point() and torch.equal(part, end) and bool(part.any())


def _steps(module: nn.Module, leaves: list[Any]) -> int:
    """T of a call; 1 of a cell's, and of what the user wrote."""
    x = next((leaf for leaf in leaves if isinstance(leaf, Tensor)), None)
    if x is None or not isinstance(module, nn.RNNBase) or x.dim() < 2:
        return 1
    if x.dim() == 2 and any(
        isinstance(leaf, Tensor) and leaf.dtype == torch.int64 for leaf in leaves
    ):
        return len(leaves[1])  # packed: the sizes of the steps' batches
    return x.shape[1 if module.batch_first and x.dim() == 3 else 0]
