"""Repairs of a running script: applied, watched, kept or undone; and the way back from a run that is lost."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from bptt.doctor import Monitor
from bptt.doctor._last_good import LastGood, restore, taken
from bptt.doctor._repair import Repairer
from bptt.rules import table
from repairing import repair

RULES = table()


def repaired(code: str, updates: int | None = None) -> tuple[Repairer, Any]:
    """The bad model of a rule, trained as it is written, under repair."""
    torch.manual_seed(0)
    example = RULES[code].bad()
    example.updates = updates or example.updates
    with Monitor() as monitor:
        repairer = repair(monitor)
        example.train()
        repairer.close()
    assert monitor.fault is None, monitor.fault
    return repairer, example


@pytest.mark.parametrize(
    ("code", "remedy"),
    [
        ("VG101", "chrono"),
        ("EG201", "spectral_radius"),
        ("SA301", "scale_input"),
        ("TR401", "keep_state"),
        ("TR403", "last_valid"),
        ("OP501", "learning_rate"),
        ("OP502", "own_parameters"),
        ("OP503", "clear_gradients"),
        ("NF602", "finite_gradients"),
        ("NF603", "finite_input"),
        ("LA701", "batch_first"),
    ],
)
def test_a_fault_is_cured_while_the_loop_runs(code: str, remedy: str) -> None:
    repairer, example = repaired(code)
    kept = [each.remedy for each in repairer.repairs if each.outcome == "kept"]
    assert remedy in kept
    weights = [p for p in example.model.parameters() if p.is_floating_point()]
    assert all(bool(weight.isfinite().all()) for weight in weights)
    for each in repairer.repairs:
        assert each.outcome in ("kept", "undone", "refused")
        assert each.finding
        assert each.reason or each.outcome == "kept"
        assert each.lines or each.outcome == "refused"


@pytest.mark.parametrize("code", ["VG101", "EG201", "EG202", "SA302", "TR403", "OP502", "LA701"])
def test_a_healthy_loop_is_left_alone_bit_for_bit(code: str) -> None:
    def weights(fix: bool) -> list[Tensor]:
        torch.manual_seed(0)
        example = RULES[code].good()
        if not fix:
            example.train()
            return list(example.model.parameters())
        with Monitor() as monitor:
            repairer = repair(monitor)
            example.train()
            repairer.close()
        assert repairer.repairs == []
        return list(example.model.parameters())

    assert all(torch.equal(a, b) for a, b in zip(weights(True), weights(False), strict=True))


def test_what_does_not_help_is_undone_and_the_next_one_tried(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from bptt.doctor import _plan, _repair, _treatment

    def order(*given: Any) -> Any:
        return sorted(_plan.ordered(*given), key=lambda p: p.remedy != "spectral_radius")

    monkeypatch.setattr(_treatment, "ordered", order)
    monkeypatch.setattr(_repair, "begin_anew", lambda *_: None)  # which finds it sooner
    repairer, _ = repaired("SA301", updates=8)
    first, *later = repairer.repairs
    assert (first.remedy, first.outcome) == ("spectral_radius", "undone")
    assert "tanh states" in first.reason
    assert "scale_input" in [each.remedy for each in later if each.outcome == "kept"]


def test_every_repair_is_said_as_it_is_made() -> None:
    said: list[str] = []
    torch.manual_seed(0)
    example = RULES["OP503"].bad()
    with Monitor() as monitor:
        repairer = repair(monitor, said.append)
        example.train()
        repairer.close()
    assert any("clear_gradients" in line for line in said)
    verdict = [{"code": "OP503", "site": ""}, {"code": "VG101", "site": "l0"}]
    assert repairer.unrepaired(verdict) == verdict[1:]


def test_a_single_poisoned_batch_reaches_no_weight() -> None:
    model = nn.GRU(2, 4)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    with Monitor() as monitor:
        repairer = repair(monitor)
        for update in range(12):
            x = torch.randn(6, 3, 2)
            optimizer.zero_grad()
            loss = model(x)[0].square().mean() * (math.nan if update == 6 else 1.0)
            loss.backward()
            optimizer.step()
            # The script may read the gradients of an update that was left out.
            grads = [p.grad for p in model.parameters() if p.grad is not None]
            assert len(grads) == 4
            assert update != 6 or not any(bool(grad.any()) for grad in grads)
        repairer.close()
    assert all(bool(p.isfinite().all()) for p in model.parameters())
    assert repairer.repairs


# The last good state.


def state() -> tuple[nn.Module, torch.optim.Optimizer, Callable[[], None]]:
    model = nn.Linear(3, 2)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1)

    def update() -> None:
        optimizer.zero_grad()
        model(torch.randn(4, 3)).square().sum().backward()
        optimizer.step()

    return model, optimizer, update


def test_going_back_repeats_the_same_updates_bit_for_bit() -> None:
    model, optimizer, update = state()
    update()
    snapshot = taken([optimizer], 1)
    for _ in range(3):
        update()
    once = [p.detach().clone() for p in model.parameters()]
    restore(snapshot)
    for _ in range(3):
        update()
    assert all(torch.equal(a, b) for a, b in zip(once, model.parameters(), strict=True))


def test_only_sane_states_are_kept_and_settings_stay() -> None:
    model, optimizer, update = state()
    kept, good = LastGood(share=1e9), list[Tensor]()
    for number, loss in enumerate([1.0, 1.2, 0.9, 1.0, 1.1, 50.0, math.nan], start=1):
        kept.before(optimizer, number, loss)
        if number == 5:
            good = [p.detach().clone() for p in model.parameters()]
        update()
    optimizer.param_groups[0]["lr"] = 0.01
    assert kept.hurt
    assert kept.back() == 4
    assert all(torch.equal(a, b) for a, b in zip(good, model.parameters(), strict=True))
    assert optimizer.param_groups[0]["lr"] == 0.01
    assert kept.back(before=3) == 0


def test_whole_numbers_among_the_parameters_are_sane() -> None:
    model, _, _ = state()
    model.register_parameter("ids", nn.Parameter(torch.arange(3), requires_grad=False))
    kept, optimizer = LastGood(share=1e9), torch.optim.SGD(model.parameters(), lr=0.1)
    for update in (1, 2):
        kept.before(optimizer, update, loss=1.0)
    assert kept.last is not None


def test_a_run_is_lost_only_if_its_loss_stays_away() -> None:
    kept, seen = LastGood(), []
    for loss in [1.0, 2.0, 500.0, 1.0, 1.5, 500.0, 600.0, 700.0]:
        kept.losses.append(loss)
        seen.append(kept.lost)
    assert not any(seen)  # a peak among the first updates is what is usual here
    kept.losses = [1.0, 2.0, 1.0, 1.0, 1.5]
    for loss, lost in [(500.0, False), (600.0, False), (700.0, True), (1.0, False)]:
        kept.losses.append(loss)
        assert kept.lost is lost
