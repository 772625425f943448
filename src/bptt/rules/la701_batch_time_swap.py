"""LA701 batch-time-swap: the recurrence runs over the samples of a batch, and time is taken for the batch.

## What it does

Fires when the axis over which a recurrent module steps is the axis of the samples.

## Why it is bad

The state is handed from one sample to the next, and never from one moment to the next: the model sees no time at all,
and each sample's prediction depends on who stands before it in the batch. All shapes fit, the loss may even fall.

## Evidence

Four signs, each of which is enough. The number of steps is the batch size of the script's data loader, and the
module's batch is not. Gradient enters at every step, of one single sample: "the last time step" was taken from the
wrong axis. The targets have one row for each step of the recurrence, and the module's batch is another number: each
row is a sample. The targets are the inputs moved by one, along the axis that the module takes for the batch.

## Threshold

`bearing` 0.9 of the steps, of at most one sample of three or more, at most of the milestones.

## Examples

`bad()`: a batch of 16 samples of 30 steps, `[B, T, I]`, given to a layer that wants time first. `good()`: transposed.

## Remedies

`batch_first=True`, or `x.transpose(0, 1)`.

## Known limits

Where the batch is as large as the sequence is long, and no data loader is used, nothing tells the axes apart.

## References

PyTorch documentation, torch.nn.LSTM, `batch_first`.
"""

import torch
from torch import Tensor, nn

from bptt.rules._evidence import Evidence, Look
from bptt.rules._example import Example, adding_batch, example
from bptt.rules._rule import Finding, Options, Prescription
from bptt.rules._words import confidence, since

OPTIONS: Options = {"bearing": 0.9}


class Classifier(nn.Module):
    """Reads `[B, T, 2]`, as the batch's first axis suggests; whether its layer does is the question."""

    def __init__(self, batch_first: bool) -> None:
        super().__init__()
        self.rnn = nn.GRU(2, 16, batch_first=batch_first)
        self.readout = nn.Linear(16, 1)

    def forward(self, x: Tensor) -> Tensor:
        """`[B, T, 2]` to `[B]`."""
        return self.readout(self.rnn(x)[0][:, -1])[:, 0]


def bad() -> Example:
    """The layer takes the 16 samples for time."""
    return example(Classifier(batch_first=False), _loss)


def good() -> Example:
    """The layer is told."""
    return example(Classifier(batch_first=True), _loss)


def _loss(model: nn.Module) -> Tensor:
    x, target = adding_batch(20, 16)
    return torch.nn.functional.mse_loss(model(x.transpose(0, 1)), target)


def check(evidence: Evidence, options: Options) -> list[Finding]:
    """One finding a site whose looks show a sign, at the last look and at most of them."""
    found = []
    for site, looks in evidence.each():

        def wrong(look: Look) -> bool:
            return bool(_sign(look, options))

        look = looks[-1]
        if not wrong(look) or 2 * sum(map(wrong, looks)) < len(looks):
            continue
        found.append(
            Finding(
                code="LA701",
                name="batch-time-swap",
                site=site,
                severity="error",
                message=f"the recurrence takes {look.steps} steps over {look.batch} samples, "
                f"but {_sign(look, options)}: it runs over the samples, and gradient crosses from one to the next. "
                "Set batch_first=True, or transpose the input.",
                evidence={
                    "steps": look.steps,
                    "batch": look.batch,
                    "loss_rows": look.loss_rows,
                    "samples": look.bearing_samples,
                },
                update=since(looks, wrong),
                prescriptions=(Prescription("batch_first"),),
                confidence=confidence(looks, wrong),
            )
        )
    return found


def _sign(look: Look, options: Options) -> str:
    """What shows that the axes are exchanged; empty if nothing does."""
    T, B = look.steps, look.batch
    if T == B or T < 2 or B < 2:
        return ""
    one_call = B // max(look.calls, 1)  # micro-batches of one update stand side by side
    if T in look.loader_batches and not {B, one_call} & look.loader_batches:
        return f"{T} is the batch size of the data loader"
    if look.shifted == (B, T):
        return f"the targets are the inputs moved by one along the other axis, of {B}"
    if look.lengths_known or look.bearing_samples is None or look.bearing is None:
        return ""
    if look.loss_rows == T and look.calls == 1 and look.bearing >= options["bearing"]:
        return f"the loss has {T} rows, one for each step"
    if B >= 3 and look.bearing_samples <= 1.01 / B and look.bearing >= options["bearing"] / B:
        return "the loss reads every step of a single sample"
    return ""
