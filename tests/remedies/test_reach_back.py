"""Credit beyond a chunk: the steps before it are run again."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from bptt.remedies import Change, RemedyError, reach_back


class Gated(nn.Module):
    """A cell as users write it."""

    def __init__(self) -> None:
        super().__init__()
        self.mix = nn.Linear(2 + 5, 10)

    def forward(self, x: Tensor, h: Tensor) -> Tensor:
        z, n = self.mix(torch.cat([x, h], 1)).chunk(2, 1)
        return torch.sigmoid(z) * h + (1 - torch.sigmoid(z)) * torch.tanh(n)


def steps_of(cell: nn.Module, state: Any, x: Tensor) -> tuple[Tensor, Any]:
    """One chunk of a loop over a cell."""
    for x_t in x:
        state = cell(x_t, state)
    return (state[0] if isinstance(state, tuple) else state), state


def sequence_of(layer: nn.Module, state: Any, x: Tensor) -> tuple[Tensor, Any]:
    """One chunk of a layer."""
    y, state = layer(x, state)
    return y[-1], state


SUBJECTS: dict[str, tuple[Callable[[], nn.Module], Any, Callable[[], Any]]] = {
    "gru": (lambda: nn.GRU(2, 5), sequence_of, lambda: torch.zeros(1, 3, 5)),
    "lstm": (lambda: nn.LSTM(2, 5), sequence_of, lambda: None),
    "lstm cell": (lambda: nn.LSTMCell(2, 5), steps_of, lambda: None),
    "by hand": (Gated, steps_of, lambda: torch.zeros(3, 5)),
}
each_subject = pytest.mark.parametrize("name", SUBJECTS)


def cut(state: Any) -> Any:
    return tuple(s.detach() for s in state) if isinstance(state, tuple) else state.detach()


def gradient(model: nn.Module, run: Any, state: Any, chunks: list[Tensor]) -> list[Tensor]:
    """Of the last chunk's loss alone, the state detached between chunks."""
    last = torch.zeros(())
    for n, chunk in enumerate(chunks):
        last, state = run(model, cut(state) if n else state, chunk)
    model.zero_grad()
    last.square().sum().backward()
    return [p.grad.clone() for p in model.parameters() if p.grad is not None]


@each_subject
def test_the_gradient_is_that_of_the_whole_window(name: str) -> None:
    make, run, start = SUBJECTS[name]
    model, x = make(), torch.randn(24, 3, 2)
    chunks = list(x.split(4))
    wanted = gradient(model, run, start(), [x])
    short = gradient(model, run, start(), chunks)
    change = reach_back(model, length=24)
    for found, whole in zip(gradient(model, run, start(), chunks), wanted, strict=True):
        torch.testing.assert_close(found, whole)
    assert any(not torch.allclose(a, b) for a, b in zip(short, wanted, strict=True))
    change.undo()
    again = gradient(model, run, start(), chunks)
    assert all(torch.equal(a, b) for a, b in zip(again, short, strict=True))


@each_subject
def test_a_window_reaches_as_far_as_it_is_long(name: str) -> None:
    make, run, start = SUBJECTS[name]
    model, x = make(), torch.randn(24, 3, 2)
    _, state = run(model, start(), x[:16])
    window = gradient(model, run, cut(state), [x[16:]])
    reach_back(model, length=8)
    found = gradient(model, run, start(), list(x.split(4)))
    for a, b in zip(found, window, strict=True):
        torch.testing.assert_close(a, b)


def test_the_steps_are_run_with_the_weights_as_they_are_now() -> None:
    layer, x = nn.RNN(1, 4), torch.randn(12, 2, 1)
    reach_back(layer, length=12)
    optimizer, state = torch.optim.SGD(layer.parameters(), lr=0.5), None
    for n, chunk in enumerate(x.split(3)):
        y, state = layer(chunk, None if state is None else state.detach())
        if n == 3:
            with torch.no_grad():
                torch.testing.assert_close(y, layer(x)[0][9:])
        optimizer.zero_grad()
        y.square().sum().backward()
        optimizer.step()


def test_a_new_sequence_is_not_joined_to_the_last_one() -> None:
    layer, x = nn.GRU(1, 4), torch.randn(6, 2, 1)
    change = reach_back(layer, length=12)
    for _ in range(3):
        layer(x, torch.zeros(1, 2, 4))[0].sum().backward()
    with torch.no_grad():
        _, state = layer(x)
        layer(x, state)
    assert change.counts["again"] == 0


def test_random_numbers_of_the_script_stay_as_they_are() -> None:
    def drawn(remedy: Callable[[nn.Module], Change] | None) -> Tensor:
        torch.manual_seed(1)
        layer, state = nn.GRU(1, 4, num_layers=2, dropout=0.5), None
        if remedy is not None:
            remedy(layer)
        for chunk in torch.randn(12, 2, 1).split(3):
            _, state = layer(chunk, None if state is None else state.detach())
        return torch.rand(3)

    assert torch.equal(drawn(None), drawn(lambda layer: reach_back(layer, length=9)))


def test_a_copy_begins_without_what_was_given() -> None:
    layer = nn.GRU(1, 4)
    change = reach_back(layer, length=12)
    _, state = layer(torch.randn(3, 2, 1))
    other = copy.deepcopy(layer)
    other(torch.randn(3, 2, 1), state.detach())[0].sum().backward()
    assert change.counts["again"] == 0


def test_what_cannot_be_meant_is_refused() -> None:
    with pytest.raises(RemedyError, match="no module in it is given a state"):
        reach_back(nn.Sequential(nn.Linear(1, 1)), length=4)
    with pytest.raises(RemedyError, match="2 or more"):
        reach_back(nn.GRU(1, 1), length=1)
