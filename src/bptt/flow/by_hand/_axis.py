"""Which axis of a state counts its samples: the one along which a step mixes nothing.

Samples do not hear of one another, units do. So the step's transposed Jacobian keeps a gradient that sits at every
other place of the samples' axis at those places,

    v = 0 at odd places  =>  (∂s_t/∂s_{t-1})ᵀ v = 0 at odd places,

and spreads one that sits at every other unit. The Jacobian knows nothing of how the product was written (`h @ W`,
`W @ h`, `einsum`, a layer between two transpositions), nor of which parameter was met first.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from bptt.flow.walk._push import Pull, State

TRIES = 4
"""Steps that are asked, at most: one whose units are all saturated hands nothing back, and says nothing."""


def samples_axis(pull: Pull, zeros: Sequence[State], likely: int) -> int:
    """The axis of the samples; `likely`, -1 included, where the steps do not say otherwise.

    A recurrence of each unit for itself keeps both axes, and one that normalises over the batch may keep none; the
    likely one is taken then.

    Args:
        pull: `(∂s_t/∂s_{t-1})ᵀ v`, from t and v.
        zeros: zeros shaped as the state of each step.
        likely: what the shapes and the side of the weight suggest.

    Example:
        >>> w, h = torch.ones(3, 3), torch.zeros(3, 5)
        >>> samples_axis(lambda t, v: (w.T @ v[0],), [(h,), (h,)], 0)
        1
        >>> samples_axis(lambda t, v: (v[0] @ w,), [(h.T,), (h.T,)], 0)
        0
    """
    dims = {part.dim() for part in zeros[0]}
    if likely < 0 or len(dims) > 1 or max(dims) < 2:
        return likely
    # A batch of one says little: it is looked at last.
    others = [axis for axis in range(max(dims)) if axis != likely]
    others.sort(key=lambda axis: zeros[0][0].shape[axis] == 1)
    return next((axis for axis in (likely, *others) if _keeps(pull, zeros, axis)), likely)


def _keeps(pull: Pull, zeros: Sequence[State], axis: int) -> bool:
    """Whether no step that was asked spreads a gradient along this axis. Parts must agree on how long it is."""
    lengths = {part.shape[axis] for part in zeros[0]}
    if len(lengths) > 1:
        return False
    if lengths == {1}:
        return True
    steps = len(zeros) - 1
    for n in range(min(TRIES, steps)):
        t = steps - n * steps // TRIES
        back = pull(t, tuple(_striped(part, axis) for part in zeros[t]))
        if any(bool(_odd(part, axis).any()) for part in back):
            return False
        if any(bool(part.any()) for part in back):
            return True
    return True


def _striped(part: Tensor, axis: int) -> Tensor:
    """Numbers at the even places of an axis, all unlike and none of them random; zeros at the odd ones."""
    wave = torch.arange(part.numel(), device=part.device).cos().to(part.dtype).reshape(part.shape)
    _odd(wave, axis).zero_()
    return wave


def _odd(part: Tensor, axis: int) -> Tensor:
    return part.movedim(axis, 0)[1::2]
