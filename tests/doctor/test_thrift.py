"""Thin looks: what short updates are spared is nothing that a verdict would miss."""

import math

import pytest
import torch
from torch import nn

from bptt.doctor import Monitor
from bptt.doctor._sentinel import Sentinel
from bptt.doctor._thrift import MOST_SELDOM, Thrift
from bptt.rules import Updates

THIN_FROM = 33


class Script:
    """A small GRU; `odd` scales the loss of single updates."""

    def __init__(self, odd: dict[int, float], *, clip: float | None, clears: bool = True) -> None:
        torch.manual_seed(0)
        self.model = nn.GRU(2, 6)
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=0.01)
        self.odd, self.clip, self.clears = odd, clip, clears

    def update(self, number: int) -> None:
        x = torch.randn(7, 3, 2)
        if self.clears:
            self.optimizer.zero_grad()
        (self.model(x)[0].square().mean() * self.odd.get(number, 1.0)).backward()
        if self.clip is not None:
            nn.utils.clip_grad_norm_(self.model.parameters(), self.clip)
        self.optimizer.step()


def seen(script: Script, *, thin: bool, updates: int = 90) -> tuple[Updates, Monitor]:
    """What sentinels saw; `thin`: after the first updates one in 63 is looked at whole, whatever it takes."""
    with Monitor(script.model, script.optimizer, budget=0.0) as monitor:
        monitor._loop._thrift = Still()  # type: ignore[assignment]
        for number in range(1, updates + 1):
            if thin and number == THIN_FROM:
                monitor.case.sentinel.forward.seldom = True
                monitor.case.sentinel.look_less(63)
            script.update(number)
        looked_at_whole = monitor.case.sentinel.was_full
    assert monitor.fault is None, monitor.fault
    assert not (thin and looked_at_whole)
    monitor.case.findings()
    return monitor.case.evidence.updates, monitor


class Still(Thrift):
    """Leaves the stride as it is."""

    def __init__(self) -> None:
        super().__init__(0.02)

    def update(self, sentinel: Sentinel, seconds: float, elapsed: float) -> None:
        """Nothing."""


@pytest.mark.parametrize("clip", [None, 0.05])
@pytest.mark.parametrize("clears", [True, False])
def test_thin_looks_write_what_whole_ones_write(clip: float | None, clears: bool) -> None:
    whole, _ = seen(Script({}, clip=clip, clears=clears), thin=False)
    thin, monitor = seen(Script({}, clip=clip, clears=clears), thin=True)
    for name in ("loss", "norm", "unclipped", "coefficient", "clip", "lr"):
        assert getattr(thin, name) == pytest.approx(getattr(whole, name), rel=1e-4, nan_ok=True), (
            name
        )
    for name in ("carried", "passes", "finite", "numbers"):
        assert getattr(thin, name) == getattr(whole, name), name
    weights = monitor.case.evidence.weights["l0"]
    assert 0 < weights.steps <= weights.moved < len(thin)


def test_a_spike_is_looked_at_whole() -> None:
    updates, _ = seen(Script({77: 1000.0}, clip=None), thin=True)
    assert updates.norm[76] > 100 * updates.norm[75]
    assert updates.ratio[76] > 30 * updates.ratio[75]


@pytest.mark.parametrize("clip", [None, 1.0])
def test_what_is_not_finite_is_named_in_its_own_update(clip: float | None) -> None:
    _, monitor = seen(Script({77: math.nan}, clip=clip), thin=True)
    incident = monitor.case.evidence.incident
    assert incident is not None
    assert incident.update == 77


def test_a_parameter_that_comes_later_is_met_at_the_next_whole_look() -> None:
    script = Script({}, clip=None)
    late = nn.Parameter(torch.zeros(3))
    with Monitor(script.model, script.optimizer, budget=0.0) as monitor:
        sentinel = monitor.case.sentinel
        for number in range(1, 200):
            if number == THIN_FROM:
                sentinel.look_less(63)
                script.optimizer.add_param_group({"params": [late], "lr": 0.5})
            script.update(number)
        (owner,) = sentinel.owners.values()
        assert any(each is late for each in owner.parameters)


@pytest.mark.parametrize(
    ("whole", "thin", "update", "stride"),
    [
        (50e-6, 10e-6, 10e-3, 1),
        (200e-6, 20e-6, 10e-3, 5),
        (200e-6, 45e-6, 10e-3, 11),
        (200e-6, 70e-6, 10e-3, MOST_SELDOM + 1),
    ],
)
def test_whole_looks_are_as_frequent_as_the_budget_allows(
    whole: float, thin: float, update: float, stride: int
) -> None:
    # 2 % of the time, 45 hundredths of it for sentinels: 90 µs of an update of 10 ms, 30 of which no clock sees.
    script = Script({}, clip=None)
    sentinel = Monitor(script.model, script.optimizer).case.sentinel
    thrift, seconds, elapsed = Thrift(0.02), 0.0, 0.0
    for number in range(1, 400):
        sentinel.number, sentinel.was_full = number, number % sentinel.stride == 0
        seconds += whole if sentinel.was_full else thin
        elapsed += update
        thrift.update(sentinel, seconds, elapsed)
    assert sentinel.stride == stride
    assert sentinel.forward.seldom == (thin > 60e-6)
