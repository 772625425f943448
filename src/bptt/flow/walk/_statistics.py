"""What a site's states and gates look like: numbers that say why a gradient goes where it goes.

They come from what the flow has anyway: gates are made again at a few steps of a few samples, states are looked at
whole. Every number is a share or a mean; the statistics of several parts of a site are averaged by their samples, but
for extremes and counts.
"""

from dataclasses import dataclass, field, fields, replace
from typing import Any

import torch
from torch import Tensor

from bptt.cells import CELLS
from bptt.flow.walk._sequence import Track
from bptt.flow.walk._totals import Totals

STEPS, SAMPLES = 48, 16
"""At most so many steps and samples are looked at for gates."""
END = 0.99
"""A tanh state beyond it has a slope below 0.02; a gate below 1 - END is shut, above END open."""
STUCK = 0.9
"""A unit counts as stuck where it is at its end at this share of steps and samples."""
GATES = ("i", "f", "o", "r", "z")


@dataclass(eq=False)
class Statistics:
    """Of one site in one update; what each number means stands at `bptt.rules.Look`."""

    samples: int = 1
    bearing: float | None = None
    bearing_samples: float | None = None
    zeros: float = 0.0
    smallest: float = float("inf")
    largest: float = 0.0
    precision: str = "float32"
    saturated: float | None = None
    saturated_units: float | None = None
    shut: dict[str, float] = field(default_factory=dict)
    open: dict[str, float] = field(default_factory=dict)
    extreme: dict[str, float] = field(default_factory=dict)
    gate_means: dict[str, float] = field(default_factory=dict)
    dead: frozenset[int] | None = None
    units: int = 0
    padding: float = 0.0
    padding_loss: float = 0.0
    lengths_known: bool = False
    carried: bool = False
    cuts: int = 0
    calls: int = 1


def of_track(
    track: Track,
    totals: Totals,
    bears: Tensor,
    inside: Tensor | None,
    padding: Tensor | None,
    ran_as: torch.dtype,
) -> Statistics:
    """All statistics of one measured track; `inside` in processing order, `padding` in input time."""
    found = of_gradients(totals.grad_state, totals.direct, bears, inside)
    found.precision, found.lengths_known = str(ran_as).removeprefix("torch."), inside is not None
    of_states(found, track.kind, track.y, inside)
    of_gates(found, track, inside)
    of_padding(found, padding, track.in_input_time(totals.direct))
    return found


def of_gradients(
    grad_state: Tensor, direct: Tensor | None, bears: Tensor, inside: Tensor | None
) -> Statistics:
    """The part that follows from norms `[T, B]` in processing order; `inside` leaves padding out."""
    found = Statistics(samples=grad_state.shape[1])
    bears, grad_state = bears.cpu(), grad_state.cpu()
    inside = torch.ones_like(bears) if inside is None else inside.cpu()
    upto = bears.flip(0).cumsum(0).flip(0) > 0
    counted = upto & inside
    if bool(counted.any()):
        seen = grad_state[counted]
        found.zeros = float((seen == 0).double().mean())
        some = seen[(seen > 0) & seen.isfinite()]
        if some.numel():
            found.smallest, found.largest = float(some.min()), float(some.max())
    if direct is not None and bool(bears.any()):
        found.bearing = float((bears & inside).sum()) / max(int(inside.sum()), 1)
        found.bearing_samples = float(bears.any(0).double().mean())
    return found


def of_states(found: Statistics, kind: str, y: Tensor, inside: Tensor | None) -> None:
    """Saturated tanh states and dead ReLU units, from all states `[T, B, H]`."""
    flat = y.flatten(0, 1) if inside is None else y[inside.to(y.device)]
    if not len(flat):
        return
    found.units = flat.shape[-1]
    if kind == "rnn_tanh":
        saturation(found, flat)
    elif kind == "rnn_relu":
        found.dead = frozenset((flat == 0).all(0).nonzero().flatten().tolist())


def saturation(found: Statistics, values: Tensor) -> None:
    """How many of tanh's values `[N, H]` are at its ends."""
    at_end = values.abs() > END
    found.saturated = float(at_end.double().mean())
    found.saturated_units = float((at_end.double().mean(0) >= STUCK).double().mean())


