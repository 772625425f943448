"""Modules that begin badly are begun anew as they are first called: no update is lost."""

import signal
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from bptt.doctor import Monitor, _beginning, _plan
from bptt.doctor._first_calls import FirstCalls
from repairing import repair


class Memory(nn.Module):
    """A ReLU recurrence that starts at a multiple of the identity."""

    def __init__(self, gain: float, dropout: float = 0.0) -> None:
        super().__init__()
        self.rnn = nn.RNN(2, 16, nonlinearity="relu")
        self.drop, self.out = nn.Dropout(dropout), nn.Linear(16, 1)
        nn.init.eye_(self.rnn.get_parameter("weight_hh_l0")).data.mul_(gain)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.drop(self.rnn(x)[1][-1]))


class Rows(nn.Module):
    """Reads what it is given as it comes."""

    def __init__(self) -> None:
        super().__init__()
        self.rnn, self.out = nn.RNN(2, 16), nn.Linear(16, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.rnn(x)[0][-1])


def trained(
    make: Callable[[], nn.Module], scale: float = 1.0, *, fix: bool
) -> tuple[list[float], list[Any]]:
    """The losses of a loop, and its repairs."""
    torch.manual_seed(7)
    model, losses = make(), list[float]()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)

    def loop() -> None:
        for _ in range(4):
            x = scale * torch.rand(30, 8, 2)
            optimizer.zero_grad()
            loss = (model(x) - x.mean((0, 2))[:, None] / scale).square().mean()
            loss.backward()
            optimizer.step()
            losses.append(float(loss.detach()))

    if not fix:
        loop()
        return losses, []
    with Monitor() as monitor:
        repairer = repair(monitor)
        loop()
        repairer.close()
    assert monitor.fault is None, monitor.fault
    return losses, repairer.repairs


def test_the_run_is_the_healthy_one_from_its_first_update_on() -> None:
    losses, repairs = trained(lambda: Memory(2.0), fix=True)
    assert [(each.update, each.code, each.outcome) for each in repairs] == [(0, "EG201", "kept")]
    assert repairs[0].site == "rnn.l0"
    assert repairs[0].lines[1] == "spectral_radius(model, site='rnn')"
    wanted, _ = trained(lambda: Memory(1.0), fix=False)
    assert losses == wanted


@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_a_healthy_module_is_left_bit_for_bit(dropout: float) -> None:
    losses, repairs = trained(lambda: Memory(0.9, dropout), fix=True)
    assert repairs == []
    assert losses == trained(lambda: Memory(0.9, dropout), fix=False)[0]


def test_inputs_are_scaled_from_the_first_call_on() -> None:
    losses, repairs = trained(Rows, scale=200.0, fix=True)
    assert [(each.update, each.remedy) for each in repairs] == [(0, "scale_input")]
    assert losses[0] != trained(Rows, scale=200.0, fix=False)[0][0]


def test_what_does_not_help_is_undone_before_the_first_update(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def order(*given: Any, **named: Any) -> Any:
        return sorted(_plan.ordered(*given, **named), key=lambda p: p.remedy != "spectral_radius")

    monkeypatch.setattr(_beginning, "ordered", order)
    _, (first, *later) = trained(Rows, scale=200.0, fix=True)
    assert (first.update, first.remedy, first.outcome) == (0, "spectral_radius", "undone")
    assert "tanh states" in first.reason
    assert (later[-1].remedy, later[-1].outcome) == ("scale_input", "kept")


def test_nothing_is_looked_at_outside_of_training_nor_twice() -> None:
    with Monitor() as monitor:
        looked: list[nn.Module] = []
        first = FirstCalls(monitor, lambda module, *rest: looked.append(module))
        bad = Memory(2.0)
        with torch.no_grad():
            bad(torch.rand(30, 2, 2))
        bad.eval()(torch.rand(30, 2, 2))
        assert looked == []
        heard: list[int] = []
        bad.rnn.register_forward_hook(lambda *_: heard.append(1))
        bad.train()(torch.rand(30, 2, 2))
        bad(torch.rand(30, 2, 2))
        assert looked == [bad.rnn]
        assert heard == [1, 1]  # the script's own hooks hear of its own calls
        first.close()
        first.close()
    assert monitor.fault is None


def test_a_fault_of_ours_is_told_and_leaves_the_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[int] = []
    look = FirstCalls._look

    def fails_at_the_second(self: FirstCalls, module: nn.Module, args: Any) -> Any:
        looks.append(1)
        if len(looks) > 1:
            raise ZeroDivisionError("planted")
        return look(self, module, args)

    monkeypatch.setattr(FirstCalls, "_look", fails_at_the_second)
    torch.manual_seed(0)
    model = Memory(2.0)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    with Monitor() as monitor:
        repair(monitor)
        model(torch.rand(30, 8, 2)).sum().backward()
    assert len(looks) == 2
    assert "ZeroDivisionError: planted" in (monitor.fault or "")
    assert all(torch.equal(p, before[name]) for name, p in model.named_parameters())


def test_what_a_signal_handler_raises_reaches_the_script(monkeypatch: pytest.MonkeyPatch) -> None:
    class TooLateError(Exception):
        pass

    def too_late(*_: Any) -> None:
        raise TooLateError

    monkeypatch.setattr(FirstCalls, "_look", lambda *_: signal.raise_signal(signal.SIGUSR1))
    before = signal.signal(signal.SIGUSR1, too_late)
    try:
        with Monitor() as monitor:
            repair(monitor)
            with pytest.raises(TooLateError):
                Memory(2.0)(torch.rand(30, 8, 2))
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert monitor.fault is None
