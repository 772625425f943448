"""What a repair does besides its remedy: recurrences by hand, moments, the first gradients, when it begins."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from bptt.doctor import Monitor
from bptt.doctor._gradients import begin_moments_anew, second_moments
from bptt.doctor._plan import UNFREEZES, Repair, ordered, tuned
from bptt.doctor._prescription import Prescription
from bptt.doctor._repair import Repairer
from bptt.remedies import Change
from bptt.rules import Evidence, Finding, Updates
from repairing import repair


def trained(
    parameters: Any, loss: Callable[[int], Tensor], *, updates: int, fix: bool = True, **how: Any
) -> tuple[list[Any], list[float]]:
    """A loop as users write it, under repair; the repairs and the losses."""
    optimizer = how.get("optimizer", torch.optim.SGD)(parameters, lr=how.get("lr", 1e-3))
    losses: list[float] = []

    def loop() -> None:
        for n in range(updates):
            if how.get("clears", True):
                optimizer.zero_grad()
            value = loss(n)
            value.backward()
            optimizer.step()
            losses.append(float(value.detach()))

    if not fix:
        loop()
        return [], losses
    with Monitor() as monitor:
        repairer = repair(monitor)
        loop()
        repairer.close()
    assert monitor.fault is None, monitor.fault
    return repairer.repairs, losses


def kept(repairs: list[Any]) -> list[str]:
    return [each.remedy for each in repairs if each.outcome == "kept"]


class Elman(nn.Module):
    """A recurrence by hand."""

    def __init__(
        self, act: Callable[[Tensor], Tensor], gain: float = 1.0, bias: float = 0.0
    ) -> None:
        super().__init__()
        self.act, self.inp, self.rec = act, nn.Linear(2, 24), nn.Linear(24, 24, bias=False)
        self.out = nn.Linear(24, 1)
        nn.init.orthogonal_(self.rec.weight, gain)
        if bias:
            self.inp.bias.data[:20] = bias

    def forward(self, x: Tensor) -> Tensor:
        h = x.new_zeros(x.shape[1], 24)
        for x_t in x:
            h = self.act(self.inp(x_t) + self.rec(h))
        return self.out(h)


def identity(a: Tensor) -> Tensor:
    return a


def test_an_exploding_recurrence_by_hand_is_rescaled_at_its_own_matrix() -> None:
    model = Elman(identity, gain=1.4)
    repairs, _ = trained(
        model.parameters(),
        lambda n: model(torch.randn(40, 4, 2)).square().mean(),
        updates=4,
        lr=1e-6,
    )
    assert kept(repairs) == ["spectral_radius"]
    assert repairs[0].lines[1] == "spectral_radius(model, site='rec.weight')"
    assert repairs[0].back_to == 0
    radius = torch.linalg.eigvals(model.rec.weight.detach()).abs().max().item()
    assert abs(radius - 1) < 1e-3


def test_dead_units_of_a_recurrence_by_hand_get_their_biases_back() -> None:
    model = Elman(torch.relu, bias=-20.0)
    out = model.out.bias.detach().clone()
    repairs, _ = trained(
        model.parameters(),
        lambda n: model(torch.randn(8, 4, 2)).square().mean(),
        updates=3,
        lr=1e-9,
    )
    assert kept(repairs) == ["bound_bias"]
    assert float(model.inp.bias.detach().abs().max()) < 1
    torch.testing.assert_close(model.out.bias.detach(), out)


def test_weights_that_are_far_too_wide_are_drawn_anew_with_the_readout() -> None:
    rnn, head = nn.RNN(4, 40), nn.Linear(40, 4)
    for p in (*rnn.parameters(), *head.parameters()):
        nn.init.normal_(p)

    def loss(n: int) -> Tensor:
        x = torch.eye(4)[torch.randint(4, (12, 6))]
        return nn.functional.cross_entropy(head(rnn(x)[0]).flatten(0, 1), x.argmax(-1).flatten())

    repairs, losses = trained([*rnn.parameters(), *head.parameters()], loss, updates=4)
    assert kept(repairs) == ["redraw"]
    assert losses[0] > 3
    assert losses[-1] < 1.7  # log 4 is 1.39
    assert float(head.weight.detach().abs().max()) < 0.2


def test_dead_units_by_the_signs_of_their_weights_are_drawn_anew_in_their_layer_alone() -> None:
    rnn, head = nn.RNN(3, 12, 2, nonlinearity="relu"), nn.Linear(12, 1)
    for name in ("weight_ih_l1", "weight_hh_l1", "bias_ih_l1", "bias_hh_l1"):
        rnn.get_parameter(name).data.abs_().neg_()
    first = rnn.get_parameter("weight_ih_l0").detach().clone()
    repairs, _ = trained(
        [*rnn.parameters(), *head.parameters()],
        lambda n: head(rnn(torch.randn(6, 5, 3))[0]).square().mean(),
        updates=4,
        lr=1e-9,
    )
    assert [(each.remedy, each.outcome) for each in repairs] == [
        ("bound_bias", "undone"),
        ("redraw", "kept"),
    ]
    torch.testing.assert_close(rnn.get_parameter("weight_ih_l0").detach(), first)


@pytest.mark.parametrize("optimizer", [torch.optim.Adam, torch.optim.SGD])
def test_a_loop_that_never_clears_ends_where_one_that_clears_does(optimizer: Any) -> None:
    """The second update's gradients lie on top of the first's: they are taken off, and no update is lost."""

    def weights(clears: bool) -> list[Tensor]:
        torch.manual_seed(3)
        model = nn.ModuleDict({"rnn": nn.GRU(2, 8), "out": nn.Linear(8, 1)})

        def loss(n: int) -> Tensor:
            return model["out"](model["rnn"](torch.randn(6, 4, 2))[0]).square().mean()

        how = {"clears": clears, "optimizer": optimizer, "lr": 0.01}
        repairs, _ = trained(model.parameters(), loss, updates=8, fix=not clears, **how)
        assert kept(repairs) == ([] if clears else ["clear_gradients"])
        return [p.detach() for p in model.parameters()]

    for mended, right in zip(weights(False), weights(True), strict=True):
        torch.testing.assert_close(mended, right, rtol=1e-4, atol=1e-6)


def test_moments_begin_anew_and_come_back() -> None:
    weight = nn.Parameter(torch.ones(3))
    optimizer = torch.optim.Adam([weight], lr=0.1)
    weight.grad = torch.full((3,), 1e4)
    optimizer.step()
    assert second_moments(optimizer)
    before = {
        name: torch.as_tensor(value).clone() for name, value in optimizer.state[weight].items()
    }
    with Change("clip_norm", {}) as change:
        begin_moments_anew(change, optimizer)
    weight.grad.fill_(1.0)
    optimizer.step()
    assert float(weight.detach().max()) == pytest.approx(
        0.8
    )  # a full step; else a hundredth of one
    assert change.said == ["the moments of Adam begin anew, without the spikes"]
    change.undo()
    assert all(torch.equal(before[n], v) for n, v in optimizer.state[weight].items())
    plain = torch.optim.SGD([weight], lr=0.1, momentum=0.9)
    plain.step()
    assert not second_moments(plain)


def test_what_a_script_froze_itself_is_left_to_it_for_some_updates() -> None:
    def repairs(updates: int) -> list[str]:
        rnn, out = nn.GRU(2, 4).requires_grad_(False), nn.Linear(4, 1)
        loss = lambda n: out(rnn(torch.randn(5, 3, 2))[0]).square().mean()  # noqa: E731
        return kept(trained(out.parameters(), loss, updates=updates)[0])

    assert repairs(UNFREEZES - 1) == []
    assert repairs(UNFREEZES + 4) == ["own_parameters"]


def threshold(norms: list[float], optimizer: torch.optim.Optimizer, **args: float) -> float:
    told, spikes = Prescription("clip_norm", dict(args)), Finding("EG202", "", "", "error", "")
    return tuned(told, Evidence(updates=Updates(unclipped=norms)), optimizer, spikes)["max_norm"]


def test_a_threshold_for_what_was_held_back_is_wide_without_the_loss_scale() -> None:
    weight = nn.Parameter(torch.full((4,), 5.0))
    evidence: dict[str, Any] = {"clip": math.inf, "loss_scale": 4.0}
    hard = Finding("EG203", "clipping-always-on", "", "warning", "", evidence=evidence)
    norms = Evidence(updates=Updates(unclipped=[8.0, 9.0] * 10))
    args = tuned(Prescription("clip_norm"), norms, torch.optim.SGD([weight], lr=1e-6), hard)
    assert args == {"max_norm": 21.0, "by_hand": True}  # ten times the median of 8.5, over 4


def test_a_threshold_from_a_few_norms_is_wide_and_knows_the_step() -> None:
    weight = nn.Parameter(torch.full((4,), 5.0))  # of norm 10
    assert threshold([2.0, 3.0, 2.5], torch.optim.SGD([weight], lr=1e-3)) == 25.0
    # Ten times the usual one would move the weights by more than a tenth of their size.
    assert threshold([2.0, 3.0, 2.5], torch.optim.SGD([weight], lr=0.1)) == 10.0
    assert threshold([200.0, 300.0, 250.0], torch.optim.SGD([weight], lr=0.1)) == 250.0
    assert threshold([math.nan, 3.0], torch.optim.SGD([weight], lr=0.1)) == 1.0
    adam = torch.optim.Adam([weight], lr=0.1)
    weight.grad = torch.ones(4)
    adam.step()
    assert threshold([2.0] * 20, adam, max_norm=3.0) == 3.0  # its steps know no scale


def test_no_learning_rate_is_tried_that_is_not_below_the_present_one() -> None:
    told = (Prescription("learning_rate", {"lr": 0.001}),)
    evidence: dict[str, Any] = {"lr": 0.01}
    finding = Finding(
        "OP501", "update-too-large", "", "error", "", evidence=evidence, prescriptions=told
    )
    tried = [p.args["lr"] for p in ordered(finding, early=False) if p.remedy == "learning_rate"]
    assert tried == [0.005, 0.001]


def test_targets_that_are_missing_cost_their_updates_and_no_more() -> None:
    rnn, out = nn.GRU(2, 4), nn.Linear(4, 1)
    parameters = [*rnn.parameters(), *out.parameters()]

    def loss(n: int) -> Tensor:
        y = torch.zeros(3)
        y[0] = math.nan if n % 7 == 0 else 0.0
        return (out(rnn(torch.randn(5, 3, 2))[0][-1])[:, 0] - y).square().mean()

    repairs, _ = trained(parameters, loss, updates=16)
    assert kept(repairs) == ["skip_non_finite"]
    assert all(bool(p.isfinite().all()) for p in parameters)


def test_a_repair_that_met_nothing_to_do_is_taken_back_when_a_run_is_lost() -> None:
    with Monitor() as monitor:
        repairer = Repairer(monitor)
        for values in (0, 3):
            change = Change("finite_input", {})
            change.counts["values"] = values
            repairer.treatment.changes.append(change)
            repairer.treatment.repairs.append(Repair(1, "NF603", "input", "finite_input", {}))
            repairer.treatment.repairs[-1].outcome = "kept"
        repairer._give_up_idle(7)
        repairer.close()
    idle, worked = repairer.repairs
    assert (idle.outcome, worked.outcome) == ("undone", "kept")
    assert idle.reason == "update 7 was lost, and there was nothing for it to do"
    assert [each.counts["values"] for each in repairer.treatment.changes] == [3]


class Waves(nn.Module):
    """A loop by hand with an exponential gate, which overflows for inputs in the hundreds."""

    def __init__(self) -> None:
        super().__init__()
        self.value, self.gate, self.back = nn.Linear(2, 8), nn.Linear(2, 8), nn.Linear(8, 8)

    def forward(self, x: Tensor) -> Tensor:
        h = x.new_zeros(x.shape[1], 8)
        for x_t in x:
            i = self.gate(x_t).exp()
            h = 0.5 * torch.tanh(self.back(h)) + i * torch.tanh(self.value(x_t)) / (1 + i)
        return h


def test_inputs_that_overflow_a_loop_by_hand_are_scaled_where_they_come_in() -> None:
    model = Waves()

    def loss(n: int) -> Tensor:
        return model(torch.randn(6, 4, 2) * (900.0 if n > 1 else 1.0)).square().mean()

    repairs, losses = trained(model.parameters(), loss, updates=12)
    assert kept(repairs) == ["scale_input"]
    assert all(math.isfinite(each) for each in losses[-8:])


class Cell(nn.Module):
    """An orthogonal recurrence, a step a call."""

    def __init__(self) -> None:
        super().__init__()
        self.x, self.h = nn.Linear(1, 12), nn.Linear(12, 12, bias=False)
        nn.init.orthogonal_(self.h.weight, 0.95)

    def forward(self, x: Tensor, h: Tensor) -> Tensor:
        return torch.tanh(0.1 * self.x(x) + self.h(h))


def test_chunks_that_are_too_short_reach_back_and_keep_their_updates() -> None:
    cell, out = Cell(), nn.Linear(12, 1)
    state = [torch.zeros(4, 12)]

    def loss(n: int) -> Tensor:
        h, total = state[0].detach(), torch.zeros(())
        for x in torch.randn(4, 4, 1):
            h = cell(x, h)
            total = total + (out(h) - x).square().mean()
        state[0] = h
        return total

    repairs, _ = trained([*cell.parameters(), *out.parameters()], loss, updates=20, lr=1e-4)
    assert kept(repairs) == ["reach_back"]
    (repair,) = [each for each in repairs if each.outcome == "kept"]
    assert repair.back_to is None
