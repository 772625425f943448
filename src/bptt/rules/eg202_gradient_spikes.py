"""EG202 gradient-spikes: now and then the gradient is many times its usual size, and nothing clips it.

## What it does

Fires when updates use gradients whose norm is far above that of the updates around them, more than once or by very
much, and no clipping holds them.

## Why it is bad

One such update undoes hundreds of ordinary ones: the step is as long as the gradient, in a direction that a single
batch chose. An optimizer with moments (Adam) remembers it for as long as its second moment does, and hardly moves
until then.

## Evidence

The norm of all gradients of each update, as the optimizer's step used it (after clipping).

## Threshold

An update is a spike of height 1 if its norm is `factor` 10 times the median of the 16 updates around it, and `whole`
5 times the median of the run and that of its first 20 updates. The latter two keep the end of a training run, where
gradients are small and restless, from being mistaken for one. The rule asks for `many` 4 spikes of height 1, two of
`two` 2.5, or one of `single` 10. In the suite, the second-highest spike of the faulty runs is 6 and more, that of
healthy ones 0.7 and less (single samples, 98 % of them right). Fewer than `updates` 8 updates are not judged.

## Examples

`bad()`: a regression whose targets are ordinary but for one batch in eight. `good()`: the same, clipped.

## Remedies

`clip_norm` with a threshold a little above the usual norm; `autoclip`, which finds that threshold by itself.

## Known limits

The first updates of a run, where there is no usual size yet, are judged by what comes after them.

## References

Pascanu, Mikolov & Bengio (2013), arXiv 1211.5063; Zhang et al. (2020), "Why gradient clipping accelerates training",
arXiv 1905.11881.
"""

import math
from collections.abc import Callable, Iterator
from itertools import count

from torch import Tensor, nn

from bptt.rules._evidence import Evidence, Updates
from bptt.rules._example import Example, Reader, adding_batch, example
from bptt.rules._rule import Finding, Options, Prescription
from bptt.rules._words import median, seen

OPTIONS: Options = {
    "factor": 10.0,
    "whole": 5.0,
    "many": 4,
    "two": 2.5,
    "single": 10.0,
    "updates": 8,
}

WINDOW = 8
"""Updates on either side that say what is usual."""


def bad() -> Example:
    """Every eighth batch has targets 100 times too large."""
    return example(Reader(nn.GRU(2, 16)), _now_and_then(100.0), lr=1e-3, updates=40)


def good() -> Example:
    """The same loop with the gradient's norm clipped at 1."""
    return example(Reader(nn.GRU(2, 16)), _now_and_then(100.0), lr=1e-3, updates=40, clip=1.0)


def _now_and_then(scale: float) -> Callable[[nn.Module], Tensor]:
    """A loss on the adding problem, with targets on another scale in every eighth batch."""
    turn = count(1)

    def loss(model: nn.Module) -> Tensor:
        x, target = adding_batch(20, 8)
        factor = scale if next(turn) % 8 == 0 else 1.0
        return (model(x)[0][-1, :, 0] - factor * target).square().mean()

    return loss


def check(evidence: Evidence, options: Options) -> list[Finding]:
    """One finding for the run."""
    updates = evidence.updates
    norms = seen(updates.norm)
    usual = median(norms)
    if len(norms) < options["updates"] or not usual > 0:
        return []
    level = max(usual, median(norms[:20]))
    found = [
        (min(ratio / options["factor"], updates.norm[n] / (level * options["whole"])), n)
        for n, ratio in _ratios(updates, level * options["whole"])
    ]
    spikes = [n for height, n in found if height >= 1]
    heights = sorted((height for height, _ in found), reverse=True)
    enough = len(spikes) >= options["many"] or heights[:1] >= [options["single"]]
    if not (enough or heights[1:2] >= [options["two"]]):
        return []
    worst = max(spikes, key=lambda n: updates.norm[n])
    proposed = float(f"{1.5 * usual:.1g}")
    return [
        Finding(
            code="EG202",
            name="gradient-spikes",
            site="",
            severity="warning",
            message=f"{len(spikes)} of {updates.count} updates used a gradient up to {updates.norm[worst] / usual:.0f} "
            f"times the usual (norm {updates.norm[worst]:.2g} at update {updates.number(worst)}; usual {usual:.2g}), "
            f"and nothing clips it. Clip the norm at about {proposed:g}.",
            evidence={
                "spikes": [updates.number(n) for n in spikes][:50],
                "usual": usual,
                "highest": heights[0],
            },
            update=updates.number(spikes[0]),
            prescriptions=(
                Prescription("clip_norm", {"max_norm": proposed}),
                Prescription("autoclip"),
            ),
            persists=spikes[-1] >= len(updates) / 2,
            confidence=min(0.5 + 0.1 * len(spikes), 0.95),
        )
    ]


def _ratios(updates: Updates, least: float) -> Iterator[tuple[int, float]]:
    """`(n, norm / median around it)` of each update of at least that norm that was not clipped."""
    for n, norm in enumerate(updates.norm):
        if norm < least:
            continue
        around = seen(updates.norm[max(n - WINDOW, 0) : n] + updates.norm[n + 1 : n + 1 + WINDOW])
        if (
            math.isfinite(norm)
            and not _held(updates, n)
            and len(around) >= 4
            and median(around) > 0
        ):
            yield n, norm / median(around)


def _held(updates: Updates, n: int) -> bool:
    """Whether this update was clipped, and the step used what clipping had left."""
    left = updates.coefficient[n]
    return left < 1 and updates.norm[n] <= 1.05 * left * updates.unclipped[n]
