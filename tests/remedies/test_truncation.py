"""Chunks of truncated backpropagation made longer from outside, and a length from the credit curve."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import bptt
from bptt import remedies
from bptt.remedies import RemedyError

I, H, B, K = 2, 6, 3, 4
MAKERS: dict[str, Callable[[], nn.Module]] = {
    "rnn": lambda: nn.RNN(I, H, 2),
    "gru": lambda: nn.GRU(I, H, batch_first=True),
    "lstm": lambda: nn.LSTM(I, H),
    "cell": lambda: nn.LSTMCell(I, H),
}


def detached(state: Any) -> Any:
    return tuple(map(detached, state)) if isinstance(state, tuple) else state.detach()


def outputs(rnn: nn.Module, x: Tensor, state: Any) -> tuple[Tensor, Any]:
    """`[T, B, H]` and the last state, of any of the modules."""
    if isinstance(rnn, nn.RNNCellBase):
        ys = []
        for x_t in x:
            state = rnn(x_t, state)
            ys.append(state[0])
        return torch.stack(ys), state
    if getattr(rnn, "batch_first", False):
        y, state = rnn(x.transpose(0, 1), state)
        return y.transpose(0, 1), state
    return rnn(x, state)


def loop(rnn: nn.Module, optimizer: Any, x: Tensor, chunk: int, first: int = K) -> None:
    """Truncated backpropagation as users write it. The first chunk may have a length of its own."""
    state = None
    rest = x[first:].split(chunk) if len(x) > first else ()
    for part in (x[:first], *rest):
        y, state = outputs(rnn, part, state)
        state = detached(state)
        optimizer.zero_grad()
        y.square().sum().backward()
        optimizer.step()


@pytest.mark.parametrize("kind", MAKERS)
def test_is_the_loop_with_longer_chunks(kind: str) -> None:
    rnn, twin = MAKERS[kind](), MAKERS[kind]()
    twin.load_state_dict(rnn.state_dict())
    x = torch.randn(K + 6 * K, B, I)
    mine = torch.optim.SGD(rnn.parameters(), lr=0.01, momentum=0.9)
    change = remedies.truncation(rnn, optimizer=mine, length=3 * K)
    loop(rnn, mine, x, K)
    assert change.counts == {"passes": 2, "put_off": 4}
    change.undo()
    loop(twin, torch.optim.SGD(twin.parameters(), lr=0.01, momentum=0.9), x, 3 * K)
    for a, b in zip(rnn.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-7)


def test_the_probe_sees_the_longer_chunks() -> None:
    lstm, x = nn.LSTM(I, H), torch.randn(4 * K, B, I)
    optimizer = torch.optim.SGD(lstm.parameters(), lr=0.01)
    change = remedies.truncation(lstm, optimizer=optimizer, length=3 * K)
    with bptt.probe(lstm) as flow:
        loop(lstm, optimizer, x, K)
    change.undo()
    assert flow["l0"].steps == 3 * K


def test_a_loop_that_carries_nothing_is_left_alone() -> None:
    rnn, twin = nn.GRU(I, H), nn.GRU(I, H)
    twin.load_state_dict(rnn.state_dict())
    batches = torch.randn(5, K, B, I)
    mine = torch.optim.Adam(rnn.parameters())
    change = remedies.truncation(rnn, optimizer=mine, length=100)
    for model, optimizer in ((rnn, mine), (twin, torch.optim.Adam(twin.parameters()))):
        for x in batches:
            loop(model, optimizer, x, K)
    assert change.counts == {"passes": 0, "put_off": 0}
    assert all(map(torch.equal, rnn.parameters(), twin.parameters()))
    change.undo()


def test_other_losses_and_evaluation_go_through() -> None:
    rnn, other = nn.GRU(I, H), nn.Linear(I, 1)
    optimizer = torch.optim.SGD(rnn.parameters(), lr=0.01)
    change = remedies.truncation(rnn, optimizer=optimizer, length=100)
    x = torch.randn(3 * K, B, I)
    loop(rnn, optimizer, x, K)
    assert change.counts["put_off"] == 2
    other(x).sum().backward()
    assert other.weight.grad is not None
    with torch.no_grad():
        h = rnn(x)[1]
        assert torch.equal(rnn(x, h)[0], rnn(x, h.clone())[0])
    change.undo()


def test_undo_puts_back_what_was_wrapped() -> None:
    rnn = nn.GRU(I, H)
    optimizer = torch.optim.SGD(rnn.parameters(), lr=0.01)
    backward, attributes = torch.Tensor.backward, set(vars(optimizer))
    change = remedies.truncation(rnn, optimizer=optimizer, length=8)
    assert torch.Tensor.backward is not backward
    change.undo()
    assert torch.Tensor.backward is backward
    assert set(vars(optimizer)) == attributes
    assert not rnn._forward_pre_hooks
    assert not rnn._forward_hooks
    assert rnn.state_dict().keys() == nn.GRU(I, H).state_dict().keys()


def test_steps_under_a_schedule_and_with_a_closure() -> None:
    rnn = nn.GRU(I, H)
    optimizer = torch.optim.SGD(rnn.parameters(), lr=0.01)
    change = remedies.truncation(rnn, optimizer=optimizer, length=2 * K)
    schedule, state = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.9), None
    before = [p.detach().clone() for p in rnn.parameters()]
    for n, part in enumerate(torch.randn(3 * K, B, I).split(K)):
        y, state = rnn(part, state)
        state = state.detach()

        def closure(y: Tensor = y) -> Tensor:
            optimizer.zero_grad()
            loss = y.square().sum()
            loss.backward()
            return loss

        assert optimizer.step(closure) is not None
        schedule.step()
        moved = not any(map(torch.equal, before, rnn.parameters()))
        assert moved == (n in (0, 2))
        before = [p.detach().clone() for p in rnn.parameters()]
    change.undo()


def test_refusals() -> None:
    rnn = nn.GRU(I, H)
    sgd = torch.optim.SGD(rnn.parameters(), lr=0.1)
    cases: list[tuple[dict[str, Any], str]] = [
        ({"optimizer": sgd, "length": 1}, "2 or more"),
        ({"length": 10}, "needs the optimizer"),
        ({"optimizer": torch.optim.LBFGS(rnn.parameters()), "length": 10}, "inside its step"),
        ({"optimizer": torch.optim.SGD(nn.GRU(I, H).parameters()), "length": 10}, "owns none"),
        ({"optimizer": sgd, "length": 10, "site": "decoder"}, "at 'decoder'"),
    ]
    for args, said in cases:
        with pytest.raises(RemedyError, match=said):
            remedies.truncation(rnn, **args)
    with pytest.raises(RemedyError, match="needs the optimizer"):
        remedies.remedy("truncation").apply(rnn, length=10)


def site_of(lstm: nn.Module, steps: int) -> Any:
    x = torch.randn(steps, B, I).double()
    return bptt.measure(lstm, x, loss=lambda out: out[0][-1].sum())["l0"]


@pytest.mark.parametrize("lost", [0.3, 0.1, 0.01])
def test_a_proposed_length_is_the_shortest_that_keeps_enough(lost: float) -> None:
    site = site_of(nn.LSTM(I, H).double(), 40)
    length = remedies.propose_length(site, lost)
    assert site.discarded(length) <= lost < site.discarded(length - 1)


def integrator(keeps: float) -> nn.RNN:
    """`h_t = keeps h_{t-1} + x_t` for inputs above 0: its credit curve is `keeps^k`."""
    rnn = nn.RNN(1, 1, nonlinearity="relu", bias=False).double()
    for name, value in (("weight_hh_l0", keeps), ("weight_ih_l0", 1.0)):
        nn.init.constant_(rnn.get_parameter(name), value)
    return rnn


def summed(out: Any) -> Tensor:
    return out[0][-1].sum()


def test_a_proposal_beyond_what_was_measured_carries_the_curve_on() -> None:
    rnn = integrator(0.95)
    site = bptt.measure(rnn, torch.rand(10, 2, 1).double(), loss=lambda out: out[0][-1].sum())["l0"]
    # A geometric curve: what lies at K and beyond is 0.95^K of all.
    assert remedies.propose_length(site, 0.1) == math.ceil(math.log(0.1) / math.log(0.95))


def test_a_curve_that_does_not_fall_has_no_length() -> None:
    flat = bptt.measure(integrator(1.0), torch.rand(50, 2, 1).double(), loss=summed)["l0"]
    with pytest.raises(RemedyError, match="does not fall"):
        remedies.propose_length(flat)
    with pytest.raises(RemedyError, match="between 0 and 1"):
        remedies.propose_length(flat, lost=1.0)
    with pytest.raises(RemedyError, match="longer sequence"):
        remedies.propose_length(site_of(nn.LSTM(I, H).double(), 2))
