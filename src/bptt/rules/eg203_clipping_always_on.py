"""EG203 clipping-always-on: nearly every update is clipped hard, so that the threshold sets the step.

## What it does

Fires when nine of ten updates are clipped to under a tenth of their gradient.

## Why it is bad

Clipping is there for the rare gradient that is far too large. Where it cuts every one, all steps have the same
length: the learning rate is in truth `lr · max_norm / ‖g‖`, training no longer slows down near a minimum, and a
change of the loss's scale does nothing. Either the threshold is far too low, or every gradient is exploding and the
clipping hides it.

## Evidence

What clipping multiplied each update's gradient by (for clipping by value: the share of the norm that it left). The norm
that the step used: if it is smaller by a power of two than what clipping left, a loss scale was undone in between.

## Threshold

Under `hard` 0.1 in `share` 0.9 of the updates, over at least `updates` 3. A threshold a few times below the usual
norm, as published recipes have it, clips most updates too, but not hard.

## Examples

`bad()`: `max_norm` 0.001. `good()`: `max_norm` 1.

## Remedies

A threshold near the upper end of what is usual: `clip_norm` with the 90th percentile of the observed norms, or
`autoclip`. Where EG201 fires as well, cure that first. Where the gradient still carried the loss scale of mixed
precision, the threshold may be right and the order is wrong: `scaler.unscale_(optimizer)` comes before clipping. Where
the usual gradient is so large that no step could be as long, the loss is a sum, and its mean is the remedy.

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
SCALE = 16.0
"""A loss scale from which on it is told."""
TOO_LONG = 20.0
"""Learning rate times norm of a step that is longer than the weights of most models."""


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
    threshold, usual = median(seen(updates.clip)), median(_sizes(updates))
    how = f"clipping at {threshold:g}" if math.isfinite(threshold) else "clipping by hand"
    advice, prescriptions = _advice(updates)
    return [
        Finding(
            code="EG203",
            name="clipping-always-on",
            site="",
            severity="warning",
            message=f"{how} left {percent(median(left))} of the usual gradient (norm {usual:.2g}) "
            f"in {updates.told(hard, len(left))}: the threshold sets the step, not the gradient. {advice}",
            evidence={
                "share": hard / len(left),
                "coefficient": median(left),
                "clip": threshold,
                "usual": usual,
                "loss_scale": _scale(updates),
            },
            update=next(
                updates.number(n)
                for n, each in enumerate(updates.coefficient)
                if each < options["hard"]
            ),
            prescriptions=prescriptions,
            confidence=round(min(0.5 + 0.05 * hard, 0.95), 2),
        )
    ]


def _advice(updates: Updates) -> tuple[str, tuple[Prescription, ...]]:
    """What to do, in words and as remedies: they clip when the optimizer steps, and so what is no longer scaled."""
    scale, sizes = _scale(updates), sorted(_sizes(updates))
    high = sizes[int(0.9 * (len(sizes) - 1))] / scale
    clip = Prescription("clip_norm", {"max_norm": float(f"{high:.1g}")})
    if scale > 1:
        return (
            f"It was clipped while the loss scale of {scale:.6g} was still on it: call scaler.unscale_(optimizer) "
            f"before clipping. The norm is then up to {high:.2g}.",
            (clip,),
        )
    length = high * median(seen(updates.lr))
    if length > TOO_LONG:
        return (
            "The loss is a sum, it seems: average it, and clip at the norm it has then. At this learning rate a "
            f"threshold of {high:.1g} would allow SGD steps of length {length:.1g}.",
            (),
        )
    return f"Clip at about {high:.1g}.", (clip, Prescription("autoclip"))


def _sizes(updates: Updates) -> list[float]:
    """Norms before clipping, of the updates in which it was seen; in others a clipping by hand has hidden them."""
    pairs = zip(updates.unclipped, updates.coefficient, strict=True)
    return seen([whole for whole, left in pairs if not math.isnan(left)])


def _scale(updates: Updates) -> float:
    """By what the gradient was divided between clipping and the step, if that is a power of two; else 1."""
    columns = zip(updates.coefficient, updates.unclipped, updates.norm, strict=True)
    found = median(seen([left * whole / used for left, whole, used in columns if used > 0]))
    if not SCALE <= found < math.inf:
        return 1.0
    power = round(math.log2(found))
    return 2.0**power if abs(found / 2.0**power - 1) < 0.01 else 1.0


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
