"""Singular values of a product of step Jacobians, each to its own precision however far apart they lie.

    J_n … J_1 Q_0 = Q_n R_n … R_1 = Q_n diag(e^d) U

The frame `Q_0` comes from a sweep of transposed steps, so that the rows of the triangular product come out in falling
order; rows are kept with their logarithmic scale `d` apart. A one-sided Jacobi iteration then turns the scaled rows
until they are orthogonal, and their lengths are the singular values.

Source: Demmel & Veselić, "Jacobi's method is more accurate than QR", SIAM J. Matrix Anal. Appl. 13 (1992); Stewart, "On
graded QR decompositions of products of matrices", ETNA 3 (1995).
"""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from bptt._errors import UnmeasurableError
from bptt.cells import State, at
from bptt.flow.walk._linear import Linearised

SWEEPS = 40
ORTHOGONAL = 1e-14
"""Rows whose angle's cosine is smaller are orthogonal."""


def log_singular_values(
    lin: Linearised, inside: Tensor, start: int, stop: int
) -> Float[Tensor, "B S"]:
    """Logarithms, largest first, for the input steps `start … stop-1`; NaN rows for samples that end earlier."""
    track = lin.track
    t = torch.arange(track.steps, device=track.y.device).unsqueeze(1)
    wanted = inside.to(t.device) & (t >= start) & (t < stop)
    whole = wanted.sum(0) == stop - start
    active = track.in_input_time(wanted)
    order = active.any(1).nonzero().flatten().tolist()
    if not order:
        return track.y.new_full((active.shape[1], _width(track.start)), float("nan")).double()
    backward = _sweep(lin, active, order[::-1])
    log_scale, rows = _factor(lin, active, order, backward)
    found = _orthogonal_rows(log_scale, rows).sort(-1, descending=True).values
    return torch.where(whole.unsqueeze(-1), found, float("nan"))


def _width(state: State) -> int:
    return sum(part.shape[-1] for part in state)


def _split(lin: Linearised, rows: Tensor) -> State:
    return tuple(rows.split([part.shape[-1] for part in lin.track.start], -1))


def _locals(lin: Linearised, order: list[int]) -> Any:
    """`(step, local factors in float64 with an axis for rows)`, chunk by chunk in the given order."""
    up = order[0] <= order[-1]
    for t0, t1 in lin.chunks() if up else reversed(lin.chunks()):
        here = [t for t in order if t0 <= t < t1]
        if not here:
            continue
        local = lin.local(t0, t1)
        for t in here:
            one = at(local, t - t0)
            yield t, type(one)(*(field.double().unsqueeze(1) for field in one))


def _orthonormal(rows: Tensor, step: int) -> tuple[Tensor, Tensor]:
    """Orthonormal rows, and the triangular factor."""
    if not bool(rows.isfinite().all()):
        raise UnmeasurableError(
            f"the Jacobian of step {step} is not finite; no product can be taken across it"
        )
    q, r = torch.linalg.qr(rows.mT)
    return q.mT.contiguous(), r


def _sweep(lin: Linearised, active: Tensor, order: list[int]) -> Tensor:
    """Orthonormal rows that have gone back through all the steps: `J_1ᵀ … J_nᵀ` applied to the identity."""
    w, size = lin.track.w.to(torch.float64), _width(lin.track.start)
    eye = torch.eye(size, dtype=torch.float64, device=active.device)
    rows = eye.expand(active.shape[1], -1, -1)
    for t, local in _locals(lin, order):
        pulled = torch.cat(lin.cell.pull(local, _split(lin, rows), w), -1)
        rows, _ = _orthonormal(torch.where(active[t].view(-1, 1, 1), pulled, rows), t)
    return rows


