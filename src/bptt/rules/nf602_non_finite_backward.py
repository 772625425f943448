"""NF602 non-finite-backward: the loss is finite, and a gradient is not.

## What it does

Fires at the first gradient that is nan or infinite while states and loss were finite, and says where.

## Why it is bad

The optimizer's next step writes it into the weights, and every forward pass after that is not finite.

## Evidence

The first non-finite value of the run, and the size of the gradients before.

## Threshold

None: one value is enough. Under a loss scaler, which skips such updates and lowers its scale, single ones are its way
of working and do not count.

## Examples

`bad()`: a square root in the loss, at zero. `good()`: the same with a small number under the root.

## Remedies

Where gradients grew on their way back (EG201), `clip_steps` or a cure of the recurrence; clipping by norm comes too
late, infinity times zero is nan. Else the derivative of something at its edge: `sqrt(0)`, `0 ** p`, `norm` of a zero
vector, `where` over a branch that is not finite. `finite_gradients` lets such a slope be zero where it is born;
`skip_non_finite` leaves the update out.

## Known limits

Where the gradient comes from below the recurrent module's output, only the step at which it arrives is known.

## References

PyTorch documentation, torch.autograd.detect_anomaly.
"""

import torch
from torch import Tensor, nn

from bptt.rules._evidence import Evidence, Incident
from bptt.rules._example import Example, Reader, adding_batch, example
from bptt.rules._incident import numbers, place, replay
from bptt.rules._rule import Finding, Options, Prescription

OPTIONS: Options = {}


def bad() -> Example:
    """The derivative of a root at zero is infinite."""
    return example(Reader(nn.GRU(2, 16)), lambda model: _loss(model, 0.0), updates=2)


def good() -> Example:
    """Kept away from zero."""
    return example(Reader(nn.GRU(2, 16)), lambda model: _loss(model, 1e-6), updates=2)


def _loss(model: nn.Module, least: float) -> Tensor:
    x, target = adding_batch(12, 8)
    y = model(x)[0][-1, :, 0]
    smooth = ((y[1:] - y[1:].detach()).square() + least).sqrt()
    return (y - target).square().mean() + torch.relu(smooth).mean()


def check(evidence: Evidence, options: Options) -> list[Finding]:
    """One finding for the run."""
    incident = evidence.incident
    if incident is None or incident.where != "backward":
        return []
    if incident.outside:
        cause = (
            "it came in from above: look for sqrt, norm, a power or a logarithm at zero in the loss"
        )
    elif incident.size is not None and incident.size > 1e6:
        cause = f"gradients had grown to {incident.size:.1g} on their way back through the steps"
    else:
        cause = "look for sqrt, norm, a power or a logarithm at its edge"
    return [
        Finding(
            code="NF602",
            name="non-finite-backward",
            site=incident.site,
            severity="error",
            message=f"states and loss are finite, a gradient is not: first {incident.what} at {place(incident)}; "
            f"{cause}.{replay(incident)}",
            evidence=numbers(incident),
            update=incident.update,
            prescriptions=_remedies(incident),
        )
    ]


def _remedies(incident: Incident) -> tuple[Prescription, ...]:
    """Bounded step by step where gradients grew on their way; else the edge is given a slope."""
    skip = Prescription("skip_non_finite")
    if not incident.outside and incident.size is not None and incident.size > 1e6:
        return Prescription("clip_steps", {"norm": 1.0}), skip
    return Prescription("finite_gradients"), skip
