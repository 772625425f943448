"""Attribution: which factor of a backward step shrinks the gradient.

    log ‖J_tᵀ v_t‖ / ‖v_t‖  =  weights_t + slope_t + gates_t

`v_t` is the costate of the credit curve: the gradient that enters at a sample's last loss-bearing step, taken back
through the steps before it, so that the factors of k steps sum to the logarithm of the credit at lag k. A cell takes it
through its backward step in stages (`Cell.stages`: after the gates, after the slope, after the weights); each factor is
the logarithm of the ratio of the norms before and after its stage, so that the sum telescopes exactly. docs/theory.md
has the stages of every cell.
"""

import math
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor

from bptt.cells import CELLS, State
from bptt.flow.walk._backward import Totals, joint_norm, norm
from bptt.flow.walk._linear import Linearised
from bptt.flow.walk._sequence import Track

RESCALE_EVERY = 8
SAMPLES = 4
"""Samples of a batch that are looked at, spread evenly over it: factors are means over many steps already."""


@dataclass(frozen=True, eq=False)
class Attribution:
    """The split of `log ‖J_tᵀ v‖/‖v‖`, natural logarithms, mean over samples.

    Each is `[T-1]`; entry n belongs to the step Jacobian between steps n and n+1 of the recurrence's own order. NaN
    where no gradient passes.

    Attributes:
        weights: what the recurrent weights (and an LSTM's projection) make of it.
        slope: the activation's slope.
        gates: gate values; 0 for a cell that has none.
        by_gate: the same gate by gate where the way leads through them one by one.
    """

    weights: Tensor
    slope: Tensor
    gates: Tensor
    by_gate: dict[str, Tensor]

    @property
    def total(self) -> Tensor:
        """`[T-1]` the sum, `log ‖J_tᵀ v‖/‖v‖`."""
        return self.weights + self.slope + self.gates

    def per_step(self) -> dict[str, float]:
        """Geometric means over the steps that carry gradient: `total`, `weights`, `slope`, `gates`, and each gate."""
        parts = {"total": self.total, "weights": self.weights, "slope": self.slope}
        parts |= {"gates": self.gates, **self.by_gate}
        used = self.total.isfinite()
        if not bool(used.any()):
            return dict.fromkeys(parts, math.nan)
        return {name: math.exp(float(part[used].mean())) for name, part in parts.items()}

    def __str__(self) -> str:
        mean = self.per_step()
        if math.isnan(mean["total"]):
            return "no gradient passes from step to step"
        gates = [f"{WORDS.get(gate, gate)} at {mean[gate]:.2f}" for gate in self.by_gate]
        parts = [*gates, f"slope {mean['slope']:.2f}", f"weights {mean['weights']:.2f}"]
        return f"{mean['total']:.2f} per step: {', '.join(parts)}"


WORDS = {"f": "forget gates", "o": "output gates", "z r": "gates z and r"}


def attribution(kind: str, log_factors: Tensor) -> Attribution:
    """The factors `[F, T-1]` of a cell's stages under the names they are blamed on."""
    rows: dict[str, Tensor] = {}
    for blame, row in zip(CELLS[kind].factors, log_factors, strict=True):
        rows[blame] = rows[blame] + row if blame in rows else row
    weights, slope = rows.pop("weights"), rows.pop("slope")
    gates = torch.stack(list(rows.values())).sum(0) if rows else torch.zeros_like(slope)
    return Attribution(weights, slope, gates, rows)


class Few(NamedTuple):
    """Some samples of a track: its linearisation, and where their last gradient enters, as `[B]` steps and costates."""

    lin: Linearised
    taus: Tensor
    entering: State


def factors_of(track: Track, totals: Totals, bears: Tensor, ran_as: torch.dtype) -> Tensor:
    """`[F, T-1, B]` log factors of a few samples of a track that has been walked back; processing order."""
    return log_factors(_few(track, totals, bears, ran_as))


def _few(track: Track, totals: Totals, bears: Tensor, ran_as: torch.dtype) -> Few:
    batch, device = track.y.shape[1], track.y.device
    rows = torch.linspace(0, batch - 1, min(batch, SAMPLES), device=device).round().long()
    steps = torch.arange(len(bears)).unsqueeze(1)
    taus = torch.where(bears[:, rows.cpu()], steps, -1).amax(0).to(device)
    at_tau = taus.clamp(min=0)
    entering = [track.direct[at_tau, rows]]
    if len(track.start) > 1:
        in_c = torch.zeros_like(track.start[1][rows])
        for t, extra in totals.direct_c.items():
            in_c = torch.where((taus == t).unsqueeze(-1), extra[rows], in_c)
        entering.append(in_c)
    x, y, direct = (each[:, rows] for each in (track.x, track.y, track.direct))
    start = tuple(part[rows] for part in track.start)
    lengths = None if track.lengths is None else track.lengths[rows.cpu()]
    part = replace(track, x=x, y=y, start=start, direct=direct, ends={}, lengths=lengths)
    return Few(Linearised(part, ran_as), taus, _unit(tuple(entering)))


def _unit(v: State) -> State:
    """The costate scaled to norm 1, where it has one."""
    size = joint_norm(v)
    factor = torch.where((size > 0) & size.isfinite(), size, 1.0).unsqueeze(-1)
    return tuple((part.double() / factor).to(part.dtype) for part in v)


def log_factors(few: Few) -> Tensor:
    """Take what enters back through all steps, rescaled as it goes, and measure every stage of every step."""
    lin, (track, cell) = few.lin, (few.lin.track, few.lin.cell)
    v: State = tuple(torch.zeros_like(part) for part in few.entering)
    found = []
    for t0, t1 in reversed(lin.chunks()):
        steps, costates = lin.steps_of(lin.local(t0, t1), t0, t1), []
        for t in reversed(range(t0, t1)):
            here = (few.taus == t).unsqueeze(-1)
            v = tuple(torch.where(here, d, part) for d, part in zip(few.entering, v, strict=True))
            costates.append(v)
            v = cell.pull(steps[t - t0], v, track.w)
            if t % RESCALE_EVERY == 0:
                v = _unit(v)
        whole: State = tuple(torch.stack(parts[::-1]) for parts in zip(*costates, strict=True))
        stages = cell.stages(lin._gates(t0, t1), whole, track.w)
        found.append(telescope([torch.cat(whole, -1), *stages]))
    return torch.cat(found[::-1], 1)[:, 1:].cpu()


def telescope(stages: list[Tensor]) -> Tensor:
    """`[F, …]` log ratios of the norms of consecutive stages.

    Where nothing is left in the end, the first stage that lost it gets -inf and the later ones 0. Where a stage is
    empty but a later one is not (an LSTM whose cell's way is shut), the empty one counts as the smallest number.
    """
    sizes = torch.stack([norm(stage) for stage in stages])
    alive = sizes[-1] > 0
    logs = torch.where(alive, sizes.clamp(min=torch.finfo(sizes.dtype).tiny), sizes).log()
    factors = logs.diff(dim=0)
    factors = torch.where(factors.isnan() & ~alive, 0, factors)
    carries = (sizes[0] > 0) & sizes.isfinite().all(0)
    return torch.where(carries, factors, float("nan"))


def mean_over_samples(parts: list[Tensor]) -> Tensor:
    """`[F, T-1]` from the factors `[F, T-1, B]` of sequences that may differ in length."""
    longest = max(part.shape[1] for part in parts)
    rows = [
        torch.cat([p, p.new_full((len(p), longest - p.shape[1], p.shape[2]), float("nan"))], 1)
        for p in parts
    ]
    return torch.cat(rows, -1).nanmean(-1)
