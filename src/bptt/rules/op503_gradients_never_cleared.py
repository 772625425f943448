"""OP503 gradients-never-cleared: an update still holds the gradients of the updates before it.

## What it does

Fires when gradients of an earlier update are still there as the next one's first backward pass begins, and the step
uses them, in most updates.

## Why it is bad

`backward()` adds to `.grad`. Without `zero_grad()` each step uses the sum of all gradients since the last one: the step
grows with every update, long after its reasons have gone, and training swings and diverges.

## Evidence

For each update, whether gradients were carried into it; of several optimizers, those of the worst.

## Threshold

`share` 0.5 of the updates after the first, and at least `updates` 2 of them. Accumulating several backward passes for
one step is no fault: those gradients are of the same update.

## Examples

`bad()`: a loop without `zero_grad()`. `good()`: the same with it.

## Remedies

`optimizer.zero_grad()` before `loss.backward()`, or after each step.

## Known limits

Momentum by hand, by leaving gradients and scaling them down, looks the same.

## References

PyTorch documentation, torch.optim.Optimizer.zero_grad.
"""

from torch import nn

from bptt.rules._evidence import Evidence
from bptt.rules._example import Example, adding
from bptt.rules._rule import Finding, Options, Prescription

OPTIONS: Options = {"share": 0.5, "updates": 2}


def bad() -> Example:
    """Nobody clears."""
    return adding(nn.GRU(2, 16), steps=12, lr=1e-3, clears=False)


def good() -> Example:
    """Cleared before every update."""
    return adding(nn.GRU(2, 16), steps=12, lr=1e-3)


def check(evidence: Evidence, options: Options) -> list[Finding]:
    """One finding for the run."""
    updates = evidence.updates
    carried = (updates.left_over or updates.carried)[1:]
    whose = f" (of the optimizer that holds {updates.holds})" if updates.holds else ""
    count = sum(carried)
    if count < options["updates"] or count < options["share"] * len(carried):
        return []
    at = 1 + carried.index(True)
    first = at + 1 if updates.left_over else updates.number(at)
    return [
        Finding(
            code="OP503",
            name="gradients-never-cleared",
            site="",
            severity="error",
            message=f"{updates.told(count, len(carried))} after the first began with the gradients of earlier ones "
            f"still there{whose}, and added to them: each step uses their sum. "
            "Call optimizer.zero_grad() in every update.",
            evidence={"carried": count, "updates": len(carried)},
            update=first,
            prescriptions=(Prescription("clear_gradients"),),
            persists=carried[-1],
            confidence=round(min(0.5 + 0.1 * count, 0.99), 2),
        )
    ]
