"""VG103 gradient-underflow: on its way back the gradient becomes too small for a floating-point number, and so zero.

## What it does

Fires when the gradient along the recurrence is exactly zero at steps that lie before a loss, and the values just
before are the smallest that the run's precision can hold.

## Why it is bad

A small gradient can be scaled up by an optimizer such as Adam; a zero cannot. In float32 this takes a gradient that
has shrunk by some forty powers of ten; in float16 seven are enough, and those a healthy model can lose at the loss
already.

## Evidence

The share of steps whose gradient is exactly zero, the smallest gradient above zero, and the precision of the run.

## Threshold

`share` 0.02 of the steps before the last loss. The smallest value above zero has to be within `margin` 1,000 of the
smallest number of the precision (1.2e-38 in float32 and bfloat16, 6e-8 in float16): zeros from units that are
switched off, or from a detach, begin at ordinary sizes and do not count. It is advice where more than `steps` 100
steps go by before the first zero: default cells need 140 to 190, and for them VG101 says what matters.

## Examples

`bad()`: a tanh RNN over 200 steps with small recurrent weights. `good()`: an orthogonal recurrence.

## Remedies

For float16, a loss scale (`torch.amp.GradScaler`), or bfloat16, whose range is float32's. For float32 the cause is a
vanishing gradient, and its remedies are those of VG101.

## Known limits

Half-precision layers of torch's are measured in float32; what would have fallen below float16's smallest number counts
as zero. A loop written by hand is measured as it ran, and its precision is the one that no gradient gets past.

## References

Micikevicius et al. (2018), "Mixed Precision Training", arXiv 1710.03740.
"""

import math

from torch import nn

from bptt.rules._evidence import Evidence, Look
from bptt.rules._example import Example, adding, orthogonal_
from bptt.rules._rule import Finding, Options, Prescription
from bptt.rules._words import confidence, percent, since

OPTIONS: Options = {"share": 0.02, "margin": 1e3, "steps": 100}

SMALLEST = {"float16": 6e-8, "bfloat16": 1.2e-38, "float32": 1.2e-38, "float64": 2.2e-308}
"""Products of matrices drop what is smaller; float16 is handled with gradual underflow."""


def bad() -> Example:
    """A recurrence that takes four fifths away at each of 200 steps."""
    return adding(orthogonal_(nn.RNN(2, 24), gain=0.2), steps=200)


def good() -> Example:
    """A recurrence that takes nothing away, over fewer steps."""
    return adding(orthogonal_(nn.RNN(2, 24, bias=False)), steps=60, scale=0.01)


def check(evidence: Evidence, options: Options) -> list[Finding]:
    """One finding a site whose gradient underflows at the last look."""
    found = []
    for site, looks in evidence.each():

        def wrong(look: Look) -> bool:
            return _underflows(look, options)

        look = looks[-1]
        if not wrong(look):
            continue
        half = look.precision == "float16"
        what = (
            f"{percent(look.zeros)} of the gradients along the sequence are exactly zero"
            if look.zeros
            else "gradients along the sequence fall below the smallest number there is"
        )
        advice = (
            "Scale the loss (GradScaler) or use bfloat16."
            if half
            else "The gradient vanishes first; cure that, no precision helps."
        )
        found.append(
            Finding(
                code="VG103",
                name="gradient-underflow",
                site=site,
                severity="error" if _soon(look, options) else "advice",
                message=f"{what}: {look.precision} ends at {SMALLEST[look.precision]:.1g}, and the smallest "
                f"gradient seen is {look.smallest:.1g}. {advice}",
                evidence={
                    "zeros": look.zeros,
                    "smallest": look.smallest,
                    "precision": look.precision,
                },
                update=since(looks, wrong),
                prescriptions=() if half else (Prescription("orthogonal"),),
                confidence=confidence(looks, wrong),
            )
        )
    return found


def _soon(look: Look, options: Options) -> bool:
    """Whether it takes few steps; a default cell underflows too if the sequence is long enough."""
    if look.precision == "float16" or look.rate is None:
        return True
    return math.log(SMALLEST[look.precision]) / min(look.rate, -1e-9) <= options["steps"]


def _underflows(look: Look, options: Options) -> bool:
    if look.precision not in SMALLEST or not math.isfinite(look.smallest):
        return False
    floor = SMALLEST[look.precision]
    if look.precision == "float16" and look.smallest < floor / 2:
        return True
    return look.zeros >= options["share"] and look.smallest <= floor * options["margin"]
