"""The monitor finds the updates of a training loop, whatever its form, and changes none of it."""

import os
import threading
import time
import warnings
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn.modules import module as global_hooks
from torch.nn.utils import parametrizations

from bptt.doctor import Monitor, read_run
from bptt.doctor import _boundaries as boundaries

EVERY = 1e6
"""A budget that probes every update."""


class Model(nn.Module):
    """Two recurrent layers with dropout, and a head."""

    def __init__(self) -> None:
        super().__init__()
        self.rnn = nn.LSTM(3, 6, num_layers=2, dropout=0.3)
        self.head = nn.Linear(6, 1)

    def loss(self) -> Tensor:
        x = torch.randn(12, 2, 3)
        return (self.head(self.rnn(x)[0][-1]) - x[0, :, :1]).square().mean()


def sgd(model: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)


def plain(model: Model, updates: int) -> None:
    optimizer = sgd(model)
    for _ in range(updates):
        optimizer.zero_grad()
        model.loss().backward()
        optimizer.step()


def accumulated(model: Model, updates: int) -> None:
    optimizer = sgd(model)
    for _ in range(updates):
        optimizer.zero_grad()
        for _ in range(3):
            model.loss().backward()
        optimizer.step()


def evaluated(model: Model, updates: int) -> None:
    optimizer = sgd(model)
    for _ in range(updates):
        model.eval()
        with torch.no_grad():
            model.loss()
        model.train()
        optimizer.zero_grad()
        model.loss().backward()
        optimizer.step()


def closures(model: Model, updates: int) -> None:
    optimizer = torch.optim.LBFGS(model.parameters(), lr=0.1, max_iter=3)

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = model.loss()
        loss.backward()
        return loss

    for _ in range(updates):
        optimizer.step(closure)


