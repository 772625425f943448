"""Loops of other shapes: paused, accumulated, with a loss scaler, of several models; and acting on what is seen."""

import math
import time

import pytest
import torch
from torch import Tensor, nn
from torch.nn.modules import module as global_hooks

from bptt.doctor import Monitor

EVERY = 1e6
"""A budget that probes every update."""


def batch() -> Tensor:
    return torch.randn(8, 3, 2)


def update(model: nn.Module, optimizer: torch.optim.Optimizer, x: Tensor | None = None) -> None:
    optimizer.zero_grad()
    model(batch() if x is None else x)[0][-1].square().mean().backward()
    optimizer.step()


def task(model: nn.Module | None = None) -> tuple[nn.Module, torch.optim.Optimizer]:
    model = model or nn.GRU(2, 4)
    return model, torch.optim.SGD(model.parameters(), lr=0.1)


def hooks() -> int:
    return len(global_hooks._global_forward_hooks) + len(global_hooks._global_forward_pre_hooks)


def test_while_paused_nothing_is_there_and_nothing_counts() -> None:
    model, optimizer = task()
    backward, clip = torch.autograd.backward, nn.utils.clip_grad._clip_grads_with_norm_
    with Monitor(model, optimizer, budget=EVERY) as monitor:
        update(model, optimizer)
        update(model, optimizer)
        monitor.pause()
        monitor.pause()
        assert hooks() == 0
        assert torch.autograd.backward is backward
        assert nn.utils.clip_grad._clip_grads_with_norm_ is clip
        seconds = monitor.log.elapsed
        time.sleep(0.05)
        for _ in range(3):
            update(model, optimizer, torch.full((8, 3, 2), math.nan))
        assert monitor.log.elapsed == seconds
        assert (monitor.updates, monitor.flows_count) == (2, 2)
        with torch.no_grad():
            for weight in model.parameters():
                weight.fill_(0.1)
        monitor.resume()
        monitor.resume()
        update(model, optimizer)
        update(model, optimizer)
        assert (monitor.updates, monitor.flows_count) == (4, 3), "the first has begun before"
    assert monitor.fault is None
    updates = monitor.case.evidence.updates
    assert len(updates) == 4
    assert all(map(math.isfinite, updates.norm)), "what was not finite went by unseen"
    assert updates.carried == [False] * 4
    assert monitor.case.evidence.incident is None


def test_a_pause_amid_an_update_drops_what_was_recorded_of_it() -> None:
    model, optimizer = task()
    with Monitor(model, optimizer, budget=EVERY) as monitor:
        model(batch())[0].sum().backward()
        monitor.pause()
        monitor.resume()
        optimizer.step()
        assert monitor.flows_count == 0
        update(model, optimizer)
    assert monitor.flows_count == 1
    assert monitor.flow is not None
    assert monitor.flow["l0"].batch == 3


def test_paused_to_the_end_it_still_has_its_last_word() -> None:
    model, optimizer = task()
    with Monitor(model, optimizer) as monitor:
        update(model, optimizer)
        monitor.pause()
    assert monitor.log.run["state"] == "finished"
    assert list(monitor.tally.sites) == ["l0"]
    with Monitor(model):
        pass


def test_two_monitors_take_turns() -> None:
    model, optimizer = task()
    with Monitor(model, optimizer) as first:
        first.pause()
        with Monitor(model, optimizer) as second:
            with pytest.raises(ValueError, match="another monitor is watching"):
                first.resume()
            update(model, optimizer)
        first.resume()
        update(model, optimizer)
    assert (first.updates, second.updates) == (1, 1)


def test_accumulated_gradients_are_one_update_of_all_micro_batches() -> None:
    model, optimizer = task()
    with Monitor(model, optimizer, budget=EVERY) as monitor:
        for _ in range(3):
            optimizer.zero_grad()
            for _ in range(4):
                (model(batch())[0][-1].square().mean() / 4).backward()
            optimizer.step()
    updates = monitor.case.evidence.updates
    assert (monitor.updates, monitor.flows_count) == (3, 3)
    assert updates.passes == [4, 4, 4]
    assert updates.carried == [False] * 3
    assert not updates.clipped


