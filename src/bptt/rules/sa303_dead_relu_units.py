"""SA303 dead-relu-units: ReLU units that are zero at every step of every sample.

## What it does

Fires when most units of a ReLU layer are zero at every step of every sample, and stay so.

## Why it is bad

A unit that is zero everywhere has slope zero everywhere: no gradient reaches its weights, so that it stays zero for
ever. The layer is as wide as what is left.

## Evidence

The units that are zero at all steps and samples of the last milestone, and of the one before it as well.

## Threshold

`share` 0.7 of the units is a warning and from `sure` 0.9 on an error; from `some` 0.55 on it is advice. Half of the
units are dead in a healthy layer with identity recurrence and positive inputs: those with a negative input weight.

## Examples

`bad()`: a bias of -4. `good()`: no bias.

## Remedies

Biases at zero or above (`bound_bias`), `identity_relu` with small input weights, a smaller learning rate.

## Known limits

A unit may be alive on batches that were not looked at.

## References

Le, Jaitly & Hinton (2015), arXiv 1504.00941; Lu et al. (2019), "Dying ReLU and Initialization", arXiv 1903.06733.
"""

from torch import nn

from bptt.rules._evidence import Evidence, Look
from bptt.rules._example import Example, adding
from bptt.rules._rule import Finding, Options, Prescription, Severity
from bptt.rules._words import percent

OPTIONS: Options = {"some": 0.55, "share": 0.7, "sure": 0.9}


def bad() -> Example:
    """Biases that switch every unit off."""
    rnn = nn.RNN(2, 24, nonlinearity="relu")
    nn.init.constant_(rnn.get_parameter("bias_hh_l0"), -4.0)
    return adding(rnn, steps=20)


def good() -> Example:
    """Units that start alive."""
    return adding(nn.RNN(2, 24, nonlinearity="relu", bias=False), steps=8)


def check(evidence: Evidence, options: Options) -> list[Finding]:
    """One finding a site with dead units at the last two looks."""
    found = []
    for site, looks in evidence.each():
        units, share = _dead(looks[-2:])
        if share < options["some"]:
            continue
        severity: Severity = "advice"
        if share >= options["share"]:
            severity = "error" if share >= options["sure"] else "warning"
        began = next(
            n for n in range(len(looks)) if all(_dead([a])[1] >= options["some"] for a in looks[n:])
        )
        found.append(
            Finding(
                code="SA303",
                name="dead-relu-units",
                site=site,
                severity=severity,
                message=f"{units} ReLU units ({percent(share)}) are zero at every step of every sample: "
                "no gradient reaches them, they cannot come back. "
                "Start with biases at 0 and smaller weights, or lower the learning rate.",
                evidence={"share": share, "dead": units},
                update=looks[began].update,
                prescriptions=(Prescription("bound_bias"), Prescription("identity_relu")),
                confidence=round(len(looks) / (len(looks) + 1), 2),
            )
        )
    return found


def _dead(looks: list[Look]) -> tuple[int, float]:
    """How many units, and what share, are dead at all of these looks."""
    last = looks[-1]
    if not last.dead or not last.dead_units:
        return 0, 0.0
    both = frozenset.intersection(*(look.dead_units for look in looks))
    return len(both), last.dead * (len(both) / len(last.dead_units))
