"""The compiled clipping of units: one pass over a weight and its gradient."""

import math

import torch
from torch import Tensor

from bptt.kernels._load import present

LARGEST = 2**18
"""Numbers in all; beyond, torch's own threads are faster than one of ours."""
SAFE = 1e15
"""Norms up to here have squares that float32 holds."""

_foreach_norm = torch._foreach_norm  # type: ignore[attr-defined]


def clip_units(
    weights: list[Tensor],
    grads: list[Tensor],
    factor: float,
    least: float,
    floor: float = 1e-6,
) -> tuple[float, float] | None:
    """Bound each unit's gradient by the size of its weights, in place.

    `g_i ← g_i · min(1, factor · max(‖w_i‖, least) / ‖g_i‖)`; a unit `i` is a row, what the first axis counts, and a
    vector is one unit.

    Args:
        weights: on any device, of any dtype.
        grads: as many, of the same shapes; they are changed.
        factor: the largest ratio of a gradient to its weight.
        least: the norm that a unit of smaller weights is taken to have.
        floor: the norm that a smaller gradient is divided by.

    Returns:
        The gradient's norm before and after; None, with nothing changed, where the compiled pass is not for these: it
        is not here, a tensor is elsewhere than on the CPU, neither float32 nor float64, not contiguous, a gradient
        beyond any usual size or not finite, or they are so large that torch is faster.

    Example:
        >>> w, g = torch.ones(2, 4), torch.tensor([[3.0, 0, 0, 4.0], [0.1, 0, 0, 0]])
        >>> norms = clip_units([w], [g], 0.5, 1e-3)
        >>> g if norms is not None else torch.tensor([[0.6, 0, 0, 0.8], [0.1, 0, 0, 0]])
        tensor([[0.6000, 0.0000, 0.0000, 0.8000],
                [0.1000, 0.0000, 0.0000, 0.0000]])
    """
    if not grads or not present() or sum(map(Tensor.numel, grads)) > LARGEST:
        return None
    if not all(map(_fits, weights, grads)):
        return None
    if not math.hypot(*map(float, _foreach_norm(grads))) < SAFE:
        return None
    clip = torch.ops.bptt.clip_units.default
    before = after = 0.0
    for weight, grad in zip(weights, grads, strict=True):
        was, left = clip(weight, grad, factor, least, floor)
        before, after = before + was, after + left
    return math.sqrt(before), math.sqrt(after)


def _fits(weight: Tensor, grad: Tensor) -> bool:
    return (
        weight.is_cpu
        and grad.is_cpu
        and grad.layout is torch.strided
        and grad.dtype is weight.dtype
        and weight.dtype in (torch.float32, torch.float64)
        and weight.is_contiguous()
        and grad.is_contiguous()
    )
