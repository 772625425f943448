"""A probe's record, as a line of `flow.jsonl` holds it: the flow's digest, and what a report draws by step."""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from bptt.doctor._series import short
from bptt.flow import Flow, Site

POINTS, FEWEST, ALL = 64, 8, 4096
"""At most so many steps of a series by step; fewer, but for so many, where a flow has more than 64 sites."""
DIGITS = 5

Points = list[list[float | int | None]]
"""`[[step, value], …]`, by the input's own time; None where a value is not finite."""


def digest_of(flow: Flow) -> dict[str, Any]:
    """`flow.digest()`, with these for every site:

    | key | |
    |---|---|
    | `total` | `‖dL/dh_t‖` by step, mean over the samples that have the step |
    | `direct` | the same of the part that enters at the step from above; None where it is not known |
    | `attribution` | log gain from step `t` back to `t-1`, by cause: `weight`, `slope`, and `gates` if there are |
    | `saturation` | shares: `tanh` states at their ends, `relu_dead` units, each gate's units stuck `open` or `shut` |

    The last two are missing where they were not measured. Of a long sequence 64 steps are told: both ends, and of each
    stretch between them the step with the largest direct gradient, so that a single loss is not lost between two. Where
    that is not known, they are evenly spaced.

    Example:
        >>> import bptt
        >>> _ = torch.manual_seed(0)
        >>> flow = bptt.measure(torch.nn.RNN(2, 4), torch.randn(3, 1, 2), loss=lambda out: out[0][-1].sum())
        >>> site = digest_of(flow)["sites"]["l0"]
        >>> site["direct"], sorted(site["attribution"]), site["saturation"]
        ([[0, 0.0], [1, 0.0], [2, 2.0]], ['slope', 'weight'], {'tanh': 0.0})
    """
    whole, points = flow.digest(), max(FEWEST, min(POINTS, ALL // max(len(flow), 1)))
    for site in flow:
        whole["sites"][site.name] |= _by_step(site, points)
    return whole


def _by_step(site: Site, points: int) -> dict[str, Any]:
    total, direct = _mean(site.grad_h, site.lengths), None
    if site.grad_direct is not None:
        direct = _mean(site.grad_direct, site.lengths)
    steps = _even(len(total), points) if direct is None else _peaks(direct, points)
    found: dict[str, Any] = {
        "total": _told(total, steps),
        "direct": None if direct is None else _told(direct, steps),
    }
    if (causes := _attribution(site, points)) is not None:
        found["attribution"] = causes
    if (shares := _saturation(site)) is not None:
        found["saturation"] = shares
    return found


def _mean(norms: Tensor, lengths: Tensor) -> Tensor:
    """`[T]` from `[T, B]`; past a sample's end norms are 0 and do not count."""
    count = (torch.arange(len(norms)).unsqueeze(1) < lengths).sum(1)
    return norms.double().sum(1) / count.clamp(min=1)


def _even(count: int, points: int) -> list[int]:
    """Evenly spaced places, both ends with them."""
    return torch.linspace(0, count - 1, min(points, count)).round().long().tolist()


def _peaks(values: Tensor, points: int) -> list[int]:
    """The place of the largest entry in each of so many stretches, and both ends."""
    edges = [
        0,
        *torch.linspace(1, len(values) - 1, min(points, len(values)) - 1).round().long().tolist(),
        len(values),
    ]
    each = values.nan_to_num(torch.inf, torch.inf).tolist()
    return [
        max(range(start, stop), key=each.__getitem__)
        for start, stop in pairwise(dict.fromkeys(edges))
    ]


def _told(values: Tensor, places: list[int], name: Callable[[int], int] = int) -> Points:
    """The entries at these places; `name` tells the step of an entry."""
    pairs = zip(places, values[places].tolist(), strict=True)
    told: Points = [[name(n), short(value, DIGITS)] for n, value in pairs]
    return sorted(told, key=lambda point: point[0] or 0)


def _attribution(site: Site, points: int) -> dict[str, Points] | None:
    split, last = site.attribution, site.steps - 1
    if split is None or last < 1:
        return None
    causes = {"weight": split.weights, "slope": split.slope}
    if split.by_gate:
        causes["gates"] = split.gates
    # Entry n is the way between steps n and n+1 of the recurrence's own order.
    name: Callable[[int], int] = (lambda n: last - n - 1) if site.reverse else (lambda n: n + 1)
    return {
        cause: _told(values, _even(len(values), points), name) for cause, values in causes.items()
    }


def _saturation(site: Site) -> dict[str, Any] | None:
    s = site.statistics
    if s is None:
        return None
    shares: dict[str, Any] = {}
    if s.saturated is not None:
        shares["tanh"] = short(s.saturated, DIGITS)
    if s.dead is not None:
        shares["relu_dead"] = short(len(s.dead) / max(s.units, 1), DIGITS)
    if s.open:
        shares["gates"] = {
            gate: {"open": short(share, DIGITS), "shut": short(s.shut[gate], DIGITS)}
            for gate, share in s.open.items()
        }
    return shares or None
