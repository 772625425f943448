"""What a loss's graph alone says of the first value that is not finite."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import bptt
from bptt.doctor._incident import Place
from bptt.doctor._incident_in_graph import in_graph


class Reader(nn.Module):
    """A layer below the recurrence, one above it."""

    def __init__(self, below: nn.Module, rnn: nn.Module) -> None:
        super().__init__()
        self.below, self.rnn, self.head = below, rnn, nn.Linear(8, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.rnn(self.below(x))[0][:, -1]).squeeze(-1)


def place_of(
    model: nn.Module, x: Tensor, spoil: Callable[[Any], Any] = lambda y: y
) -> Place | None:
    loss = (spoil(model(x)) - x[:, 0, 0].nan_to_num()).square().mean()
    names = {id(each): name for name, each in model.named_parameters()}
    return in_graph(loss.grad_fn, lambda weight: names[id(weight)])


RECURRENT = [nn.RNN, nn.GRU, nn.LSTM]
BELOW = [nn.Identity(), nn.Linear(4, 4), nn.LayerNorm(4)]


@pytest.mark.parametrize("cell", RECURRENT)
@pytest.mark.parametrize("below", BELOW)
def test_data(cell: type[nn.Module], below: nn.Module) -> None:
    x = torch.randn(3, 6, 4)
    model = Reader(below, cell(4, 8, num_layers=2, batch_first=True))
    assert place_of(model, x) is None
    x[1, 2, 3] = math.nan
    assert place_of(model, x) == Place("input", "input", "nan")


@pytest.mark.parametrize("cell", RECURRENT)
def test_what_the_model_makes_is_not_blamed_on_the_data(cell: type[nn.Module]) -> None:
    class Zero(nn.Linear):
        def forward(self, input: Tensor) -> Tensor:
            made = super().forward(input)
            return made / (made - made)

    model = Reader(Zero(4, 4), cell(4, 8, batch_first=True))
    place = place_of(model, torch.randn(3, 6, 4))
    assert place is not None
    assert place.where == "forward"


def test_a_weight_is_named() -> None:
    model = Reader(nn.Linear(4, 4), nn.GRU(4, 8, batch_first=True))
    with torch.no_grad():
        model.get_parameter("below.weight")[1, 2] = math.inf
    place = place_of(model, torch.randn(3, 6, 4))
    # A product keeps the weight only where its input needs a gradient: it is seen in what it led to.
    assert place is not None
    assert place.where == "forward"
    model = Reader(nn.Linear(4, 4), nn.LSTM(4, 8, batch_first=True))
    with torch.no_grad():
        model.get_parameter("rnn.weight_hh_l0")[0, 0] = math.nan
    place = place_of(model, torch.randn(3, 6, 4))
    assert place is not None
    assert (place.site, place.gate, place.outside) == ("rnn.weight_hh_l0", "weights", True)


def test_a_loss_whose_operands_are_finite() -> None:
    model = Reader(nn.Identity(), nn.GRU(4, 8, batch_first=True))
    assert place_of(model, torch.randn(3, 6, 4), lambda y: y * 1e30) is None


@pytest.mark.parametrize("cell", RECURRENT)
def test_an_update_that_was_not_looked_at_whole(
    cell: type[nn.Module], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Short updates are looked at seldom, and a gap in the data of such a one was told as the fault of the loss."""
    monkeypatch.setattr("bptt.doctor._thrift.Thrift.update", lambda *given: None)
    model = Reader(nn.Identity(), cell(4, 8, batch_first=True))
    optimizer = torch.optim.SGD(model.parameters(), 1e-3)
    with bptt.Monitor(model, optimizer) as monitor:
        monitor.case.sentinel.look_less(63)
        monitor.case.sentinel.forward.seldom = True  # as where even a thin look costs too much
        for update in range(1, 52):
            x = torch.randn(3, 6, 4)
            if update == 50:
                assert not monitor.case.sentinel.full
                x[1, 2, 3] = math.nan
            optimizer.zero_grad()
            model(x).square().mean().backward()
            optimizer.step()
    (found,) = [each for each in monitor.findings if each.code.startswith("NF")]
    assert (found.code, found.update) == ("NF603", 50)
    assert "Look at that batch" in found.message
