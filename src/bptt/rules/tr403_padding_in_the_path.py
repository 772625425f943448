"""TR403 padding-in-the-path: the loss reads past the sequences' ends.

## What it does

Fires when gradient enters at steps that are padding: the same vector at the ends of samples of different lengths.
With packed input, fires when the loss reads outputs that lie behind a sample's end, where there is nothing to read:
samples that get no gradient at all, or rows behind the ends that get one of their own.

## Why it is bad

The model is asked what it thinks after reading padding. The gradient has to pass all of it before it meets the first
real step, so that short sequences are the ones that learn least; and an average over padding rewards the prediction
of padding. With packed input the outputs behind the end are zeros: those samples teach nothing.

## Evidence

The share of the direct gradient that enters at padding; for packed input, the share of samples at which any enters,
and of the rows behind the ends the share with a gradient of its own once they are padded. A sum over time hands every
row of a sample the same gradient, and the zeros behind its end add nothing: that is no reading.

## Threshold

`share` 0.02 of the direct gradient: with a mask, an `ignore_index` or a gather at the last step it is zero exactly.
For packed input, `samples` 0.9, and `rows` 0.5: a loss at every row trains all of them, a mask none, a convolution the
first one or two behind each end.

## Examples

`bad()`: sequences of 5 to 20 steps in a batch, read at the last step. `good()`: each read at its own end.

## Remedies

Pack the input (`pack_padded_sequence`) and read `h_n`; or gather each sample's own last step; for a loss at every
step, `ignore_index` or a mask.

## Known limits

Sequences that all end in the same value, at different times, look like padded ones. Padding by a moving value (the
last one repeated) is not recognised.

## References

PyTorch documentation, torch.nn.utils.rnn.
"""

import torch
from torch import Tensor, nn

from bptt.rules._evidence import Evidence, Look
from bptt.rules._example import Example, Reader, example
from bptt.rules._rule import Finding, Options, Prescription
from bptt.rules._words import confidence, percent, since

OPTIONS: Options = {"share": 0.02, "samples": 0.9, "rows": 0.5}


def bad() -> Example:
    """The answer is read after the padding."""
    return example(Reader(nn.GRU(3, 16)), lambda model: _loss(model, own_end=False))


def good() -> Example:
    """The answer is read where each sequence ends."""
    return example(Reader(nn.GRU(3, 16)), lambda model: _loss(model, own_end=True))


def _loss(model: nn.Module, own_end: bool) -> Tensor:
    """Tell the mean of sequences of 5 to 20 steps, zero behind their ends."""
    lengths = torch.randint(10, 21, (16,)).index_fill(0, torch.tensor([0]), 20)
    inside = torch.arange(20).unsqueeze(1) < lengths
    x = torch.randn(20, 16, 3) * inside.unsqueeze(-1)
    target = x.sum((0, 2)) / lengths
    last = lengths - 1 if own_end else torch.full((16,), 19)
    return (model(x)[0][last, torch.arange(16), 0] - target).square().mean()


def check(evidence: Evidence, options: Options) -> list[Finding]:
    """One finding a site where the loss reads padding at the last look."""
    found = []
    for site, looks in evidence.each():

        def wrong(look: Look) -> bool:
            return _reads_padding(look, options) or _reads_behind(look, options)

        look = looks[-1]
        if not wrong(look):
            continue
        if _reads_padding(look, options):
            what = (
                f"{percent(look.padding_loss)} of the gradient enters at padding "
                f"({percent(look.padding)} of all steps are padding)"
            )
        elif look.behind >= options["rows"]:
            what = (
                f"{percent(look.behind)} of the rows behind the packed sequences' ends are trained"
            )
        else:
            what = f"only {percent(look.bearing_samples or 0.0)} of the packed samples get any gradient"
        found.append(
            Finding(
                code="TR403",
                name="padding-in-the-path",
                site=site,
                severity="error",
                message=f"{what}: the loss reads past the sequences' ends. "
                "Read each sequence at its own last step (or h_n of packed input), and mask a loss at every step.",
                evidence={
                    "padding": look.padding,
                    "padding_loss": look.padding_loss,
                    "samples": look.bearing_samples,
                    "behind": look.behind,
                },
                update=since(looks, wrong),
                prescriptions=(Prescription("last_valid"),),
                confidence=confidence(looks, wrong),
            )
        )
    return found


def _reads_padding(look: Look, options: Options) -> bool:
    return not look.lengths_known and look.padding_loss >= options["share"]


def _reads_behind(look: Look, options: Options) -> bool:
    some = look.bearing_samples
    few = some is not None and some < options["samples"]
    return look.lengths_known and (few or look.behind >= options["rows"])
