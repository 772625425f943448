"""The backward recurrence of one track: the total gradient and the costate at every step.

    v_t = D_t + (∂s_{t+1}/∂s_t)ᵀ v_{t+1}

with the direct gradient `D_t` known. Where a gradient was seen arriving from the later side of a step (through `h_n`,
`c_n`, or at every step of a loop over a cell), what was seen replaces what the recurrence brings, and the excess of
the one over the other is direct gradient too.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor

from bptt.cells import State
from bptt.flow.walk._linear import Linearised
from bptt.flow.walk._sequence import End
from bptt.flow.walk._totals import Totals as Totals
from bptt.flow.walk._totals import joint_norm as joint_norm
from bptt.flow.walk._totals import norm as norm

EXCESS = {torch.float64: 1e-9, torch.float32: 1e-4}
EXCESS_LOW = 2e-2
"""Excess smaller than this share of the gradient is rounding of the precision the run had, not direct gradient."""


def walk_back(lin: Linearised, *, want_dx: bool, full: bool) -> Totals:
    """Run the recurrence from the last step to the first. `track.direct` gains what entered through the ends."""
    if lin.native is not None:
        return lin.native.walk_back(want_dx=want_dx, full=full)
    track, cell = lin.track, lin.cell
    carry: State = tuple(torch.zeros_like(part) for part in track.start)
    carry = (torch.zeros_like(track.direct[0]), *carry[1:])
    direct_c: dict[int, Tensor] = {}
    pieces: list[Piece] = []
    for t0, t1 in reversed(lin.chunks()):
        local = lin.local(t0, t1)
        costates: list[State] = []
        for t, here in zip(
            reversed(range(t0, t1)), reversed(lin.steps_of(local, t0, t1)), strict=True
        ):
            v: State = (carry[0] + track.direct[t], *carry[1:])
            if t in track.ends:
                v, extra_h, extra_c = _arrive(track.ends[t], carry, track.direct[t], here, lin)
                track.direct[t] += extra_h
                if extra_c is not None and bool(extra_c.any()):
                    direct_c[t] = extra_c
            costates.append(v)
            carry = cell.pull(here, v, track.w)
        pieces.append(_measure(lin, local, costates[::-1], want_dx, full))
    whole = Piece(*map(_join, zip(*reversed(pieces), strict=True)))
    direct = norm(track.direct)
    for t, in_c in direct_c.items():
        direct[t] = torch.hypot(direct[t], norm(in_c))
    return Totals(*whole, direct=direct, direct_c=direct_c)


def _arrive(
    end: End, carry: State, direct: Tensor, here: Any, lin: Linearised
) -> tuple[State, Tensor, Tensor | None]:
    """The costate at an end, and the direct gradient that entered there (in h, in c)."""
    own_h = carry[0]
    seen_h = _where(end.samples, end.h, own_h)
    extra_h, dh = _excess(seen_h, own_h, lin.ran_as), seen_h + direct
    if end.c is None:
        return (dh,), extra_h, None
    own_e = carry[1]
    if end.c_is_total:
        own_c = lin.cell.total_c(here, (dh, own_e), lin.track.w)
        assert own_c is not None
        extra_c = _excess(end.c, own_c, lin.ran_as)
        return (dh, own_e + extra_c), extra_h, extra_c
    seen_c = _where(end.samples, end.c, own_e)
    return (dh, seen_c), extra_h, _excess(seen_c, own_e, lin.ran_as)


def _where(samples: Tensor | None, seen: Tensor, own: Tensor) -> Tensor:
    return seen if samples is None else torch.where(samples.unsqueeze(-1), seen, own)


def _excess(seen: Tensor, own: Tensor, ran_as: torch.dtype) -> Tensor:
    """What was seen beyond what the recurrence brings, unless it is within rounding."""
    extra = seen - own
    real = norm(extra) > EXCESS.get(ran_as, EXCESS_LOW) * torch.maximum(norm(seen), norm(own))
    return torch.where(real.unsqueeze(-1), extra, 0)


class Piece(NamedTuple):
    """The measured part of a chunk of time."""

    grad_h: Tensor
    grad_c: Tensor | None
    grad_state: Tensor
    dx: Tensor | None
    dh: Tensor | None
    dc: Tensor | None


def _measure(
    lin: Linearised, local: Any, costates: list[State], want_dx: bool, full: bool
) -> Piece:
    v: State = tuple(torch.stack(parts) for parts in zip(*costates, strict=True))
    dc = lin.cell.total_c(local, v, lin.track.w)
    dx = None
    if want_dx:
        dx = lin.cell.preactivation_grad(local, v, lin.track.w) @ lin.track.w.w_ih
    return Piece(
        norm(v[0]),
        None if dc is None else norm(dc),
        joint_norm(v),
        dx,
        v[0] if full else None,
        dc if full else None,
    )


def _join(parts: tuple[Any, ...]) -> Any:
    """Chunks laid end to end, where there are any."""
    return None if parts[0] is None else torch.cat(parts)
