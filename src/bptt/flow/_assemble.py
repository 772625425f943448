"""Measurements of single sequences put together as sites: sequences stand side by side as samples."""

from collections.abc import Sequence as Several
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from bptt.flow._flow import Flow, Site
from bptt.flow.explain._attribution import mean_over_samples
from bptt.flow.explain._theory import UNGATED
from bptt.flow.walk._backward import Totals
from bptt.flow.walk._credit import Credit
from bptt.flow.walk._sequence import Track
from bptt.flow.walk._statistics import Statistics, merged, of_gradients, with_states


@dataclass(eq=False)
class Part:
    """One sequence at one site, on the CPU. Norms in input time; `bears` and `counted` in processing order, all `[T,
    B]`.

    `counted` marks the input steps that could have been reached: padding is not counted. `ran_as` is the precision that
    gradients of a recurrence by hand cannot get past.
    """

    site: str
    kind: str
    lengths: Tensor
    grad_h: Tensor
    grad_c: Tensor | None
    grad_state: Tensor
    grad_direct: Tensor | None
    credit: Credit | None
    counted: Tensor | None
    reverse: bool = False
    cuts: int = 0
    dh: Tensor | None = None
    dc: Tensor | None = None
    log_factors: Tensor | None = None
    w_hh: Tensor | None = None
    statistics: Statistics | None = None
    states: Statistics | None = None
    ran_as: torch.dtype = torch.float32


def part_of(
    track: Track, totals: Totals, curve: Credit, valid: Tensor | None, padding: Tensor, cuts: int
) -> Part:
    """A measured track as a part of its site. `valid` and `padding` are `[T, B]` in input time."""
    steps, batch = totals.grad_h.shape
    known = torch.ones(steps, batch, dtype=torch.bool) if valid is None else valid
    after_loss = curve.bears.flip(0).cumsum(0).flip(0) == 0
    counted = track.in_input_time(known) & ~(track.in_input_time(padding) & after_loss)

    def shown(quantity: Tensor | None) -> Tensor | None:
        if quantity is None:
            return None
        quantity = track.in_input_time(quantity).cpu()
        mask = known if quantity.dim() == 2 else known.unsqueeze(-1)
        return torch.where(mask, quantity, 0)

    grad_h, grad_state = shown(totals.grad_h), shown(totals.grad_state)
    assert grad_h is not None and grad_state is not None
    return Part(
        site=track.site,
        kind=track.kind,
        lengths=known.sum(0),
        grad_h=grad_h,
        grad_c=shown(totals.grad_c),
        grad_state=grad_state,
        grad_direct=shown(totals.direct),
        credit=curve,
        counted=counted,
        reverse=track.reverse,
        cuts=cuts,
        dh=shown(totals.dh),
        dc=shown(totals.dc),
        w_hh=track.w.w_hh.cpu() if track.kind in UNGATED else None,
    )


def assemble(parts: list[Part], threshold: float) -> Flow:
    """Group the parts by site, in the order in which the model used them."""
    groups: dict[str, list[Part]] = {}
    for part in parts:
        groups.setdefault(part.site, []).append(part)
    sites = {name: _site(group, threshold) for name, group in groups.items()}
    return Flow(sites, threshold=threshold)


def _site(parts: list[Part], threshold: float) -> Site:
    first = parts[0]
    grad_h = _beside([part.grad_h for part in parts])
    assert grad_h is not None
    site = Site(
        name=first.site,
        kind=first.kind,
        lengths=torch.cat([part.lengths for part in parts]),
        grad_h=grad_h,
        grad_c=_beside([part.grad_c for part in parts]),
        grad_state=_grid([part.grad_state for part in parts]),
        grad_direct=_beside([part.grad_direct for part in parts]),
        log_credit=_log_credit([part.credit for part in parts]),
        unreached=None,
        threshold=threshold,
        reverse=first.reverse,
        cuts=sum(part.cuts for part in parts),
        dh=_beside([part.dh for part in parts]),
        dc=_beside([part.dc for part in parts]),
        log_factors=_log_factors(parts),
        statistics=_statistics(parts),
        w_hh=first.w_hh if all(part.w_hh is first.w_hh for part in parts) else None,
    )
    site.unreached = _unreached(parts, site.horizon)
    return site


def _beside(quantities: Several[Tensor | None]) -> Tensor | None:
    """`[T, ΣB, …]`: the samples of all parts; shorter parts end in zeros. None if any part lacks the quantity."""
    known = [quantity for quantity in quantities if quantity is not None]
    return _grid(known) if len(known) == len(quantities) else None


def _grid(quantities: list[Tensor]) -> Tensor:
    longest = max(map(len, quantities))
    after = (0, 0)
    padded = [F.pad(q, (*after * (q.dim() - 1), 0, longest - len(q))) for q in quantities]
    return torch.cat(padded, 1)


def _log_credit(curves: Several[Credit | None]) -> Tensor | None:
    """Mean of the log credit over all anchors and samples that measure a lag; NaN where none does."""
    known = [curve for curve in curves if curve is not None]
    if len(known) < len(curves):
        return None
    longest = max(len(curve.anchors) for curve in known)
    log_sum = torch.stack(
        [F.pad(curve.log_sum, (0, longest - len(curve.log_sum))) for curve in known]
    )
    count = torch.stack(
        [F.pad(curve.anchors, (0, longest - len(curve.anchors))) for curve in known]
    )
    return log_sum.sum(0) / count.sum(0)


def _statistics(parts: list[Part]) -> Statistics:
    return merged([part.statistics or _of_own(part) for part in parts])


def _of_own(part: Part) -> Statistics:
    """What can be said of a cell of the user's own: its gradients and, where the graph shows them, its states."""
    nowhere = torch.zeros_like(part.grad_state, dtype=torch.bool)
    bears = nowhere if part.credit is None else part.credit.bears
    found, states = of_gradients(part.grad_state, part.grad_direct, bears, None), part.states
    found.precision = str(part.ran_as).removeprefix("torch.")
    return found if states is None else with_states(found, states)


def _log_factors(parts: list[Part]) -> Tensor | None:
    known = [part.log_factors for part in parts if part.log_factors is not None]
    return mean_over_samples(known) if len(known) == len(parts) else None


def _unreached(parts: list[Part], horizon: int | None) -> float | None:
    """Share of the counted input steps with no loss-bearing step at or within the horizon after them."""
    if horizon is None:
        return None
    missed = total = 0
    for part in parts:
        if part.credit is None or part.counted is None:
            return None
        steps = torch.arange(len(part.counted)).unsqueeze(1)
        never = len(steps) + horizon + 1
        bearing = torch.where(part.credit.bears, steps, never)
        following = bearing.flip(0).cummin(0).values.flip(0)
        missed += int((part.counted & (following - steps > horizon)).sum())
        total += int(part.counted.sum())
    return missed / total if total else None
