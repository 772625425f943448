"""The loop: it learns, stops, resumes bit for bit, and leaves what is not its own alone."""

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from bptt import BpttError
from bptt.tasks import CELLS, Learner, Point, TaskError, Trial, Variant, adding, copy, train

TINY = Variant(source="these tests", cell="gru", hidden=8, batch=4, updates=6, every=2, sequences=8)


def weights(module: nn.Module) -> list[Tensor]:
    return [parameter.detach().clone() for parameter in module.parameters()]


def equal(one: list[Tensor], other: list[Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def test_a_short_task_is_solved_and_the_run_stops() -> None:
    variant = replace(TINY, hidden=32, batch=32, lr=0.01, updates=600, every=50, sequences=500)
    run = train(adding(length=8), variant)
    assert run.solved is not None
    assert run.solved == run.curve[-1].update < 600
    assert run.curve[-1].errors < 0.01 < run.curve[0].errors
    assert run.curve[-1].loss < run.chance / 10


def test_the_same_seed_gives_the_same_run() -> None:
    one, other = train(adding(length=6), TINY, seed=3), train(adding(length=6), TINY, seed=3)
    assert one.curve == other.curve
    assert [point.update for point in one.curve] == [2, 4, 6]
    assert train(adding(length=6), TINY, seed=4).curve != one.curve


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw", "rmsprop"])
@pytest.mark.parametrize("cell", CELLS)
def test_two_n_updates_equal_n_save_resume_n(cell: Any, optimizer: Any) -> None:
    task, variant = adding(length=(6, 9)), replace(TINY, cell=cell, optimizer=optimizer)
    whole, half = Trial(task, variant, seed=1), Trial(task, variant, seed=1)
    losses = [whole.update() for _ in range(6)]
    first = [half.update() for _ in range(3)]
    resumed = Trial(task, variant, seed=1)
    resumed.load_state_dict(half.state_dict())
    assert first + [resumed.update() for _ in range(3)] == losses
    assert equal(weights(resumed.model), weights(whole.model))
    assert resumed.evaluate() == pytest.approx(whole.evaluate(), nan_ok=True, abs=0, rel=0)


def test_the_callers_random_numbers_are_left_alone() -> None:
    before = torch.get_rng_state()
    train(copy(length=2), TINY, remedy=lambda *_: torch.rand(3))
    assert torch.equal(torch.get_rng_state(), before)


def test_a_remedy_acts_before_the_first_update() -> None:
    plain = Trial(adding(length=6), TINY)

    def wide_open(model: nn.Module, optimizer: torch.optim.Optimizer) -> str:
        assert optimizer.param_groups[0]["params"] == list(model.parameters())
        with torch.no_grad():
            model.get_parameter("rnn.bias_ih_l0")[8:16] = 9.0
        return "done"

    trial = Trial(adding(length=6), TINY, remedy=wide_open)
    assert trial.change == "done"
    assert not equal(weights(trial.model), weights(plain.model))
    assert trial.model.get_parameter("rnn.bias_ih_l0")[8:16].eq(9).all()


@pytest.mark.parametrize(("by", "limit"), [("norm", 1e-3), ("value", 1e-4)])
def test_clipping_bounds_the_step(by: Any, limit: float) -> None:
    trial = Trial(adding(length=6), replace(TINY, optimizer="sgd", lr=1.0, clip=limit, clip_by=by))
    before = weights(trial.model)
    trial.update()
    steps = torch.cat(
        [(a - b).flatten() for a, b in zip(weights(trial.model), before, strict=True)]
    )
    size = steps.norm() if by == "norm" else steps.abs().max()
    assert float(size) == pytest.approx(limit, rel=1e-2)


def test_without_clipping_the_step_is_the_gradient() -> None:
    trial = Trial(adding(length=6), replace(TINY, optimizer="sgd", lr=0.5, clip=None))
    before = weights(trial.model)
    task = adding(length=6)
    x, target = task.batch(0, size=4)
    twin = Learner("gru", task, 8)
    twin.load_state_dict(trial.model.state_dict())
    task.score.loss(twin(x, 1), target).backward()
    trial.update()
    for old, new, parameter in zip(before, weights(trial.model), twin.parameters(), strict=True):
        torch.testing.assert_close(new, old - 0.5 * parameter.grad)  # type: ignore[operator]


def test_a_run_that_diverges_stops_and_says_when() -> None:
    def explode(model: nn.Module, _: Any) -> None:
        with torch.no_grad():
            model.get_parameter("rnn.weight_hh_l0").mul_(1e20)

    run = train(adding(length=30), replace(TINY, cell="relu-rnn"), remedy=explode)
    assert (run.diverged, run.solved, run.curve) == (1, None, [])
    assert run.to_dict()["diverged"] == 1


def test_an_update_that_is_not_finite_changes_nothing() -> None:
    trial = Trial(adding(length=6), TINY)
    with torch.no_grad():
        trial.model.get_parameter("readout.bias").fill_(math.inf)
    before = weights(trial.model)
    assert math.isnan(trial.update())
    assert equal(weights(trial.model), before)


def test_the_watcher_sees_every_point() -> None:
    seen: list[Point] = []
    run = train(adding(length=6), TINY, watch=seen.append)
    assert seen == run.curve
    saved = run.to_dict()
    assert saved["curve"][0] == [2, *(float(f"{v:.5g}") for v in seen[0][1:])]
    assert saved["chance"] == pytest.approx(1 / 6)


@pytest.mark.parametrize("cell", CELLS)
def test_the_learner_reads_the_last_steps(cell: str) -> None:
    task = copy(length=3)
    learner = Learner(cell, task, 5)
    x = task.batch(0, size=2).x
    every = learner.readout(learner.rnn(x)[0])
    assert torch.equal(learner(x, len(x)), every)
    torch.testing.assert_close(learner(x, 4), every[-4:])


def test_what_cannot_be_trained() -> None:
    with pytest.raises(TaskError, match="there is no cell 'gur', expected one of rnn"):
        Learner("gur", adding(), 4)
    zeros: dict[str, Any] = dict.fromkeys(("hidden", "batch", "updates", "every", "sequences"), 0)
    for name, zero in (zeros | {"lr": 0.0, "clip": 0.0}).items():
        with pytest.raises(BpttError, match=f"{name} is {zero}, expected a number above 0"):
            replace(TINY, **{name: zero})
        with pytest.raises(BpttError, match=f"{name} is {zero - 1}, expected"):
            replace(TINY, **{name: zero - 1})
