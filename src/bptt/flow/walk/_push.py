"""Pushing the anchors of a credit curve back through steps that are given as functions.

A state is a tuple of tensors of any shape. `axis` says which of their axes counts the samples: 0, 1, or -1 for a state
that belongs to one sample as a whole.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from bptt.flow.walk._totals import norm, wide

State = tuple[Tensor, ...]
Pull = Callable[[int, State], State]
"""`(∂s_t/∂s_{t-1})ᵀ v`, from t and v."""


def rows(tensor: Tensor, axis: int = 0) -> Tensor:
    """A state as `[B, H]`; one without a batch axis is one sample."""
    if tensor.dim() < 2 or axis < 0:
        return tensor.reshape(1, -1)
    return tensor.movedim(axis, 0).flatten(1)


def flat(state: State, axis: int = 0) -> Tensor:
    """All parts of a state side by side, `[B, S]`."""
    return torch.cat([rows(part, axis).to(wide(part)) for part in state], -1)


def along(samples: Tensor, part: Tensor, axis: int) -> Tensor:
    """One number a sample, `[B]`, shaped so that it meets its sample in a part of the state."""
    shape = [1] * part.dim()
    if part.dim() >= 2 and axis >= 0:
        shape[axis] = len(samples)
    return samples.reshape(shape)


def scaled(state: State, factor: Tensor, axis: int) -> State:
    """Every sample of a state divided by its number in `factor`, `[B]`, in double precision."""
    return tuple((part.to(wide(part)) / along(factor, part, axis)).to(part.dtype) for part in state)


def push_back(pull: Pull, direct: Sequence[State], taus: Tensor, axis: int = 0) -> Tensor:
    """`log ‖v_t‖` of every anchor, `[T, A, B]`, for `v_τ` the direct gradient of norm 1; rescaled at every step."""
    shape = (len(direct), *taus.shape)
    out = torch.full(shape, float("nan"), dtype=torch.float64, device=taus.device)
    for a, tau in enumerate(taus):
        v = tuple(map(torch.zeros_like, direct[0]))
        scale = torch.zeros(len(tau), dtype=torch.float64, device=taus.device)
        for t in reversed(range(int(tau.max()) + 1)):
            here = tau == t
            if bool(here.any()):
                v, scale = _enter(v, direct[t], here, axis), torch.where(here, 0.0, scale)
            size = norm(flat(v, axis))
            out[t, a] = size.log() + scale
            factor = torch.where((size > 0) & size.isfinite(), size, 1.0)
            v, scale = scaled(v, factor, axis), scale + factor.log()
            if t:
                v = pull(t, v)
    return out


def _enter(v: State, direct: State, here: Tensor, axis: int) -> State:
    size = norm(flat(direct, axis)).clamp(min=1e-300)
    fresh = scaled(direct, size, axis)
    return tuple(
        torch.where(along(here, old, axis), new, old) for old, new in zip(v, fresh, strict=True)
    )
