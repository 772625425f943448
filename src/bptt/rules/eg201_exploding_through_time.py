"""EG201 exploding-through-time: a gradient grows a thousandfold and more on its way back through the steps.

## What it does

Fires when the credit curve rises to a thousand or above at some lag: of a gradient that enters at one step, a
thousand times as much arrives at an earlier one.

## Why it is bad

The sum over time that a weight gets is then made by the earliest steps alone, and a small change of the weights
changes it by orders of magnitude. Updates jump about, the loss spikes, and numbers overflow. Clipping bounds the size
of such an update, not its direction.

## Evidence

The largest value of the credit curve of each site at the milestones; whether clipping is on.

## Threshold

`growth` 1,000 is the definition. It has to hold at the last milestone or at half of them. Where clipping holds the
updates, without cutting the usual one to under `mild` 0.1, and all numbers stay finite, it is advice, and a warning
from `hopeless` 1e6 on, where clipping has only noise left to scale.

## Examples

`bad()`: a ReLU RNN whose recurrent matrix has spectral radius 1.3, over 60 steps. `good()`: the same with radius 1.

## Remedies

`spectral_radius` or `orthogonal` cures the cause; where training has to go on, `clip_norm` holds the updates, and
`clip_steps` clips inside the backward pass, before the steps are summed.

## Known limits

A chaotic recurrence can explode at some inputs and not at others; the curve is a geometric mean over samples.

## References

Pascanu, Mikolov & Bengio (2013), arXiv 1211.5063.
"""

import math

from torch import nn

from bptt.rules._evidence import Evidence, Look, Updates
from bptt.rules._example import Example, adding, orthogonal_
from bptt.rules._rule import Finding, Options, Prescription, Severity
from bptt.rules._words import confidence, median, seen, times

OPTIONS: Options = {"growth": 1e3, "hopeless": 1e6, "mild": 0.1}


def bad() -> Example:
    """A recurrence that adds a third at every step; small steps, so that it lives to be measured."""
    rnn = orthogonal_(nn.RNN(2, 24, nonlinearity="relu"), gain=2.0)
    return adding(rnn, steps=60, lr=1e-30, updates=4)


def good() -> Example:
    """A recurrence that keeps lengths."""
    return adding(orthogonal_(nn.RNN(2, 24), gain=1.0), steps=60, scale=0.1)


def check(evidence: Evidence, options: Options) -> list[Finding]:
    """One finding a site that explodes at the last look, or at half of them."""
    found = []
    for site, every in evidence.each():
        if not (looks := [look for look in every if _measured(look)]):
            continue

        def wrong(look: Look) -> bool:
            return look.growth >= math.log(options["growth"])

        if not wrong(looks[-1]) and 2 * sum(map(wrong, looks)) < len(looks):
            continue
        look = max(looks, key=lambda each: each.growth)
        held = evidence.incident is None and _mild(evidence.updates, options)
        severity: Severity = "error"
        if held:
            severity = "warning" if look.growth >= math.log(options["hopeless"]) else "advice"
        lag = look.log_credit.index(look.growth)
        found.append(
            Finding(
                code="EG201",
                name="exploding-through-time",
                site=site,
                severity=severity,
                message=f"a gradient that enters at one step is {times(look.growth)} times larger {lag} steps "
                f"earlier ({look.steps} steps in all). "
                + (
                    "Clipping bounds the updates, but their direction comes from the earliest steps alone."
                    if held
                    else "The recurrence amplifies, and no clipping was seen."
                    if not evidence.updates.clipped
                    else "The recurrence amplifies beyond what clipping can hold."
                ),
                evidence={
                    "log_growth": look.growth,
                    "lag": lag,
                    "steps": look.steps,
                    "rate": look.rate,
                },
                update=next(each.update for each in looks if wrong(each)),
                prescriptions=(
                    Prescription("spectral_radius", {"radius": 1.0}),
                    Prescription("orthogonal"),
                    Prescription("clip_norm", {"max_norm": 1.0}),
                ),
                persists=wrong(looks[-1]),
                confidence=confidence(looks, wrong),
            )
        )
    return found


def _measured(look: Look) -> bool:
    """Whether there is a curve; after a non-finite update there is none."""
    return sum(math.isfinite(c) for c in look.log_credit) > 1


def _mild(updates: Updates, options: Options) -> bool:
    """Whether something clips, and leaves most of the usual gradient's direction a chance."""
    left = seen(updates.coefficient)
    return bool(left) and median(left) >= options["mild"]
