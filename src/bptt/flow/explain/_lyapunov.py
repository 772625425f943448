"""`lyapunov`: mean exponential growth rates of small deviations, of a whole stack of layers as one system."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from bptt._errors import BpttError, NoRecurrenceError
from bptt.cells import State
from bptt.flow._by_site import BySite
from bptt.flow.explain._drive import Data, Noise
from bptt.flow.explain._exponents import Exponents
from bptt.flow.explain._frame import Frame
from bptt.flow.explain._stack import Stack
from bptt.flow.explain._trajectory import stretches, trajectories
from bptt.flow.record._call import Call, kind_of
from bptt.flow.walk._linear import Linearised
from bptt.flow.walk._sequence import Sequence

FEWEST = 10
"""Steps after the warm-up that a mean needs at least."""
CHUNK_BYTES = 16 * 2**20
FIRST_CHECK = 64


@dataclass(frozen=True)
class Settings:
    """How long and how finely to measure."""

    k: int | None
    starts: int
    warmup: int | None
    every: int | None
    tolerance: float | None
    seed: int

    def check(self) -> None:
        """Refuse what cannot be meant."""
        for name, least in (("k", 1), ("starts", 1), ("warmup", 0), ("every", 1)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise BpttError(f"{name}={value}: expected at least {least}")
        if self.tolerance is not None and not self.tolerance > 0:
            raise BpttError(f"tolerance={self.tolerance}: expected a number above 0")


@torch.no_grad()
def lyapunov(
    model: nn.Module,
    x: Any = None,
    k: int | None = None,
    *,
    noise: float = 1.0,
    steps: int = 1000,
    samples: int = 8,
    starts: int = 1,
    warmup: int | None = None,
    every: int | None = None,
    tolerance: float | None = None,
    lengths: Tensor | None = None,
    seed: int = 0,
) -> BySite[Exponents]:
    """Lyapunov exponents of each recurrent module, driven by the model's own input or by noise.

        λ_j = lim 1/T Σ_t log R_t[j, j],    J_t Q_{t-1} = Q_t R_t

    with the step Jacobians `J_t` of the joint state of all layers, `(h, c)` for an LSTM: a module's layers are one
    system. The largest exponent says at what rate a gradient grows or shrinks in the long run; above 0 the network is
    chaotic. k tangents are pushed forward by the cells' own tangent step, no Jacobian is formed, and they are made
    orthonormal again at intervals that follow from how fast they fall together. Everything is
    run again in float64: the trajectory of a chaotic network in float32 is another one after some steps, of the same
    statistics.

    Args:
        model: any module that calls `nn.RNN`, `nn.GRU`, `nn.LSTM` or their cells.
        x: the model's input, as for `bptt.spectrum`. None drives each recurrent module by noise at its own input.
        k: how many exponents; all S if None.
        noise: standard deviation of the noise; 0 lets the module run by itself. Only without `x`.
        steps: how many steps of noise; `samples`: how many sequences of it.
        starts: start points for each sample of `x`. The first is the run's own, the others are uniform in (-1, 1).
        warmup: steps before the mean begins; a tenth of all if None.
        every: steps between two orthonormalisations; chosen from the observed growth if None.
        tolerance: stop early, when the standard errors and the change since half as many steps are all below it.
        lengths: `[B]` steps of each sample of a padded batch; packed input states its own.
        seed: of the noise and of the start points, which have a random stream of their own.

    Returns:
        A mapping from sites to `Exponents`. A stack's name is `rnn.l0-l2`; each of its layers' sites leads to it.

    Raises:
        NoRecurrenceError: no recurrent module is there, or none was called.
        BpttError: k is larger than the state, or the sequences are too short.
        UnmeasurableError: a bidirectional module, a state that is not finite, an `every` too long for the tangents.

    Example:
        >>> import torch, bptt
        >>> _ = torch.manual_seed(0)
        >>> found = bptt.lyapunov(torch.nn.LSTM(8, 32), torch.randn(200, 4, 8), k=3)
        >>> found["l0"].exponents.shape
        torch.Size([3])
        >>> -0.5 < found["l0"].largest < -0.4
        True

    Source: Benettin et al., Meccanica 15 (1980); Engelken, Wolf, Abbott, arXiv 2006.02427 (2020).
    """
    settings = Settings(k, starts, warmup, every, tolerance, seed)
    settings.check()
    found: dict[str, list[Exponents]] = {}
    aliases: dict[str, str] = {}
    for call, drive in _systems(model, x, lengths, settings, (noise, steps, samples)):
        stack = Stack(call)
        measured = _measure(stack, call, drive, settings)
        found.setdefault(stack.name, []).append(measured)
        aliases |= dict.fromkeys(stack.sites, stack.name)
    joined = {name: Exponents.beside(group) for name, group in found.items()}
    return BySite(joined, aliases)


def _systems(
    model: nn.Module,
    x: Any,
    lengths: Tensor | None,
    settings: Settings,
    noise: tuple[float, int, int],
) -> Iterator[tuple[Call, Data | Noise]]:
    if x is not None:
        for sequence in trajectories(model, x, lengths):
            _refuse_changed(sequence)
            yield sequence.first, Data(sequence, settings.starts)
        return
    std, steps, samples = noise
    if min(steps, samples) < 1 or not std >= 0:
        raise BpttError(
            f"noise={std}, steps={steps}, samples={samples}: expected noise of 0 or more, and at least 1 of the others"
        )
    modules = (
        {n: m for n, m in model.named_modules() if kind_of(m)}
        if isinstance(model, nn.Module)
        else {}
    )
    if not modules:
        raise NoRecurrenceError(
            f"no recurrent module in {type(model).__name__}: expected nn.RNN, nn.GRU, nn.LSTM or their cells"
        )
    for name, module in modules.items():
        like = next(module.parameters())
        one_step = like.new_zeros(1, int(module.input_size))  # type: ignore[arg-type]
        one_step = one_step.unsqueeze(0) if isinstance(module, nn.RNNBase) else one_step
        call = trajectories(module, one_step)[0].first
        call.name = name or call.name
        yield call, Noise(call, steps, samples, std, settings.seed)


def _refuse_changed(sequence: Sequence) -> None:
    """A module whose output does not follow from its weights has other exponents than its weights say."""
    for track in stretches(sequence):
        lin = Linearised(track, sequence.first.autocast or sequence.first.y.dtype)
        lin.local(*lin.chunks()[0])


def _start(stack: Stack, call: Call, rows: int, seed: int, own: bool) -> list[State]:
    """Each layer's states before the first step: the run's own for its samples, else uniform in (-1, 1)."""
    generator = torch.Generator().manual_seed(seed)
    batch = call.batch if own else 0
    parts = []
    for part in call.start:
        shape = (call.layers, rows - batch, part.shape[-1])
        drawn = 2 * torch.rand(shape, dtype=torch.float64, generator=generator) - 1
        parts.append(torch.cat([part[:, :batch].double(), drawn.to(part.device)], 1))
    return [tuple(part[layer] for part in parts) for layer in range(call.layers)]


def _measure(stack: Stack, call: Call, drive: Data | Noise, settings: Settings) -> Exponents:
    k = stack.size if settings.k is None else settings.k
    if k > stack.size:
        raise BpttError(
            f"k={k}: the joint state of {stack.name} has {stack.size} entries; ask for at most as many exponents"
        )
    warmup = drive.steps // 10 if settings.warmup is None else settings.warmup
    shortest = int(drive.inside.sum(0).min())
    if shortest - warmup < FEWEST:
        raise BpttError(
            f"{stack.name}: the shortest sample has {shortest} steps, of which {warmup} are warm-up; exponents need at "
            f"least {FEWEST} after it. Give longer sequences or a smaller warmup="
        )
    rows = drive.inside.shape[1]
    frame = Frame(stack, rows, k, call.x.device, settings.every)
    state = _start(stack, call, rows, settings.seed, isinstance(drive, Data))
    per_step = rows * stack.size * stack.weights[0].w_hh.element_size() * 24
    rule = Rule(settings.tolerance, rows)
    bounds = _bounds(drive.steps, warmup, max(1, CHUNK_BYTES // per_step), rule)
    for t0, t1 in bounds:
        here, masks = drive.at(t0, t1)
        linear, state = stack.run(here, state, masks, drive.inside[t0:t1], t0)
        frame.advance(linear)
        if t1 == warmup:
            frame.forget()
        elif t1 > warmup and rule.met(frame, t1 - warmup):
            break
    return Exponents.of(stack, frame, warmup, rule.reason)


def _bounds(steps: int, warmup: int, chunk: int, rule: "Rule") -> list[tuple[int, int]]:
    """Stretches that end at the warm-up's end and at each check of the stopping rule, none longer than a chunk."""
    marks, check = {warmup, steps}, FIRST_CHECK
    while rule.tolerance is not None and warmup + check < steps:
        marks.add(warmup + check)
        check *= 2
    edges = sorted(marks | {0})
    return [(t, min(t + chunk, b)) for a, b in pairwise(edges) for t in range(a, b, chunk)]


class Rule:
    """When to stop: standard errors, and the change since half as many steps, all below the tolerance."""

    def __init__(self, tolerance: float | None, rows: int) -> None:
        if tolerance is not None and rows < 2:
            raise BpttError(
                f"tolerance={tolerance} needs at least two samples for a standard error: give a batch, or starts=2"
            )
        self.tolerance, self.reason, self._check, self._before = (
            tolerance,
            "end of data",
            FIRST_CHECK,
            None,
        )

    def met(self, frame: Frame, counted: int) -> bool:
        """Whether the exponents have settled after so many steps."""
        if self.tolerance is None or counted != self._check:
            return False
        self._check *= 2
        each = frame.grown / frame.counted.unsqueeze(-1)
        now, before = each.mean(0), self._before
        self._before = now
        if before is None:
            return False
        error = each.std(0) / len(each) ** 0.5
        settled = (
            torch.stack([error, (now - before).abs()]).nan_to_num(0.0) < self.tolerance
        ).all()
        self.reason = "tolerance reached" if bool(settled) else self.reason
        return bool(settled)
