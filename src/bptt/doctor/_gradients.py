"""What a repair does to the gradients of a coming step, and to what an optimizer remembers of earlier ones."""

import torch
from torch import Tensor
from torch.optim import Optimizer

from bptt.doctor._owner import Owner
from bptt.remedies import Change

Held = list[tuple[Tensor, Tensor]]
"""Parameters, each with a gradient."""


class Gradients:
    """Takes gradients away from a step and gives them back after it.

    Example:
        >>> weight = torch.nn.Parameter(torch.ones(2))
        >>> weight.grad = torch.ones(2)
        >>> optimizer, gradients = torch.optim.SGD([weight], lr=1.0), Gradients()
        >>> gradients.drop(optimizer); optimizer.step(); gradients.put_back()
        >>> weight.tolist(), weight.grad.tolist()
        ([1.0, 1.0], [0.0, 0.0])
    """

    def __init__(self) -> None:
        self._dropped: Held = []
        self._first: Held = []

    def drop(self, optimizer: Optimizer) -> None:
        """Have the coming step leave the weights alone, until `put_back`."""
        # A second call in the same step finds none left, and must not forget those of the first.
        self._dropped += _held(optimizer)
        for p, _ in self._dropped:
            p.grad = None

    def put_back(self) -> None:
        """After a step that was dropped: its gradients are there, and zero."""
        for p, grad in self._dropped:
            p.grad = grad if p.grad is None else p.grad
            grad.zero_()
        self._dropped = []

    def keep_first(self, optimizer: Optimizer) -> None:
        """Copies of the first update's gradients, for the case that nobody clears them."""
        strided = [(p, grad) for p, grad in _held(optimizer) if grad.layout == torch.strided]
        self._first = [(p, grad.detach().clone()) for p, grad in strided]

    @torch.no_grad()
    def take_off_first(self, owner: Owner) -> None:
        """Where the second update's gradients were added to the first's, leave the step the second's alone."""
        if owner.begun_with_grads and all(owner.begun_with_grads):
            for p, first in self._first:
                if p.grad is not None:
                    p.grad.sub_(first)
        self._first = []


def second_moments(optimizer: Optimizer) -> bool:
    """Whether it divides by a running size of each gradient (Adam, RMSprop): steps that know no scale."""
    return any(
        name in state for state in optimizer.state.values() for name in ("exp_avg_sq", "square_avg")
    )


def begin_moments_anew(change: Change, optimizer: Optimizer) -> None:
    """An optimizer with second moments remembers a spike for as long as they last, and hardly moves until then."""
    held = dict(optimizer.state)
    optimizer.state.clear()

    def back() -> None:
        optimizer.state.clear()
        optimizer.state.update(held)

    change.then(back)
    change.said.append(f"the moments of {type(optimizer).__name__} begin anew, without the spikes")


def _held(optimizer: Optimizer) -> Held:
    owned = [p for group in optimizer.param_groups for p in group["params"]]
    return [(p, p.grad) for p in owned if p.grad is not None]
