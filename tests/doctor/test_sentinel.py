"""Sentinels: every update leaves its numbers, and they are the numbers of the run."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from bptt.doctor import Monitor
from bptt.rules import Updates


class Task:
    """A small GRU that learns; `between` runs between backward and step."""

    def __init__(self) -> None:
        self.model = nn.GRU(2, 6)
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=0.1)
        self.norms: list[float] = []

    def loss(self) -> Tensor:
        x = torch.randn(7, 3, 2)
        return (self.model(x)[0][-1].sum(-1) - x.sum((0, 2))).square().mean()

    def train(self, updates: int, between: Callable[[nn.Module], object] = lambda _: None) -> None:
        for _ in range(updates):
            self.optimizer.zero_grad()
            self.loss().backward()
            self.norms.append(self._norm())
            between(self.model)
            self.optimizer.step()

    def _norm(self) -> float:
        grads = [p.grad.flatten() for p in self.model.parameters() if p.grad is not None]
        return float(torch.cat(grads).norm())


def watched(run: Callable[[Task], object]) -> tuple[Task, Updates, Monitor]:
    task = Task()
    with Monitor(budget=0.0) as monitor:
        run(task)
    assert monitor.fault is None, monitor.fault
    monitor.case.findings()
    return task, monitor.case.evidence.updates, monitor


def test_norms_and_ratios_are_those_of_the_run() -> None:
    task, updates, monitor = watched(lambda task: task.train(5))
    assert updates.norm == pytest.approx(task.norms, rel=1e-5)
    assert updates.unclipped == updates.norm
    assert all(math.isnan(clip) for clip in updates.clip)
    assert updates.lr == [0.1] * 5
    assert updates.carried == [False] * 5
    weight = monitor.case.evidence.weights["l0"]
    assert (weight.owned, weight.trains, weight.moved) == (True, True, 5)


@pytest.mark.parametrize(
    ("clip", "limit"),
    [
        (lambda model: nn.utils.clip_grad_norm_(model.parameters(), 1e-2), 1e-2),
        (lambda model: nn.utils.clip_grad_value_(model.parameters(), 1e-3), 1e-3),
        (lambda model: [p.grad.mul_(0.01 / p.grad.norm()) for p in model.parameters()], math.inf),
    ],
    ids=["norm", "value", "by hand"],
)
def test_clipping_is_heard(clip: Callable[[nn.Module], object], limit: float) -> None:
    task, updates, _ = watched(lambda task: task.train(4, clip))
    assert updates.clip == [limit] * 4
    assert all(c < 0.5 for c in updates.coefficient)
    if limit == 1e-2:
        assert updates.unclipped == pytest.approx(task.norms, rel=1e-5)
        assert updates.norm == pytest.approx([1e-2] * 4, rel=1e-3)


@pytest.mark.parametrize(("most", "clips"), [(1e-3, True), (1e6, False)])
def test_clipping_by_hand_is_seen_in_a_loop_by_hand(most: float, clips: bool) -> None:
    torch.manual_seed(0)
    w, u = (torch.randn(6, n).mul_(0.3).requires_grad_() for n in (6, 2))
    optimizer = torch.optim.SGD([w, u], lr=1e-3)

    def train(task: Task) -> None:
        for _ in range(4):
            h = torch.zeros(3, 6)
            for x in torch.randn(7, 3, 2):
                h = torch.tanh(x @ u.T + h @ w.T)
            optimizer.zero_grad()
            (h - 1).square().sum().backward()
            grads = [p.grad for p in (w, u) if p.grad is not None]
            norm = torch.stack([g.norm() for g in grads]).norm()
            for grad in grads:
                grad.mul_(min(1.0, most / float(norm)))
            optimizer.step()

    _, updates, _ = watched(train)
    assert updates.clipped == clips
    if clips:
        assert updates.norm == pytest.approx([most] * 4, rel=1e-3)
        whole = [
            left * norm for left, norm in zip(updates.coefficient, updates.unclipped, strict=True)
        ]
        assert whole == pytest.approx([most] * 4, rel=1e-3)


def test_whole_numbers_that_an_optimizer_holds_are_passed_over() -> None:
    task = Task()
    task.model.register_parameter("ids", nn.Parameter(torch.arange(3), requires_grad=False))
    task.optimizer = torch.optim.SGD(task.model.parameters(), lr=0.1)
    with Monitor(task.model, budget=1e6) as monitor:
        task.train(3)
    assert (monitor.fault, monitor.updates) == (None, 3)


def test_torchs_clipping_is_put_back() -> None:
    before = (nn.utils.clip_grad_value_, nn.utils.clip_grad._clip_grads_with_norm_)
    watched(lambda task: task.train(1))
    assert (nn.utils.clip_grad_value_, nn.utils.clip_grad._clip_grads_with_norm_) == before


def test_a_mean_over_micro_batches_is_no_clipping() -> None:
    def third(model: nn.Module) -> None:
        for parameter in model.parameters():
            assert parameter.grad is not None
            parameter.grad /= 3

    _, updates, _ = watched(lambda task: task.train(4, third))
    assert not updates.clipped


def never(task: Task) -> None:
    for _ in range(4):
        task.loss().backward()
        task.optimizer.step()


def accumulated(task: Task) -> None:
    for _ in range(4):
        task.optimizer.zero_grad()
        for _ in range(3):
            task.loss().backward()
        task.optimizer.step()


def zeros(task: Task) -> None:
    for _ in range(4):
        task.loss().backward()
        task.optimizer.step()
        task.optimizer.zero_grad(set_to_none=False)


def other_loss_first(task: Task) -> None:
    """The gradient of another loss comes in between, and is cleared before ours."""
    for _ in range(4):
        task.loss().backward()
        task.optimizer.zero_grad()
        task.loss().backward()
        task.optimizer.step()


@pytest.mark.parametrize(
    ("loop", "carried"),
    [
        (never, [False, True, True, True]),
        (accumulated, [False] * 4),
        (zeros, [False] * 4),
        (other_loss_first, [False] * 4),
    ],
)
def test_gradients_of_earlier_updates(loop: Callable[[Task], object], carried: list[bool]) -> None:
    assert watched(loop)[1].carried == carried


def test_a_loop_without_an_optimizer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bptt.doctor._boundaries.optimizer_exists", lambda: False)

    def by_hand(task: Task) -> None:
        for _ in range(5):
            task.model.zero_grad()
            task.loss().backward()
            with torch.no_grad():
                for parameter in task.model.parameters():
                    parameter.data -= 0.1 * parameter.grad  # type: ignore[operator]

    _, updates, _ = watched(by_hand)
    assert updates.by_hand
    assert len(updates) == 4, "the last one is seen by the next pass, which does not come"
    assert all(ratio > 0 for ratio in updates.ratio)


def test_two_monitors_on_one_model() -> None:
    model = nn.GRU(2, 4)
    with Monitor(model) as first:
        with pytest.raises(ValueError, match="another monitor is watching this model already"):
            Monitor(model).start()
        with Monitor(nn.GRU(2, 4)):
            pass
        assert first._active
    with Monitor(model):
        pass
