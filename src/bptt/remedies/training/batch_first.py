"""Batch and time put in their places."""

from torch import nn
from torch.optim import Optimizer

from bptt.remedies._change import Change
from bptt.remedies._target import RemedyError, Target
from bptt.remedies.training._modules import sequences_at

CURES = ("LA701",)


def fits(target: Target) -> str:
    """A layer that steps through its input itself; the loop over a cell is the script's own."""
    try:
        found = sequences_at(target.model, target.site)
    except RemedyError as error:
        return str(error)
    return (
        "" if found else "a loop over a cell takes its steps itself: turn the axes where it begins"
    )


def batch_first(model: nn.Module, *, optimizer: Optimizer | None = None, site: str = "") -> Change:
    """Exchange the axis that a layer steps through: `batch_first` is turned over.

    A layer with `batch_first=False` reads `x[t, b]`, one with `True` reads `x[b, t]`. Where it was told the wrong one,
    its state is handed from sample to sample. Weights and state dict stay. What a script does with the output before
    and behind the layer stays as well: it is right already where only the layer was told wrong.

    Args:
        model: holds the layers.
        optimizer: has no meaning here.
        site: one module or site, `""` for all.

    Raises:
        RemedyError: no layer there; nothing was changed.

    Example:
        >>> import torch
        >>> model = nn.GRU(3, 4)
        >>> change = batch_first(model)
        >>> model(torch.zeros(16, 9, 3))[1].shape
        torch.Size([1, 16, 4])
        >>> change.undo(); model.batch_first
        False

    Source: PyTorch documentation, torch.nn.LSTM, `batch_first`.
    """
    with Change("batch_first", {}) as change:
        for module in sequences_at(model, site):
            told = not module.batch_first
            change.attribute(module, "batch_first", told)
            kind = type(module).__name__
            change.said.append(f"{kind} reads {'[B, T, I]' if told else '[T, B, I]'} now")
            change.lines = (f"rnn = nn.{kind}(..., batch_first={told})", "y, state = rnn(x)")
    return change
