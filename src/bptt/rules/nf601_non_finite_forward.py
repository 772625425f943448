"""NF601 non-finite-forward: a state stopped being a finite number on the way forward.

## What it does

Fires at the first state, gate or loss that is nan or infinite, and says at which update, step, sample, unit and gate.

## Why it is bad

From there on every later step is not finite, then the loss, then all gradients, and after the optimizer's step all
weights: training is over, however long the script goes on.

## Evidence

The first non-finite value of the run, which the sentinels look for at every update, and the size of the states
before.

## Threshold

None: one value is enough.

## Examples

`bad()`: a ReLU RNN whose recurrence multiplies its state at each of 120 steps. `good()`: an orthogonal one with tanh.

## Remedies

Where states grew before (EG201), cure the recurrence: `spectral_radius`, `orthogonal`, a tanh in place of a ReLU.
Where weights did, a smaller learning rate or `clip_norm`. Where neither did, a division, logarithm or root in the
model or in the loss.

## Known limits

Values that are made and overwritten inside a module of the user's own are not seen; its output is.

## References

PyTorch issue 160016, on what anomaly detection does not find.
"""

from torch import nn

from bptt.rules._evidence import Evidence, Incident
from bptt.rules._example import Example, adding, orthogonal_
from bptt.rules._incident import numbers, place, replay
from bptt.rules._rule import Finding, Options, Prescription

OPTIONS: Options = {}


def bad() -> Example:
    """The state overflows within the sequence."""
    rnn = orthogonal_(nn.RNN(2, 16, nonlinearity="relu"), gain=6.0)
    return adding(rnn, steps=120, lr=1e-30, updates=3)


def good() -> Example:
    """A tanh bounds it."""
    return adding(orthogonal_(nn.RNN(2, 16)), steps=20, updates=3)


def check(evidence: Evidence, options: Options) -> list[Finding]:
    """One finding for the run."""
    incident = evidence.incident
    if incident is None or incident.where != "forward":
        return []
    if incident.outside:
        cause = "what came in was not finite already: look in the layers before"
    elif incident.size is not None and incident.size > 1e6:
        cause = (
            f"states had grown to {incident.size:.1g} before: the recurrence or the weights grow"
        )
    elif incident.site == "loss":
        cause = "states were finite: look at the loss (a logarithm, a division, a root)"
    else:
        cause = "look for a division, logarithm or root, and at the last update's size"
    return [
        Finding(
            code="NF601",
            name="non-finite-forward",
            site=incident.site,
            severity="error",
            message=f"first {incident.what} at {place(incident)}; {cause}.{replay(incident)}",
            evidence=numbers(incident),
            update=incident.update,
            prescriptions=_remedies(incident),
        )
    ]


def _remedies(incident: Incident) -> tuple[Prescription, ...]:
    """For what came in, the input; for states that grew, their recurrence; else what weights grow by."""
    if incident.outside:
        return (Prescription("finite_input"),)
    cause = Prescription("spectral_radius", {"radius": 1.0})
    bound = Prescription("clip_norm", {"max_norm": 1.0})
    grew = incident.size is not None and incident.size > 1e6
    return (cause, bound) if grew else (bound, cause)
