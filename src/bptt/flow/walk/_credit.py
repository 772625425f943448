"""The credit curve: what is left, k steps earlier, of a gradient that enters at one step.

    v_τ = D_τ,   v_{t-1} = (∂s_t/∂s_{t-1})ᵀ v_t,   credit[k] = geometric mean of ‖v_{τ-k}‖ / ‖v_τ‖

over anchors τ and samples. An anchor is a step where the loss really enters: its direct gradient is at least
`BEARING` of the sample's largest. Where a sample has many, one is taken (several where the batch has fewer than
`ANCHORS` samples): the last for sample 0, and from sample to sample ranks further back in turn, evenly spaced, so
that short and long lags are all measured and the cost is that of one backward pass.

The vectors are rescaled as they go and the curve is kept as a logarithm: a credit of 1e-300 is measured, not lost.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from bptt.cells import State
from bptt.flow.walk._backward import Totals, joint_norm
from bptt.flow.walk._linear import Linearised

ANCHORS = 4
BEARING = 1e-3
RESCALE_EVERY = 8


class Credit(NamedTuple):
    """The log credit by lag, summed over anchors and samples, `[T]`; how many anchors; where the loss enters."""

    log_sum: Tensor
    anchors: Tensor
    bears: Tensor


def bearing(direct: Tensor) -> Tensor:
    """Which steps of which samples bear loss, from the norms of the direct gradient `[T, B]`."""
    top = direct.amax(0, keepdim=True)
    return (direct >= BEARING * top) & (direct > 0) & direct.isfinite()


def anchors(bears: Tensor) -> Tensor:
    """`[A, B]` steps τ, -1 where a sample has fewer. Over the batch, ranks 1, ¾, ½, ¼ of the bearing steps in turn."""
    count, batch = bears.sum(0), bears.shape[1]
    turn = torch.arange(batch, device=bears.device)
    order = torch.where(
        bears, torch.arange(len(bears), device=bears.device).unsqueeze(1), len(bears)
    )
    steps = order.sort(0).values
    rows = []
    for a in range(-(-ANCHORS // max(batch, 1))):
        back = (turn + a * batch) % ANCHORS
        rank = ((count - 1) * (ANCHORS - back) / ANCHORS).round().long()
        tau = steps.gather(0, rank.clamp(min=0).unsqueeze(0))[0]
        fresh = (count > 0) & torch.stack([tau != row for row in rows] or [count > 0]).all(0)
        rows.append(torch.where(fresh, tau, -1))
    found = torch.stack(rows)
    used = (found >= 0).any(1)
    return found[used] if bool(used.any()) else found[:1]


def credit(lin: Linearised, totals: Totals, valid: Tensor | None = None) -> Credit:
    """Push every anchor's direct gradient back through the step Jacobians."""
    track = lin.track
    bears = bearing(totals.direct if valid is None else totals.direct * valid)
    taus = anchors(bears)
    if not taus.numel():
        return Credit(
            torch.zeros(track.steps).double(), torch.zeros(track.steps).double(), bears.cpu()
        )
    log_norms = None if lin.native is None else lin.native.push_back(totals, taus)
    if log_norms is None:
        log_norms = _push_back(lin, totals, taus)
    return by_lag(log_norms, taus, bears)


def _push_back(lin: Linearised, totals: Totals, taus: Tensor) -> Tensor:
    """`log ‖v_t‖` of every anchor, `[T, A, B]`; only entries at and before the anchor mean anything."""
    track, cell = lin.track, lin.cell
    v: State = tuple(
        torch.zeros(*taus.shape, part.shape[-1], dtype=track.y.dtype, device=track.y.device)
        for part in (track.direct[0], *track.start[1:])
    )
    scale = torch.zeros(taus.shape, dtype=torch.float64, device=track.y.device)
    out = torch.full(
        (track.steps, *taus.shape), float("nan"), dtype=torch.float64, device=track.y.device
    )
    entering = set(taus.unique().tolist())
    block: list[State] = []
    for t0, t1 in reversed(lin.chunks()):
        if t0 > int(taus.max()):
            continue
        locals_ = lin.steps_of(lin.local(t0, t1), t0, t1)
        for t in reversed(range(t0, t1)):
            if t in entering:
                v = _enter(v, taus == t, _direct_at(lin, totals, t))
                scale = torch.where(taus == t, 0.0, scale)
            block.append(v)
            if len(block) == RESCALE_EVERY or t == t0:
                v, scale = _record(out, t, block, scale)
                block = []
            v = cell.pull(locals_[t - t0], v, track.w)
    return out


def _direct_at(lin: Linearised, totals: Totals, t: int) -> State:
    """The direct gradient at a step as a costate of norm 1; `(D, 0)` for an LSTM unless `c_n` feeds the loss."""
    parts = [lin.track.direct[t]]
    if lin.cell.parts > 1:
        zero = torch.zeros_like(lin.track.start[1])
        parts.append(totals.direct_c.get(t, zero))
    size = joint_norm(tuple(parts)).clamp(min=torch.finfo(torch.float64).tiny).unsqueeze(-1)
    return tuple((part.double() / size).to(part.dtype) for part in parts)


def _enter(v: State, here: Tensor, direct: State) -> State:
    return tuple(
        torch.where(here.unsqueeze(-1), d, part) for part, d in zip(v, direct, strict=True)
    )


def _record(out: Tensor, t: int, block: list[State], scale: Tensor) -> tuple[State, Tensor]:
    """Write the block's log norms; rescale its last costate to norm 1."""
    stacked = tuple(torch.stack(parts[::-1]) for parts in zip(*block, strict=True))
    sizes = joint_norm(stacked)
    out[t : t + len(block)] = sizes.log() + scale
    last = sizes[0]
    usable = (last > 0) & last.isfinite()
    factor = torch.where(usable, last, 1.0)
    v = tuple((part / factor.unsqueeze(-1)).to(part.dtype) for part in block[-1])
    return v, scale + factor.log()


def by_lag(log_norms: Tensor, taus: Tensor, bears: Tensor) -> Credit:
    """Sum the anchors' log norms `[T, A, B]`, each less its own at τ, by their lag.

    What enters is of norm 1 up to its rounding only, and where the gradient is all but zero, not even that.
    """
    log_norms = log_norms - log_norms.gather(0, taus.clamp(min=0).unsqueeze(0))
    steps = torch.arange(len(log_norms), device=taus.device).view(-1, 1, 1)
    lag = taus - steps
    inside = (lag >= 0) & (taus >= 0) & ~log_norms.isnan()
    log_sum = torch.zeros(len(log_norms), dtype=torch.float64, device=taus.device)
    log_sum.index_add_(0, lag[inside], log_norms[inside])
    count = torch.zeros_like(log_sum).index_add_(0, lag[inside], torch.ones_like(log_norms[inside]))
    return Credit(log_sum.cpu(), count.cpu(), bears.cpu())
