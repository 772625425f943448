"""Speed of bptt's layers against torch.nn's on this machine, measured in pairs, behind a gate of equal results."""

import statistics
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence

from bptt._errors import BpttError
from bptt.kernels import available
from bptt.nn._layers import GRU, LSTM, RNN

LAYERS: dict[str, tuple[type[Any], type[Any], dict[str, str], int]] = {
    "RNN": (RNN, nn.RNN, {}, 1),
    "ReLU RNN": (RNN, nn.RNN, {"nonlinearity": "relu"}, 1),
    "GRU": (GRU, nn.GRU, {}, 3),
    "LSTM": (LSTM, nn.LSTM, {}, 4),
}
"""Ours, torch's, their options, and the number of gates."""

MODES = ("padded", "packed", "no grad", "tokens")
SYMBOLS = 256
SAMPLE = 0.01
"""Seconds that one sample takes at least: short runs are repeated within it."""


@dataclass(frozen=True)
class Case:
    """One row of the table: `hidden` units and as many inputs, `batch` samples.

    `padded`: forward and backward with all gradients, samples of equal length. `packed`: the same with lengths drawn
    from T/4 … T. `no grad`: forward alone. `tokens`: 256 symbols embedded, the embedding's gradient included.
    """

    layer: str
    hidden: int
    batch: int
    mode: str = "padded"

    @property
    def flops_a_step(self) -> int:
        """Operations of one padded step's products: six forward and backward, two forward alone."""
        products = 2 if self.mode == "no grad" else 6
        return 2 * products * LAYERS[self.layer][3] * self.hidden**2 * self.batch

    @property
    def steps(self) -> int:
        """T: 200, fewer where a step is long."""
        return max(20, min(200, int(2e10 / self.flops_a_step)))


@dataclass(frozen=True)
class Speed:
    """What was measured: medians over pairs, in microseconds a step."""

    case: Case
    torch_us: float
    ours_us: float
    ratio: float
    """torch's time over ours, the median over pairs; above 1 ours is faster."""
    gflops: float
    """Of ours; padding that packed sequences skip counts as done."""


@dataclass
class _Pair:
    """Both layers with the same weights, and the input."""

    case: Case
    ours: Any
    theirs: Any
    x: Tensor
    lengths: Tensor
    embedding: nn.Embedding
    dy: Tensor

    def run(self, layer: Any) -> list[Tensor]:
        """One forward pass, and backward; outputs and gradients."""
        if self.case.mode == "no grad":
            with torch.no_grad():
                return [layer(self.x)[0]]
        layer.zero_grad()
        self.embedding.zero_grad()
        self.x.grad = None
        y = self.output(layer)
        y.backward(self.dy.view(-1, self.case.hidden)[: len(y)] if y.dim() == 2 else self.dy)
        found = [y, self.x.grad, self.embedding.weight.grad, *(p.grad for p in layer.parameters())]
        return [t for t in found if t is not None]

    def output(self, layer: Any) -> Tensor:
        if self.case.mode == "packed":
            y = layer(pack_padded_sequence(self.x, self.lengths))[0]
            assert isinstance(y, PackedSequence)
            return y.data
        if self.case.mode != "tokens":
            return layer(self.x)[0]
        ids = self.x.detach()[..., 0].long()
        if layer is self.ours:
            return layer(ids, embedding=self.embedding.weight)[0]
        return layer(F.embedding(ids, self.embedding.weight))[0]


def _pair(case: Case, backend: str) -> _Pair:
    ours, theirs, options, _ = LAYERS[case.layer]
    H, B, T = case.hidden, case.batch, case.steps
    generator = torch.Generator().manual_seed(0)
    first, second = ours(H, H, backend=backend, **options), theirs(H, H, **options)
    first.load_state_dict(second.state_dict())
    x = torch.randn(T, B, H, generator=generator)
    if case.mode == "tokens":
        x = torch.randint(SYMBOLS, (T, B, 1), generator=generator).float()
    lengths = torch.randint(-(-T // 4), T + 1, (B,), generator=generator).sort(descending=True)[0]
    dy = torch.randn(T, B, H, generator=generator)
    return _Pair(case, first, second, x.requires_grad_(), lengths, nn.Embedding(SYMBOLS, H), dy)


def check(pair: Any) -> None:
    """Raise unless both layers give the same numbers, in the Euclidean norm of the output and of each gradient.

    A ReLU unit that lies within rounding of zero may have slope 0 in one library and 1 in the other: single gradients
    then differ by their whole size, hence the wider tolerance there.
    """
    tolerance = 1e-2 if pair.case.layer.startswith("ReLU") else 1e-4
    found, expected = pair.run(pair.ours), pair.run(pair.theirs)
    for a, b in zip(found, expected, strict=True):
        a, b = a.detach(), b.detach()
        error = float((a - b).norm() / b.norm().clamp_min(1e-20))
        if not error < tolerance:
            raise BpttError(
                f"bptt's and torch's layer differ by {error:.1e} in relative norm for {pair.case}, expected less than "
                f"{tolerance:.0e}. No time is measured of wrong numbers; please report this."
            )


def _each(run: Callable[[], Any], count: int) -> float:
    began = time.perf_counter()
    for _ in range(count):
        run()
    return (time.perf_counter() - began) / count


def _seconds(run: Callable[[], Any]) -> float:
    return _each(run, 1)


def compare(case: Case, *, seconds: float = 1.0, backend: str = "auto") -> Speed:
    """Time one case: samples of torch's and of ours in turn, at least five pairs and about `seconds` long.

    >>> from bptt.nn._bench import Case, compare
    >>> speed = compare(Case("GRU", hidden=8, batch=2), seconds=0.0)
    >>> speed.ratio > 0, speed.case.steps
    (True, 200)
    """
    pair = _pair(case, backend)
    check(pair)
    sides = [
        (layer, max(1, int(SAMPLE / _seconds(lambda layer=layer: pair.run(layer)))))
        for layer in (pair.theirs, pair.ours)
    ]
    times: list[list[float]] = []
    began = time.perf_counter()
    while len(times) < 5 or time.perf_counter() - began < seconds:
        times.append([_each(lambda layer=layer: pair.run(layer), n) for layer, n in sides])
    theirs, ours = (statistics.median(side) for side in zip(*times, strict=True))
    return Speed(
        case,
        1e6 * theirs / case.steps,
        1e6 * ours / case.steps,
        statistics.median(a / b for a, b in times),
        case.flops_a_step * case.steps / ours / 1e9,
    )


def cases(
    layers: Iterable[str] = LAYERS,
    hidden: Iterable[int] = (64, 256, 512),
    batch: Iterable[int] = (1, 8, 32),
    mode: str = "padded",
) -> Iterator[Case]:
    """The grid of a table."""
    for layer, H, B in product(layers, hidden, batch):
        yield Case(layer, H, B, mode)


def product_peak(size: int = 1024, repeats: int = 9) -> float:
    """GFLOP/s of the fastest large float32 product here, torch's or bptt's: the yardstick for a layer's."""
    a, b = torch.randn(size, size), torch.randn(size, size)
    candidates: list[Callable[[], Any]] = [lambda: a @ b]
    if available():
        candidates.append(lambda: torch.ops.bptt.product(a, b))
    fastest = min(_seconds(run) for run in candidates for _ in range(repeats))
    return 2 * size**3 / fastest / 1e9


def geometric_mean(ratios: Iterable[float]) -> float:
    """The mean that treats 2× and ½× alike."""
    return statistics.geometric_mean(ratios)
