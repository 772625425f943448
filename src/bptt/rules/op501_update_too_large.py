"""OP501 update-too-large: an update changes the recurrent weights by about their own size.

## What it does

Fires when the update-to-weight ratio `‖Δw‖ / ‖w‖` of the recurrent weights stays far above what training survives.

## Why it is bad

The recurrent matrix acts once a step, T times in a row. A change that a layer of a feed-forward net would shrug off
is raised to that power: the spectral radius leaves its narrow useful range, units saturate, credit vanishes or
explodes. The gradient at the old weights says nothing about the new ones.

## Evidence

The ratio of each update, for the recurrent weights.

## Threshold

`ratio` 0.4 as the median of any `window` 3 updates in a row, or a single update of `single` 3. Healthy runs lie at
1e-4 to 1e-2, and begin at up to 0.2 under Adam at a learning rate of 0.01, which small models bear. It is advice where
training survived it: the usual ratio is below `ratio` again, and the loss ended under `survived` 0.3 of what it began
with. Adagrad's first step has the size of its rate in every entry whatever the gradient is; such a run learned (loss
3.3 to 0.005 after a first ratio of 0.9), while those that an update broke ended at 0.9 of the first loss and more.

## Examples

`bad()`: SGD at a learning rate of 30. `good()`: at 0.05.

## Remedies

`learning_rate`, smaller by the ratio over 0.01; `agc`, which bounds the gradient by the weights' size, unit by unit. A
fixed `clip_norm` knows neither the weights nor the rate: at a rate of 30, a gradient of norm 1 is too large still.

## Known limits

Weights that start at zero have no ratio.

## References

Bottou et al. (2018), arXiv 1606.04838; You et al. (2017), LARS, arXiv 1708.03888.
"""

import math

from torch import nn

from bptt.rules._evidence import Evidence, Updates
from bptt.rules._example import Example, adding
from bptt.rules._rule import Finding, Options, Prescription
from bptt.rules._words import median, seen

OPTIONS: Options = {"ratio": 0.4, "window": 3, "single": 3.0, "survived": 0.3}


def bad() -> Example:
    """A learning rate far too high."""
    return adding(nn.RNN(2, 16), steps=12, lr=30.0)


def good() -> Example:
    """An ordinary one."""
    return adding(nn.RNN(2, 16), steps=12, lr=0.05)


def check(evidence: Evidence, options: Options) -> list[Finding]:
    """One finding for the run."""
    updates, width = evidence.updates, int(options["window"])
    ratios = [each if math.isfinite(each) else 0.0 for each in updates.ratio]
    if max(ratios, default=0.0) < min(options["ratio"], options["single"]):
        return []
    windows = [median(ratios[n : n + width]) for n in range(len(ratios) - width + 1)]
    sustained = [n for n, each in enumerate(windows) if each >= options["ratio"]]
    single = [n for n, each in enumerate(ratios) if each >= options["single"]]
    if not sustained and not single:
        return []
    first = min(sustained[:1] + single[:1])
    largest = max(ratios)
    lr = median(seen(updates.lr))
    # Later ratios say nothing about the learning rate: by then the weights may have blown up.
    at_first = max(ratios[first], windows[first] if first in sustained else 0.0)
    times, known = 0.01 / at_first, math.isfinite(lr)
    proposed = float(f"{lr * times:.0e}")
    usual = median([each for each in ratios if each > 0])
    borne = usual < options["ratio"] and _survived(updates, options)
    return [
        Finding(
            code="OP501",
            name="update-too-large",
            site="",
            severity="advice" if borne else "error",
            message=f"updates change the recurrent weights by up to {largest:.2g} times their own size "
            f"(usual here {usual:.2g}, healthy 0.0001 to 0.01), first at update {updates.number(first)}. "
            + ("The loss fell all the same. " if borne else "")
            + (
                f"Lower the learning rate, {lr:g} at present, to about {proposed:g}."
                if known
                else f"Take steps of about {times:.1g} of that size."
            ),
            evidence={
                "largest": largest,
                "sustained": max(windows, default=0.0),
                "usual": usual,
                "lr": lr,
            },
            update=updates.number(first),
            prescriptions=(Prescription("learning_rate", {"lr": proposed}),) if known else (),
            persists=usual >= options["ratio"],
            confidence=0.95 if sustained else 0.7,
        )
    ]


def _survived(updates: Updates, options: Options) -> bool:
    """Whether the loss of the last tenth is far below the first one, which no update had touched yet."""
    losses = updates.loss
    first, last = losses[0], losses[-max(len(losses) // 10, 1) :]
    if not all(map(math.isfinite, [first, *last])):
        return False
    return first > 0 and median(last) < options["survived"] * first
