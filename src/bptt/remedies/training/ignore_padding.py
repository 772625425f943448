"""Padding is left out of a loss over classes."""

from torch import nn
from torch.optim import Optimizer

from bptt.remedies._change import Change
from bptt.remedies._target import RemedyError, Target

CURES = ()
LOSSES = (nn.CrossEntropyLoss, nn.NLLLoss)
UNSET = -100
"""What torch ignores where nobody said anything: no class has this number."""


def fits(target: Target) -> str:
    """An embedding that knows its padding, and a loss over classes that does not."""
    try:
        _index(target.model)
        _deaf(target.model)
    except RemedyError as reason:
        return str(reason)
    return ""


def ignore_padding(
    model: nn.Module,
    *,
    optimizer: Optimizer | None = None,
    site: str = "",
    index: int | None = None,
) -> Change:
    """Have a loss over classes leave out the positions whose target is padding: `ignore_index = index`.

    Targets of a batch of unequal length are filled up with the padding's number, and a mean over all positions,

        L = 1/N Σ_n ℓ(ŷ_n, y_n),    N = B · T,

    counts them as if they had been said: most of what is learned is to predict padding from padding, and the gradient
    enters at steps behind the sequences' ends. Ignored, they are in neither the sum nor N. The number is the one that
    the model's embedding ignores (`padding_idx`). The loss is then another quantity than before: compare it with care.

    Args:
        model: holds the embedding, and the loss as a module (`nn.CrossEntropyLoss`, `nn.NLLLoss`).
        optimizer: has no meaning here.
        site: has no meaning here.
        index: the padding's number; None for that of the embedding.

    Raises:
        RemedyError: no such loss, one that ignores a number already, no embedding that knows its padding, or several
            that differ; nothing was changed.

    Example:
        >>> import torch
        >>> parts = {"embedding": nn.Embedding(5, 3, padding_idx=0), "loss": nn.CrossEntropyLoss()}
        >>> model = nn.ModuleDict(parts)
        >>> logits, targets = torch.eye(5)[None].repeat(2, 1, 1), torch.tensor([[4, 2, 0, 0, 0], [1, 1, 3, 0, 0]])
        >>> change = ignore_padding(model)
        >>> torch.equal(model["loss"](logits[targets > 0], targets[targets > 0]),
        ...             model["loss"](logits.flatten(0, 1), targets.flatten()))
        True
        >>> change.undo(); model["loss"].ignore_index
        -100

    Source: PyTorch documentation, torch.nn.CrossEntropyLoss.
    """
    number = _index(model) if index is None else index
    if not isinstance(number, int) or isinstance(number, bool):
        raise RemedyError(f"index is {index!r}, expected the number that stands for padding")
    with Change("ignore_padding", {} if index is None else {"index": index}) as change:
        for loss in _deaf(model):
            change.attribute(loss, "ignore_index", number)
            name = type(loss).__name__
            change.said.append(f"{name} leaves out the targets that are {number}, the padding")
            change.lines = (f"criterion = nn.{name}(ignore_index={number})",)
    return change


def _index(model: nn.Module) -> int:
    found = {
        each.padding_idx
        for each in model.modules()
        if isinstance(each, (nn.Embedding, nn.EmbeddingBag)) and each.padding_idx is not None
    }
    if len(found) != 1:
        many = "no embedding knows its padding" if not found else f"embeddings pad with {found}"
        raise RemedyError(f"{many}: say which number stands for padding")
    return int(found.pop())


def _deaf(model: nn.Module) -> list[nn.CrossEntropyLoss | nn.NLLLoss]:
    """Losses over classes that ignore nothing."""
    losses = [each for each in model.modules() if isinstance(each, LOSSES)]
    deaf = [each for each in losses if each.ignore_index == UNSET]
    if not deaf:
        raise RemedyError(
            "every loss over classes ignores a number already"
            if losses
            else "no nn.CrossEntropyLoss or nn.NLLLoss is held as a module: set ignore_index where the loss is computed"
        )
    return deaf