def of_gates(found: Statistics, track: Track, inside: Tensor | None) -> None:
    """Gates of an LSTM or GRU at some steps and samples, each taken as a sequence of one step."""
    cell = CELLS[track.kind]
    if not any(gate in GATES for gate in cell.gate_names):
        return
    steps = torch.linspace(0, track.steps - 1, min(STEPS, track.steps)).round().long().unique()
    batch = track.y.shape[1]
    samples = torch.linspace(0, batch - 1, min(SAMPLES, batch)).round().long().unique()
    at = (steps.view(-1, 1), samples.view(1, -1))
    before = torch.where(
        (at[0] > 0).unsqueeze(-1), track.y[(at[0] - 1, at[1])], track.start[0][at[1]]
    )
    keep = torch.ones(len(steps), len(samples), dtype=torch.bool) if inside is None else inside[at]
    x, h, y = (each[keep].unsqueeze(0) for each in (track.x[at], before, track.y[at]))
    if not x.shape[1]:
        return
    nothing = tuple(h.new_zeros(1, h.shape[1], part.shape[-1])[0] for part in track.start[1:])
    gates = cell.gates(x, (h[0], *nothing), y, track.w)
    for name in GATES:
        if name in cell.gate_names:
            gate_statistics(found, name, getattr(gates, name)[0])
    if track.kind == "lstm" and track.w.w_hr is None:
        saturation(found, (y / gates.o).squeeze(0))


def gate_statistics(found: Statistics, name: str, value: Tensor) -> None:
    """Mean and ends of a gate's values `[N, H]`."""
    found.gate_means[name] = float(value.mean())
    found.shut[name] = _stuck(value < 1 - END)
    found.open[name] = _stuck(value > END)
    found.extreme[name] = float(((value < 1 - END) | (value > END)).double().mean())


def _stuck(at_end: Tensor) -> float:
    return float((at_end.double().mean(0) >= STUCK).double().mean())


def padding_in(x: Tensor) -> Tensor | None:
    """`[T, B]` steps that look like padding: one and the same vector at the ends of samples of different lengths."""
    same = (x == x[-1]).all(-1).flip(0).cumprod(0).flip(0).bool()
    runs = same.sum(0)
    padded = runs >= 2
    if int(padded.sum()) < 2 or int(runs.unique().numel()) < 2:
        return None
    ends = x[-1][padded]
    alike = (ends == ends.mode(0).values).all(-1)
    if float(alike.double().mean()) < 0.75:
        return None
    pad = ends[alike][0]
    found = same & padded & (x[-1] == pad).all(-1)
    # A value that also stands between others is data: a blank, a rest, a zero count.
    between = (x == pad).all(-1) & ~found & ~same
    return None if bool(between.any()) else found


def of_padding(found: Statistics, padding: Tensor | None, direct: Tensor) -> None:
    """How much of the direct gradient `[T, B]`, in input time, enters at padding."""
    if padding is None:
        return
    padding, total = padding.cpu(), float(direct.sum())
    found.padding = float(padding.double().mean())
    found.padding_loss = float(direct.cpu()[padding].sum()) / total if total > 0 else 0.0


def with_states(gradients: Statistics, states: Statistics) -> Statistics:
    """Both halves in one."""
    kept = (
        "saturated",
        "saturated_units",
        "shut",
        "open",
        "extreme",
        "gate_means",
        "dead",
        "units",
    )
    return replace(gradients, **{name: getattr(states, name) for name in kept})


def merged(parts: list[Statistics]) -> Statistics:
    """Several parts of one site as one."""
    first, whole = parts[0], Statistics()
    if len(parts) == 1:
        return first
    for each in fields(Statistics):
        values = [getattr(part, each.name) for part in parts]
        known = [(v, part.samples) for v, part in zip(values, parts, strict=True) if v is not None]
        setattr(whole, each.name, _merged(each.name, known) if known else None)
    return whole


def _merged(name: str, known: list[tuple[Any, int]]) -> object:
    values = [value for value, _ in known]
    if name in ("samples", "cuts", "calls"):
        return sum(values)
    if name in ("precision", "units", "lengths_known"):
        return values[0]
    if name in ("smallest", "largest", "carried"):
        return min(values) if name == "smallest" else max(values)
    if isinstance(values[0], frozenset):
        return frozenset.intersection(*values)
    if isinstance(values[0], dict):
        return {key: _mean([(v.get(key, 0.0), n) for v, n in known]) for key in values[0]}
    return _mean(known)


def _mean(known: list[tuple[Any, int]]) -> float:
    return sum(v * n for v, n in known) / max(sum(n for _, n in known), 1)
