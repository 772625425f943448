"""Padding in a loss over classes: left out of the sum and of the count, and never guessed."""

import pytest
import torch
from torch import Tensor, nn

from bptt.remedies import RemedyError, ignore_padding, remedy


def tagger() -> tuple[nn.ModuleDict, Tensor, Tensor]:
    parts = {"read": nn.Embedding(5, 3, padding_idx=0), "loss": nn.CrossEntropyLoss()}
    logits, targets = torch.randn(12, 5), torch.arange(12) % 5
    return nn.ModuleDict(parts), logits, targets


def test_ignored_padding_is_in_neither_the_sum_nor_the_count() -> None:
    model, logits, targets = tagger()
    change = ignore_padding(model)
    own = -logits.log_softmax(1)[torch.arange(12), targets]
    torch.testing.assert_close(model["loss"](logits, targets), own[targets != 0].mean())
    change.undo()
    torch.testing.assert_close(model["loss"](logits, targets), own.mean())
    ignore_padding(model, index=3)
    torch.testing.assert_close(model["loss"](logits, targets), own[targets != 3].mean())


@pytest.mark.parametrize(
    ("part", "value", "said"),
    [
        ("loss", nn.CrossEntropyLoss(ignore_index=0), "ignores a number already"),
        ("loss", nn.MSELoss(), "held as a module"),
        ("read", nn.Embedding(5, 3), "no embedding knows its padding"),
        ("more", nn.Embedding(5, 3, padding_idx=2), "embeddings pad with"),
    ],
)
def test_padding_that_nobody_knows_is_not_guessed(part: str, value: nn.Module, said: str) -> None:
    model, _, _ = tagger()
    model[part] = value
    with pytest.raises(RemedyError, match=said):
        remedy("ignore_padding").apply(model)
