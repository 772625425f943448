"""VG102 short-memory: the loss reads every step, which hides that the gradient reaches back only a few.

## What it does

Fires, as advice, when loss enters at every step, the gradient horizon is under a tenth of the sequence, and training
has not made it grow.

## Why it is bad

With a loss at every step each step gets a gradient, so no step looks forgotten. But a gradient that enters at one
step is gone a few steps earlier: the model cannot learn that two events far apart belong together, whatever the
length of the sequences it is given. They cost time and memory and teach what much shorter ones would.

## Evidence

The share of steps that bear loss, and the horizon of each site at the milestones, the first against the last.

## Threshold

`bearing` 0.5: loss enters at half the steps or more. `share` 0.1 of the sequence; `growth` 1.5: a horizon that has
grown by half since the first update is still growing and is left alone. Advice only: many tasks with a loss at every
step need a short memory.

## Examples

`bad()`: a default GRU on sequences of 300 steps, horizon 13. `good()`: the same on sequences of 40.

## Remedies

Shorter sequences, if the task is short. Else gates that stay open longer (`chrono`, `forget_bias`), or an
`orthogonal` recurrence.

## Known limits

A model may reach further than its task needs at the start and less later, when it has learned what to forget.

## References

Khandelwal et al. (2018), "Sharp Nearby, Fuzzy Far Away", arXiv 1805.04623.
"""

from torch import nn

from bptt.rules._evidence import Evidence, Look
from bptt.rules._example import Example, Reader, every_step_loss, example
from bptt.rules._rule import Finding, Options, Prescription
from bptt.rules._words import confidence, percent, since

OPTIONS: Options = {"share": 0.1, "growth": 1.5, "bearing": 0.5}


def bad() -> Example:
    """Sequences of 300 steps for a memory of 13."""
    return example(Reader(nn.GRU(1, 24)), lambda model: every_step_loss(model, steps=300))


def good() -> Example:
    """The same with sequences of 40."""
    return example(Reader(nn.GRU(1, 24)), lambda model: every_step_loss(model, steps=40))


def check(evidence: Evidence, options: Options) -> list[Finding]:
    """One finding a site whose horizon is short at the last look and did not grow."""
    found = []
    for site, looks in evidence.each():

        def wrong(look: Look) -> bool:
            return _short(look, options)

        look, first = looks[-1], looks[0]
        if not wrong(look) or look.horizon is None:
            continue
        if first.horizon is not None and look.horizon >= options["growth"] * max(first.horizon, 1):
            continue
        lag = max(evidence.lag or look.steps, 2)  # chrono begins at 2
        gates = Prescription("chrono", {"lag": lag}), Prescription("forget_bias", {"value": 3.0})
        found.append(
            Finding(
                code="VG102",
                name="short-memory",
                site=site,
                severity="advice",
                message=f"each of {look.steps} steps is trained, but what happens at one is learned from the "
                f"{look.horizon} before it only ({percent(look.horizon / look.steps)}). "
                "If the task needs no more, shorter sequences cost less; if it does, open the memory.",
                evidence={"horizon": look.horizon, "steps": look.steps, "first": first.horizon},
                update=since(looks, wrong),
                prescriptions=gates
                if look.kind in ("gru", "lstm")
                else (Prescription("orthogonal"), Prescription("to_gru", {"lag": lag})),
                confidence=confidence(looks, wrong),
            )
        )
    return found


def _short(look: Look, options: Options) -> bool:
    if look.horizon is None or look.bearing is None or look.bearing < options["bearing"]:
        return False
    decays = look.horizon < look.lags
    return decays and look.horizon < options["share"] * look.steps
