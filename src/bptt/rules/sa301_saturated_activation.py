"""SA301 saturated-activation: tanh units sit at their ends, where their slope is near zero.

## What it does

Fires when many states of a tanh layer (of an LSTM: many values of `tanh(c)`) lie beyond ±0.99.

## Why it is bad

There the slope `1 - h²` is below 0.02. Every gradient that passes the unit is multiplied by it, at every step: what a
saturated unit did wrong, nobody tells it. The state carries one bit a unit, and small changes of the input are lost.

## Evidence

The share of all states, over units, steps and samples, beyond ±0.99, at the milestones.

## Threshold

`share` 0.4 at the last look, an error from `sure` 0.8 on. For an LSTM, whose cell may count up on purpose, `cell`
0.7. Units that training drove to their ends while the loss fell by `fell` 0.05 of its size keep bits there, and do
no harm yet: advice, and from `sure` on a warning. (The character model of examples/char_lm.py is such: 44 % at 1.9
bits, still falling.)

## Examples

`bad()`: inputs in the hundreds, not scaled. `good()`: the same inputs scaled.

## Remedies

Inputs scaled to mean 0 and variance 1 (`scale_input`). Where the weights are too large: `spectral_radius` or
`orthogonal`; where an update was: a smaller learning rate (OP501).

## Known limits

Whether a loss that fell would have fallen further without is not to be seen. A loss by another name at every update
(several optimizers that take turns) has no trend.

## References

Glorot & Bengio (2010), "Understanding the difficulty of training deep feedforward neural networks".
"""

from torch import nn

from bptt.rules._evidence import Evidence, Look
from bptt.rules._example import Example, adding
from bptt.rules._rule import Finding, Options, Prescription, Severity
from bptt.rules._words import confidence, median, percent, seen, since

OPTIONS: Options = {"share": 0.4, "sure": 0.8, "cell": 0.7, "fell": 0.05}


def bad() -> Example:
    """Numbers up to 200 where the layer expects about 1."""
    return adding(nn.RNN(2, 24), steps=12, scale=200.0)


def good() -> Example:
    """The same task with numbers up to 1."""
    return adding(nn.RNN(2, 24), steps=12)


def check(evidence: Evidence, options: Options) -> list[Finding]:
    """One finding a site that is saturated at the last look."""
    found = []
    for site, looks in evidence.each():

        def wrong(look: Look) -> bool:
            share = options["cell" if look.kind == "lstm" else "share"]
            return look.saturated is not None and look.saturated >= share

        look = looks[-1]
        if not wrong(look) or look.saturated is None:
            continue
        began = since(looks, wrong)
        trained_in = began != looks[0].update and _fell(evidence, options)
        ladder: tuple[Severity, ...] = ("advice", "warning", "error")
        step = 1 + (look.saturated >= options["sure"]) - trained_in
        severity = "advice" if look.kind == "lstm" else ladder[step]
        found.append(
            Finding(
                code="SA301",
                name="saturated-activation",
                site=site,
                severity=severity,
                message=f"{percent(look.saturated)} of the {'cell' if look.kind == 'lstm' else 'tanh'} states lie "
                "beyond ±0.99, where the slope is under 0.02 and gradients stop. "
                + (
                    "They did from the start: scale the inputs, or start with smaller weights."
                    if began == looks[0].update
                    else "Training drove them there while the loss fell: watch how far it goes."
                    if trained_in
                    else "Training drove them there: lower the learning rate, or clip."
                ),
                evidence={"saturated": look.saturated, "units": look.saturated_units},
                update=began,
                prescriptions=(
                    Prescription("scale_input"),
                    Prescription("spectral_radius", {"radius": 1.0}),
                    Prescription("orthogonal"),
                ),
                confidence=confidence(looks, wrong),
            )
        )
    return found


def _fell(evidence: Evidence, options: Options) -> bool:
    """Whether the loss of the last quarter of the run is below that of its first one."""
    losses = seen(evidence.updates.loss)
    quarter = max(len(losses) // 4, 1)
    first, last = median(losses[:quarter]), median(losses[-quarter:])
    return len(losses) > 1 and last < first - options["fell"] * abs(first)
