"""OP502 frozen-recurrence: the recurrent weights are not trained.

## What it does

Fires when the recurrent weights of a module that takes part in training get no gradient, are owned by no optimizer
that steps, or are owned and never move.

## Why it is bad

The read-out learns to make the best of a random recurrence, the loss falls to something, and nobody notices. The
usual ways there: an optimizer made from part of the model's parameters, or before the layer was replaced; layers in a
plain Python list, which `parameters()` does not see; `requires_grad = False` left from a pre-training; a detached
output.

## Evidence

For each module: whether its recurrent weights require a gradient, got one, belong to an optimizer that stepped, and
changed; whether other weights of the run did.

## Threshold

None: a gradient that was never there, or weights that never moved in at least `updates` 2 updates, while others did.

## Examples

`bad()`: an optimizer that is given the read-out only. `good()`: one that is given the model.

## Remedies

`torch.optim.…(model.parameters())` after the last layer was made; `nn.ModuleList` in place of a list.

## Known limits

A reservoir (echo state network) is frozen on purpose; switch the rule off with `--ignore OP502`. Taken to be meant so
are: a module that is only ever called under `no_grad`; one that is in evaluation mode and asks for no gradient, as a
teacher is; a copy of one that trains, as a target network is; a matrix that is a registered buffer. Of a recurrence
written by hand, the first three updates tell which weights it has.

## References

Jaeger (2001), "The echo state approach", for what a frozen recurrence can do.
"""

import torch
from torch import nn

from bptt.rules._evidence import Evidence, Weights
from bptt.rules._example import Example, Reader, adding, last_step_loss
from bptt.rules._rule import Finding, Options, Prescription

OPTIONS: Options = {"updates": 2}


def bad() -> Example:
    """The optimizer has the read-out alone."""
    model = Reader(nn.GRU(2, 16))
    optimizer = torch.optim.SGD(model.readout.parameters(), lr=0.01)
    return Example(model, lambda model: last_step_loss(model, steps=12), optimizer)


def good() -> Example:
    """The optimizer has all of the model."""
    return adding(nn.GRU(2, 16), steps=12)


def check(evidence: Evidence, options: Options) -> list[Finding]:
    """One finding a module."""
    if evidence.single:
        return []
    found = []
    for weights in evidence.weights.values():
        cause = _cause(weights, options)
        if not cause:
            continue
        found.append(
            Finding(
                code="OP502",
                name="frozen-recurrence",
                site=weights.site,
                severity="error",
                message=f"the recurrent weights did not change in any of the {weights.steps} updates looked at: "
                f"{cause}.",
                evidence={
                    "trains": weights.trains,
                    "owned": weights.owned,
                    "with_grad": weights.with_grad,
                    "moved": weights.moved,
                    "updates": weights.steps,
                },
                update=1,
                prescriptions=(Prescription("own_parameters"),),
            )
        )
    return found


def _cause(weights: Weights, options: Options) -> str:
    """Why the weights stand still; empty where they do not, or where it cannot be told yet."""
    if weights.eval_only or weights.moved or weights.steps < options["updates"]:
        return ""
    if not weights.trains:
        return "their requires_grad is False. Set it to True, unless they are frozen on purpose"
    if not weights.owned:
        return "no optimizer that steps owns them. Give it model.parameters(), after all layers are made"
    if not weights.with_grad:
        return "no gradient reaches them. Look for a detach() or no_grad behind the layer"
    if not weights.other_moved:
        return ""
    return "they get gradients, but their learning rate is zero, or nearly so"
