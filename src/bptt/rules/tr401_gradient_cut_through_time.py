"""TR401 gradient-cut-through-time: the state is handed from step to step, its gradient is not.

## What it does

Fires when, between one backward pass and the next, a call received the values of an earlier state without its
gradient; when whole updates are one step long, with the state carried over; when the state came out of `no_grad`; and
when a module's state is handed to another one (an encoder's to a decoder) and no gradient comes back on any way.

## Why it is bad

Forward, the model looks right: the state arrives, the loss falls a little. Backward, each piece stands alone, and
nothing is learned that needs more than one. A `detach()`, `.data`, `torch.tensor(h)`, a pass through NumPy or a
`no_grad` around part of the loop is enough.

## Evidence

How many calls received a state without its gradient, how many backward passes the update had, and whether a state is
carried over from one update to the next. In a loop by hand, what was detached: a tensor from which a weight gets back
what it has made itself, and not what another module or a plant makes of it, is such a state.

## Threshold

An error where pieces are at most `piece` 2 steps long, or where `lost` 0.1 of the credit is thrown away with them;
else advice. A burn-in under `no_grad` is meant to be so, and advice, where as many steps follow it as it has; where
fewer do, it is a warning at least: most of what is read is not learned from.
Cuts with a backward pass between them are truncated backpropagation, which is meant to be so; TR402 judges it.

## Examples

`bad()`: a cell loop that detaches the state at every step. `good()`: the same loop without.

## Remedies

Take the detach out of the loop. For truncated backpropagation, detach between chunks, before the forward pass of the
next one, and not within.

## Known limits

A state that changes on the way (scaled, mixed with another) and is then detached is not recognised as the same.

## References

Williams & Peng (1990), "An efficient gradient-based algorithm for on-line training of recurrent network
trajectories".
"""

import torch
from torch import Tensor, nn

from bptt.rules._evidence import Evidence, Look
from bptt.rules._example import Example, adding_batch, example
from bptt.rules._rule import Finding, Options, Prescription, Severity
from bptt.rules._truncation import discarded, passes
from bptt.rules._words import confidence, since

OPTIONS: Options = {"piece": 2, "lost": 0.1}


class Loop(nn.Module):
    """A loop over a cell, which may detach the state on the way."""

    def __init__(self, detach: bool) -> None:
        super().__init__()
        self.cell, self.readout, self.detach = nn.GRUCell(2, 16), nn.Linear(16, 1), detach

    def forward(self, x: Tensor) -> Tensor:
        """`[T, B, 2]` to `[B]`."""
        h = x.new_zeros(x.shape[1], 16)
        for x_t in x:
            h = self.cell(x_t, h.detach() if self.detach else h)
        return self.readout(h)[:, 0]


def bad() -> Example:
    """No gradient from step to step."""
    return example(Loop(detach=True), _loss)


def good() -> Example:
    """Gradient through all twelve."""
    return example(Loop(detach=False), _loss)


def _loss(model: nn.Module) -> Tensor:
    x, target = adding_batch(12, 8)
    return torch.nn.functional.mse_loss(model(x), target)


def check(evidence: Evidence, options: Options) -> list[Finding]:
    """One finding a site that is cut at the last look."""
    found = []
    for site, looks in evidence.each():

        def wrong(look: Look) -> bool:
            return _cut(look, passes(evidence, look), options)

        look = looks[-1]
        if not wrong(look) or (look.taker and _reached(evidence, site)):
            continue
        found.append(
            Finding(
                code="TR401",
                name="gradient-cut-through-time",
                site=site,
                severity=_severity(look, options),
                message=f"{_what(look)}. Look for detach(), .data, no_grad or NumPy on the state's way.",
                evidence={
                    "cuts": look.cuts,
                    "calls": look.calls,
                    "steps": look.steps,
                    "lost": discarded(look),
                },
                update=since(looks, wrong),
                prescriptions=(Prescription("keep_state"),),
                confidence=confidence(looks, wrong),
            )
        )
    return found


def _severity(look: Look, options: Options) -> Severity:
    if look.steps <= options["piece"]:
        return "error"
    if 0 < look.quiet <= look.steps:
        return "advice"
    mild: Severity = "warning" if look.quiet else "advice"
    return "error" if discarded(look) >= options["lost"] else mild


def _what(look: Look) -> str:
    if look.taker:
        return (
            f"its state is handed to {look.taker} without its gradient, and none comes back on any other way: "
            "it is not trained"
        )
    if look.quiet:
        return (
            f"{look.quiet} steps ran under no_grad before the {look.steps} that gradient passes: "
            "nothing is learned from them"
        )
    where = f"{look.cuts} times in one update" if look.cuts else "after every step"
    return (
        f"the state is handed on without its gradient {where}: a step learns nothing from "
        f"more than {look.steps - 1} steps before it"
    )


def _reached(evidence: Evidence, site: str) -> bool:
    """Whether a gradient came to the weights in any update."""
    weights = evidence.weights.get(site)
    return weights is not None and weights.with_grad > 0


def _cut(look: Look, passes: int, options: Options) -> bool:
    if look.taker or look.quiet:
        return True
    if look.cuts:
        return passes <= 1 or (look.steps <= options["piece"] and look.cuts >= passes)
    return look.carried and look.steps == 1
