"""NF603 non-finite-input: the data itself holds values that are not finite.

## What it does

Fires at the first input of a recurrent module that is nan or infinite before any state or weight was.

## Why it is bad

One such value in one sample makes that sample's states, the batch's loss, all gradients and then all weights nan.

## Evidence

The first non-finite value of the run is in the input of a recurrent module.

## Threshold

None: one value is enough.

## Examples

`bad()`: a missing measurement, left as nan in the third batch. `good()`: filled with zero.

## Remedies

Look at the sample that is named. Missing values: fill them and give the model a mask. Scaling: a division by a
standard deviation of zero. Logarithms of zero.

## Known limits

An embedding or a layer before the recurrent one may have made the value from finite data; it is then named as the
input of the recurrent module all the same, unless weights were not finite already.

## References

Che et al. (2018), "Recurrent neural networks for multivariate time series with missing values", arXiv 1606.01865.
"""

from collections.abc import Callable
from itertools import count

from torch import Tensor, nn

from bptt.rules._evidence import Evidence
from bptt.rules._example import Example, Reader, adding_batch, example
from bptt.rules._incident import numbers, place, replay
from bptt.rules._rule import Finding, Options, Prescription

OPTIONS: Options = {}


def bad() -> Example:
    """One value of the third batch is missing."""
    return example(Reader(nn.GRU(2, 16)), _with_gap(float("nan")), updates=4)


def good() -> Example:
    """It is filled."""
    return example(Reader(nn.GRU(2, 16)), _with_gap(0.0), updates=4)


def _with_gap(value: float) -> Callable[[nn.Module], Tensor]:
    turn = count(1)

    def loss(model: nn.Module) -> Tensor:
        x, target = adding_batch(12, 8)
        if next(turn) == 3:
            x[5, 2, 0] = value
        return (model(x)[0][-1, :, 0] - target).square().mean()

    return loss


def check(evidence: Evidence, options: Options) -> list[Finding]:
    """One finding for the run."""
    incident = evidence.incident
    if incident is None or incident.where != "input":
        return []
    which = "batch" if incident.sample is None else "sample"
    share = "" if incident.share is None else f" ({incident.share:.2%} of that step's values)"
    return [
        Finding(
            code="NF603",
            name="non-finite-input",
            site=incident.site,
            severity="error",
            message=f"the data holds {incident.what}, first at {place(incident)}{share}; states and weights were "
            f"finite. Look at that {which}: a missing value, a division by a spread of zero.{replay(incident)}",
            evidence=numbers(incident),
            update=incident.update,
            prescriptions=(Prescription("finite_input"), Prescription("skip_non_finite")),
        )
    ]