def two_optimizers(model: Model, updates: int) -> None:
    first, second = sgd(model.head), sgd(model.rnn)
    for _ in range(updates // 2):
        model.zero_grad()
        model.loss().backward()
        first.step()
        second.step()


def alternating(model: Model, updates: int) -> None:
    """Every second optimizer step belongs to a network without recurrence."""
    other = nn.Linear(2, 1)
    first, second = sgd(other), sgd(model)
    for _ in range(updates // 2):
        other(torch.ones(1, 2)).sum().backward()
        first.step()
        second.zero_grad()
        model.loss().backward()
        second.step()


def by_hand(model: Model, updates: int) -> None:
    for _ in range(updates):
        model.zero_grad()
        model.loss().backward()
        with torch.no_grad():
            for weight in model.parameters():
                if weight.grad is not None:
                    weight -= 0.1 * weight.grad


def inside_backward(model: Model, updates: int) -> None:
    """Each parameter is updated as soon as its gradient is there."""
    optimizers = {id(w): torch.optim.SGD([w], lr=0.1) for w in model.parameters()}

    def step(weight: Tensor) -> None:
        optimizers[id(weight)].step()
        optimizers[id(weight)].zero_grad()

    handles = [w.register_post_accumulate_grad_hook(step) for w in model.parameters()]
    for _ in range(updates):
        model.loss().backward()
    for handle in handles:
        handle.remove()


LOOPS = [
    plain,
    accumulated,
    evaluated,
    closures,
    two_optimizers,
    alternating,
    by_hand,
    inside_backward,
]
Loop = Callable[[Model, int], None]


def watched() -> bool:
    """Whether modules carry hooks of a recorder that watches the whole process."""
    return bool(global_hooks._global_forward_hooks or global_hooks._global_forward_pre_hooks)


def train(loop: Loop, updates: int, monitor: Monitor | None = None) -> list[Tensor]:
    torch.manual_seed(1)
    model = Model()
    if monitor is None:
        loop(model, updates)
    else:
        with monitor:
            loop(model, updates)
        assert monitor.fault is None
    return [*model.parameters(), torch.get_rng_state(), torch.rand(3)]


@pytest.fixture(autouse=True)
def _no_optimizer_by_hand(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    # Other tests of this process have made optimizers; a script that updates by hand has none.
    if "by_hand" in request.node.name:
        monkeypatch.setattr(boundaries, "optimizer_exists", lambda: False)


@pytest.mark.parametrize("loop", LOOPS, ids=lambda loop: loop.__name__)
@pytest.mark.parametrize("budget", [EVERY, 0.0])
def test_nothing_is_disturbed(loop: Loop, budget: float) -> None:
    without, under = train(loop, 4), train(loop, 4, Monitor(budget=budget))
    for one, two in zip(without, under, strict=True):
        assert torch.equal(one, two)


def test_a_weight_that_a_cell_computes_is_known_by_what_it_is_computed_from() -> None:
    def train(monitor: Monitor | None) -> list[Tensor]:
        torch.manual_seed(0)
        cell = parametrizations.spectral_norm(nn.GRUCell(2, 4), "weight_hh")
        optimizer, x = sgd(cell), torch.randn(6, 3, 2)
        with monitor or nullcontext():
            for _ in range(4):
                optimizer.zero_grad()
                h = torch.zeros(3, 4)
                for x_t in x:
                    h = cell(x_t, h)
                h.sum().backward()
                optimizer.step()
        return [*cell.state_dict().values()]

    monitor = Monitor(budget=EVERY)
    for one, two in zip(train(None), train(monitor), strict=True):
        assert torch.equal(one, two)
    assert monitor.fault is None
    (facts,) = monitor.case.evidence.weights.values()
    assert (facts.owned, facts.moved, facts.with_grad) == (True, 4, 4)


@pytest.mark.parametrize(
    ("loop", "updates", "flows"),
    [
        (plain, 6, 6),
        (accumulated, 6, 6),
        (evaluated, 6, 6),
        (two_optimizers, 6, 3),
        (alternating, 6, 3),
        (by_hand, 0, 6),
        (inside_backward, 0, 6),
    ],
    ids=lambda each: getattr(each, "__name__", None),
)
def test_every_update_is_found(loop: Loop, updates: int, flows: int) -> None:
    monitor = Monitor(budget=EVERY)
    train(loop, 6, monitor)
    assert (monitor.updates, monitor.flows_count) == (updates, flows)
    assert list(monitor.tally.sites) == ["rnn.l0", "rnn.l1"]
    assert monitor.flow is not None
    assert monitor.flow["rnn.l0"].steps == 12
    batch = 6 if loop is accumulated else 2  # micro-batches of one update stand side by side
    assert monitor.flow["rnn.l0"].batch == batch


def test_each_pass_of_a_closure_is_a_flow() -> None:
    monitor = Monitor(budget=EVERY)
    train(closures, 3, monitor)
    assert monitor.updates == 3
    assert monitor.flows_count >= 3
    assert monitor.flow is not None
    assert monitor.flow["rnn.l0"].batch == 2


def test_only_the_given_optimizer_counts() -> None:
    model = Model()
    first, second = sgd(model.head), sgd(model.rnn)
    with Monitor(model, second, budget=EVERY) as monitor:
        model.loss().backward()
        first.step()
        first.step()
        second.step()
    assert (monitor.updates, monitor.flows_count) == (1, 1)


def test_a_loop_that_never_steps_is_followed_though_an_optimizer_exists(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(boundaries, "PASSES_WITHOUT_STEP", 3)
    sgd(nn.Linear(1, 1))
    monitor = Monitor(budget=EVERY)
    train(by_hand, 5, monitor)
    assert monitor.flows_count == 2  # the passes until it was clear, and the rest


def test_by_hand_a_clock_starts_the_next_probe() -> None:
    monitor = Monitor(budget=0.5)

    def slowly(model: Model, updates: int) -> None:
        for _ in range(updates):
            by_hand(model, 1)
            time.sleep(0.02)

    threads = threading.active_count()
    train(slowly, 60, monitor)
    assert monitor.flows_count > 1
    assert monitor.flow is not None
    assert monitor.flow["rnn.l0"].steps == 12
    assert threading.active_count() <= threads + 1


def test_between_probes_only_the_light_look_is_there() -> None:
    model = Model()
    optimizer = sgd(model)
    with Monitor(budget=0.0) as monitor:
        model.loss().backward()
        optimizer.step()
        assert monitor._loop.probes.recorder._handles, (
            "another optimizer may have its first update next"
        )
        optimizer.step()
        assert not monitor._loop.probes.recorder._handles
        assert len(global_hooks._global_forward_hooks) == 1
        spent = monitor.spent
        for _ in range(100):
            optimizer.step()
        assert monitor.spent - spent < 0.2  # with all types checked; a twentieth of it without


def test_the_budget_holds() -> None:
    model = nn.GRU(2, 4)
    optimizer = sgd(model)
    with Monitor(model, budget=0.2) as monitor:
        until = time.monotonic() + 6
        while time.monotonic() < until:
            optimizer.zero_grad()
            model(torch.ones(6, 1, 2))[0].sum().backward()
            optimizer.step()
            time.sleep(0.05)
        assert monitor.flows_count > 3
        assert monitor.share < 0.25


def test_the_first_updates_are_probed_whatever_the_budget_is() -> None:
    monitor = Monitor(budget=1e-9)
    train(plain, 31, monitor)
    looks = monitor.case.evidence.looks["rnn.l1"]
    assert [look.update for look in looks] == [1, 3, 10, 30]
    assert all(look.milestone for look in looks)


def test_the_light_look_goes_where_it_costs_too_much() -> None:
    model = nn.Sequential(*(nn.Identity() for _ in range(60)), nn.Linear(2, 2))
    optimizer = torch.optim.SGD(model[-1].parameters(), lr=0.1)
    with Monitor(budget=1e-9) as monitor:
        for _ in range(64 + 32 * 8):
            with torch.no_grad():
                model(torch.ones(1, 2))
            optimizer.step()
        assert not watched()
    assert (monitor.flows_count, monitor.seen) == (0, False)


class Broken:
    """A recorder that fails where it is told to."""

    def __init__(self, where: str) -> None:
        self.where, self.seconds, self.pending, self.seen = where, 0.0, True, True

    def start(self) -> None:
        self._at("start")

    def stop(self) -> None:
        pass

    def harvest(self) -> None:
        self._at("harvest")

    def forget(self) -> None:
        pass

    def _at(self, place: str) -> None:
        if place == self.where:
            raise RuntimeError(f"broken at {place}")


@pytest.mark.parametrize("where", ["start", "harvest"])
def test_a_fault_of_its_own_switches_it_off(
    where: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monitor = Monitor(budget=EVERY, out=tmp_path / "run")
    monitor._loop.probes.recorder = Broken(where)  # type: ignore[assignment]
    torch.manual_seed(1)
    model = Model()
    with monitor:
        plain(model, 3)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), train(plain, 3), strict=False))
    assert monitor.fault is not None
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert f"broken at {where}" in said
    assert "Traceback" in (tmp_path / "run" / "fault.txt").read_text()


@pytest.mark.filterwarnings("ignore:.*use of fork.*:DeprecationWarning")
@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
def test_a_forked_child_leaves_the_run_alone(tmp_path: Path) -> None:
    model = Model()
    optimizer = sgd(model)
    with Monitor(budget=EVERY, out=tmp_path / "run") as monitor:
        model.loss().backward()
        optimizer.step()
        if (child := os.fork()) == 0:
            left = watched() or monitor._active
            optimizer.step()
            os._exit(1 if left else 0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        model.loss().backward()
        optimizer.step()
    assert read_run(tmp_path / "run")[1].probes == 2


def test_an_exception_in_the_loop_passes_through_and_the_results_are_there(tmp_path: Path) -> None:
    def fail(model: Model, updates: int) -> None:
        model.loss().backward()
        raise KeyError("mine")

    with pytest.raises(KeyError):
        train(fail, 1, Monitor(out=tmp_path / "run"))
    run, tally = read_run(tmp_path / "run")
    assert run["state"] == "failed"
    assert list(tally.sites) == ["rnn.l0", "rnn.l1"]


def test_a_compiled_optimizer_step_still_compiles() -> None:
    weight = nn.Parameter(torch.ones(3))
    optimizer = torch.optim.SGD([weight], lr=0.5)
    weight.grad = torch.ones(3)
    with Monitor() as monitor, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # dynamo's own
        torch.compile(optimizer.step, backend="eager")()
    assert monitor.fault is None
    assert torch.equal(weight.detach(), torch.full((3,), 0.5))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"budget": -0.1}, "budget is -0.1"),
        ({"threshold": 2.0}, "threshold"),
    ],
)
def test_wrong_options(options: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Monitor(**options)  # type: ignore[arg-type]
