"""EG203 clipping-always-on: nearly every update is clipped hard, so that the threshold sets the step.

## What it does

Fires when nine of ten updates are clipped to under a tenth of their gradient.

## Why it is bad

Clipping is there for the rare gradient that is far too large. Where it cuts every one, all steps have the same
length: the learning rate is in truth `lr · max_norm / ‖g‖`, training no longer slows down near a minimum, and a
change of the loss's scale does nothing. Either the threshold is far too low, or every gradient is exploding and the
clipping hides it.

## Evidence

What clipping multiplied each update's gradient by (for clipping by value: the share of the norm that it left).

## Threshold

Under `hard` 0.1 in `share` 0.9 of the updates, over at least `updates` 3. A threshold a few times below the usual
norm, as published recipes have it, clips most updates too, but not hard.

## Examples

`bad()`: `max_norm` 0.001. `good()`: `max_norm` 1.

## Remedies

A threshold near the upper end of what is usual: `clip_norm` with the 90th percentile of the observed norms, or
`autoclip`. Where EG201 fires as well, cure that first.

## Known limits

With Adam, whose step does not depend on the gradient's scale, the harm is smaller than with SGD.

## References

Seetharaman et al. (2020), "AutoClip", arXiv 2007.14469.
"""

import math

from torch import nn

from bptt.rules._evidence import Evidence, Updates
from bptt.rules._example import Example, adding
from bptt.rules._rule import Finding, Options, Prescription
from bptt.rules._words import median, percent, seen

OPTIONS: Options = {"hard": 0.1, "share": 0.9, "updates": 3}

UNSEEN = 64
"""Updates between two that are looked at whole, at most."""


def bad() -> Example:
    """A threshold far below every gradient."""
    return adding(nn.GRU(2, 16), steps=20, clip=0.001)


def good() -> Example:
    """A threshold that most gradients pass."""
    return adding(nn.GRU(2, 16), steps=20, clip=10.0)


def check(evidence: Evidence, options: Options) -> list[Finding]:
    """One finding for the run."""
    updates = evidence.updates
    left = seen(updates.coefficient)
    hard = sum(each < options["hard"] for each in left)
    if hard < max(options["updates"], options["share"] * len(left)) or not _still(updates):
        return []
    sizes = sorted(seen(updates.unclipped))
    usual, high = median(sizes), sizes[int(0.9 * (len(sizes) - 1))]
    threshold = median(seen(updates.clip))
    how = f"clipping at {threshold:g}" if math.isfinite(threshold) else "clipping by hand"
    return [
        Finding(
            code="EG203",
            name="clipping-always-on",
            site="",
            severity="warning",
            message=f"{how} left {percent(median(left))} of the usual gradient (norm {usual:.2g}) "
            f"in {hard} of {len(left)} updates: the threshold sets the step, not the gradient. "
            f"Clip at about {high:.1g}.",
            evidence={
                "share": hard / len(left),
                "coefficient": median(left),
                "clip": threshold,
                "usual": usual,
            },
            update=next(
                n + 1 for n, each in enumerate(updates.coefficient) if each < options["hard"]
            ),
            prescriptions=(
                Prescription("clip_norm", {"max_norm": float(f"{high:.1g}")}),
                Prescription("autoclip"),
            ),
            confidence=round(min(0.5 + 0.05 * hard, 0.95), 2),
        )
    ]


def _still(updates: Updates) -> bool:
    """Whether it goes on to the end, and was not for the first part of the run only.

    Where updates are short, some are not looked at whole: torch's clipping is heard there all the same, a rescaling
    by hand is not.
    """
    by_hand = all(math.isinf(limit) for limit in updates.clip if not math.isnan(limit))
    last = max(len(updates) // 4 + 1, UNSEEN if by_hand else 0)
    return any(
        not math.isnan(limit) or not math.isnan(left)
        for limit, left in zip(updates.clip[-last:], updates.coefficient[-last:], strict=True)
    )