def _factor(
    lin: Linearised, active: Tensor, order: list[int], rows: Tensor
) -> tuple[Tensor, Tensor]:
    """The triangular product `R_n … R_1` as `diag(e^d) U` with rows of `U` of length 1."""
    w = lin.track.w.to(torch.float64)
    d = torch.zeros(rows.shape[:2], dtype=torch.float64, device=rows.device)
    u = torch.eye(rows.shape[-1], dtype=torch.float64, device=rows.device).expand_as(rows)
    for t, local in _locals(lin, order):
        pushed = torch.cat(lin.cell.push(local, _split(lin, rows), w), -1)
        rows, r = _orthonormal(torch.where(active[t].view(-1, 1, 1), pushed, rows), t)
        weight = r.abs().log() + d.unsqueeze(-2)
        top = weight.amax(-1)
        top = torch.where(top.isinf(), 0, top)
        d, u = _unit(top, (r.sign() * (weight - top.unsqueeze(-1)).exp()) @ u)
    return d, u


def _unit(d: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
    """Rows of length 1, their lengths moved into the scales."""
    size = u.norm(dim=-1)
    return d + size.log(), u / torch.where(size > 0, size, 1).unsqueeze(-1)


def _orthogonal_rows(d: Tensor, u: Tensor) -> Tensor:
    """Log lengths of the rows `e^d u` after rotating pairs until all are orthogonal."""
    if d.shape[-1] == 1:
        return d
    rounds = _rounds(d.shape[-1])
    worst = u.new_zeros(())
    for _ in range(SWEEPS):
        worst = u.new_zeros(())
        for first, second in rounds:
            worst = torch.maximum(worst, _rotate(d, u, first.to(u.device), second.to(u.device)))
        d, u = _unit(d, u)
        if float(worst) < ORTHOGONAL * d.shape[-1]:
            return d
    raise UnmeasurableError(
        f"the Jacobi iteration did not settle within {SWEEPS} sweeps (largest cosine {float(worst):.1e}); "
        "take a shorter window"
    )


def _rounds(n: int) -> list[tuple[Tensor, Tensor]]:
    """All pairs of `n` rows, in rounds of disjoint pairs (a round robin)."""
    seats = torch.arange(n + n % 2)
    found = []
    for _ in range(len(seats) - 1):
        first, second = seats[: len(seats) // 2], seats.flip(0)[: len(seats) // 2]
        real = (first < n) & (second < n)
        found.append((first[real], second[real]))
        seats = torch.cat([seats[:1], seats[1:].roll(1)])
    return found


def _rotate(d: Tensor, u: Tensor, first: Tensor, second: Tensor) -> Tensor:
    """Make the pairs of rows orthogonal, in place; the largest cosine met.

    With `a` the longer-scaled row and `δ = e^{d_b - d_a} <= 1`, the rotation by `tan = t` is `a' = c a - s δ b`, and
    `b' = (s/δ) a + c b` in b's own scale: `s/δ` is found without dividing, so that no small row is lost.
    """
    swap = d[:, first] < d[:, second]
    i, j = torch.where(swap, second, first), torch.where(swap, first, second)
    wide = (-1, -1, u.shape[-1])
    at_i, at_j = i.unsqueeze(-1).expand(wide), j.unsqueeze(-1).expand(wide)
    a, b = u.gather(1, at_i), u.gather(1, at_j)
    delta = (d.gather(1, j) - d.gather(1, i)).exp().nan_to_num(0.0)
    aa, bb, dot = (a * a).sum(-1), (b * b).sum(-1), (a * b).sum(-1)
    gap = delta * delta * bb - aa
    slant = torch.hypot(gap, 2 * delta * dot) + gap.abs()
    t_per_delta = torch.where(gap < 0, -2 * dot, 2 * dot) / torch.where(slant > 0, slant, 1)
    t = delta * t_per_delta
    c = torch.rsqrt(1 + t * t)
    u.scatter_(1, at_i, c.unsqueeze(-1) * (a - (t * delta).unsqueeze(-1) * b))
    u.scatter_(1, at_j, c.unsqueeze(-1) * (t_per_delta.unsqueeze(-1) * a + b))
    size = (aa * bb).sqrt()
    return (dot.abs() / torch.where(size > 0, size, 1)).max()
