"""Gradients as the backward pass left them, where a script's own code shortens them before the step."""

import math

import torch
from torch import Tensor
from torch.optim import Optimizer

EXACT = 1e-3
"""Of a gradient's norm, by which what was shortened may differ from what it was made of."""
SAME = 1e-4
"""Relative difference up to which two updates' factors are one: an average or a loss scale, and no clipping."""


class AsComputed:
    """Keeps a copy of each gradient as it is accumulated, and puts it back if it was clipped by hand since then.

    Clipping by hand is known by what it leaves: of every parameter either the gradient itself, or a multiple of it
    below 1, or the gradient clamped at a limit. Whatever else a script does to its gradients stays done, and so does a
    factor that is the same from update to update.

    Args:
        optimizer: whose parameters they are.

    Attributes:
        count: updates whose gradients were put back.

    Example:
        >>> weight = torch.nn.Parameter(torch.ones(2))
        >>> optimizer = torch.optim.SGD([weight], lr=1.0)
        >>> kept = AsComputed(optimizer)
        >>> (weight * torch.tensor([3.0, 4.0])).sum().backward()
        >>> _ = weight.grad.mul_(0.01)
        >>> kept.put_back(optimizer); kept.remove()
        >>> weight.grad.tolist()
        [3.0, 4.0]
    """

    def __init__(self, optimizer: Optimizer) -> None:
        self.count = 0
        self._kept: dict[int, Tensor] = {}
        self._factor = math.nan
        self._handles = [
            p.register_post_accumulate_grad_hook(self._keep)
            for group in optimizer.param_groups
            for p in group["params"]
            if p.requires_grad and p.is_leaf
        ]

    def remove(self) -> None:
        """Keep no more."""
        while self._handles:
            self._handles.pop().remove()
        self._kept.clear()

    def _keep(self, p: Tensor) -> None:
        if p.grad is not None and p.grad.layout == torch.strided:
            self._kept[id(p)] = p.grad.detach().clone()

    @torch.no_grad()
    def put_back(self, optimizer: Optimizer) -> None:
        """Before a step."""
        held = [
            (p.grad, self._kept[id(p)])
            for group in optimizer.param_groups
            for p in group["params"]
            if p.grad is not None and id(p) in self._kept
        ]
        self._kept = {}
        factors = [_factor(now, was) for now, was in held]
        least, last = min(factors, default=math.nan), self._factor
        self._factor = least
        if not all(factor > 0 for factor in factors) or not least < 1 - EXACT:
            return
        if abs(least - last) <= SAME * last:
            return
        for now, was in held:
            now.copy_(was)
        self.count += 1


def _factor(now: Tensor, was: Tensor) -> float:
    """What was left of a gradient by clipping; nan where it was something else, 1 where there was nothing to clip."""
    size = float(was.norm())
    if size == 0 or torch.equal(now, was):
        return 1.0
    if now.shape != was.shape or not math.isfinite(size):
        return math.nan
    left = float((now * was).sum()) / size**2
    most = float(now.abs().max())
    near = EXACT * float(now.norm())
    scaled = float((now - left * was).norm()) <= near
    clamped = float((now - was.clamp(-most, most)).norm()) <= near
    return left if 0 < left < 1 and (scaled or clamped) else math.nan