def scaled(model: nn.Module, optimizer: torch.optim.Optimizer, unscales: bool) -> None:
    """Six updates with a loss scaler; the scale of the first ones is far too large for float32."""
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**126, growth_interval=1000)
    for _ in range(6):
        optimizer.zero_grad()
        loss = model(batch())[0][-1].square().mean() * 64
        scaler.scale(loss).backward()
        if unscales:
            scaler.unscale_(optimizer)
            nn.utils.clip_grad_norm_(model.parameters(), 1e3)
        scaler.step(optimizer)
        scaler.update()


@pytest.mark.parametrize("unscales", [False, True])
def test_steps_that_a_loss_scaler_leaves_out_are_no_updates_and_no_fault(unscales: bool) -> None:
    torch.manual_seed(1)
    plain, optimizer = task()
    scaled(plain, optimizer, unscales)
    after = torch.rand(2)
    torch.manual_seed(1)
    model, optimizer = task()
    with Monitor(model, optimizer, budget=EVERY) as monitor:
        scaled(model, optimizer, unscales)
    assert torch.equal(torch.rand(2), after)
    for one, two in zip(plain.parameters(), model.parameters(), strict=True):
        assert torch.equal(one, two)
    updates = monitor.case.evidence.updates
    assert 0 < monitor.updates < 6
    assert len(updates) == monitor.updates
    assert all(map(math.isfinite, updates.norm))
    assert not [f.code for f in monitor.findings if f.severity in ("error", "warning")]


def test_several_models_and_optimizers_by_name() -> None:
    actor, first = task(nn.GRU(2, 4))
    critic, second = task(nn.LSTM(2, 4))
    other, third = task()
    with Monitor({"actor": actor, "critic": critic}, [first, second], budget=EVERY) as monitor:
        for _ in range(3):
            update(actor, first)
            update(other, third)
            update(critic, second)
    assert monitor.updates == 6
    assert set(monitor.tally.sites) == {"actor.l0", "critic.l0"}
    assert {site: facts.moved for site, facts in monitor.case.evidence.weights.items()} == {
        "actor.l0": 3,
        "critic.l0": 3,
    }


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"model": []}, "model is or holds a list"),
        ({"optimizer": []}, "an empty sequence"),
    ],
)
def test_what_cannot_be_watched_is_refused(given: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Monitor(**given)  # type: ignore[arg-type]


def test_others_act_before_and_after_steps_and_on_probes() -> None:
    model, optimizer = task()
    said: list[object] = []
    with Monitor(model, optimizer, budget=EVERY) as monitor:
        steps = monitor.on_step(
            before=lambda optimizer, update: said.append(("before", update)),
            after=lambda optimizer, update: said.append(("after", update)),
        )
        probes = monitor.on_probe(lambda flow, findings: said.append(flow.sites))
        update(model, optimizer)
        update(model, optimizer)
        steps.remove()
        steps.remove()
        probes.remove()
        update(model, optimizer)
    assert said == [["l0"], ("before", 1), ("after", 1), ["l0"], ("before", 2), ("after", 2)]


def test_a_fault_of_such_an_action_ends_the_watching_and_not_the_training() -> None:
    model, optimizer = task()
    monitor = Monitor(model, optimizer)
    with monitor:
        monitor.on_step(before=lambda optimizer, update: 1 / 0)
        before = model.weight_hh_l0.detach().clone()  # type: ignore[union-attr, operator]
        update(model, optimizer)
    assert monitor.fault is not None
    assert "ZeroDivisionError" in monitor.fault
    assert not torch.equal(before, model.weight_hh_l0)  # type: ignore[arg-type]
