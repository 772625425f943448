"""Repairs of the training loop, each against the loop as it should have been written."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_sequence

from bptt.remedies import (
    RemedyError,
    batch_first,
    clear_gradients,
    finite_gradients,
    finite_input,
    keep_output,
    keep_state,
    last_valid,
    learning_rate,
    own_parameters,
    remedy,
    scale_input,
    skip_non_finite,
)


def grads(model: nn.Module) -> dict[str, Tensor]:
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> None:
    assert a.keys() == b.keys()
    for name in a:
        torch.testing.assert_close(a[name], b[name], rtol=1e-5, atol=1e-7, msg=name)


# learning_rate


def test_the_ceiling_holds_against_a_schedule_and_lifting_gives_back_what_was_asked_last() -> None:
    model = nn.Linear(1, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=8.0)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda n: 0.5**n)
    change = learning_rate(model, optimizer=optimizer, lr=1.5)
    used = []
    for _ in range(4):
        optimizer.step()
        used.append(optimizer.param_groups[0]["lr"])
        schedule.step()
    assert used == [1.5, 1.5, 1.5, 1.0]  # asked for: 8, 4, 2, 1
    change.undo()
    assert optimizer.param_groups[0]["lr"] == 0.5
    optimizer.param_groups[0]["lr"] = 9.0
    optimizer.step()
    assert optimizer.param_groups[0]["lr"] == 9.0


def test_a_rate_that_is_a_tensor_stays_the_same_tensor() -> None:
    model = nn.Linear(1, 1)
    lr = torch.tensor(3.0)
    optimizer = torch.optim.SGD(model.parameters(), lr=lr)
    change = learning_rate(model, optimizer=optimizer, lr=0.1)
    assert optimizer.param_groups[0]["lr"] is lr
    assert lr.item() == pytest.approx(0.1)
    change.undo()
    assert lr.item() == 3.0


@pytest.mark.parametrize("lr", [0.0, -1.0, float("nan"), float("inf")])
def test_a_rate_that_is_not_positive_is_refused(lr: float) -> None:
    optimizer = torch.optim.SGD(nn.Linear(1, 1).parameters(), lr=1.0)
    with pytest.raises(RemedyError, match="positive"):
        learning_rate(nn.Linear(1, 1), optimizer=optimizer, lr=lr)
    assert optimizer.param_groups[0]["lr"] == 1.0


# own_parameters


def test_a_layer_that_was_swapped_in_late_is_trained_with_the_settings_of_the_others() -> None:
    model, out = nn.ModuleDict({"rnn": nn.GRU(2, 4)}), nn.Linear(4, 1)
    model["out"] = out
    optimizer = torch.optim.SGD(
        [
            {"params": nn.Linear(1, 1).parameters(), "lr": 5.0},
            {"params": model.parameters(), "lr": 0.1},
        ]
    )
    model["rnn"] = rnn = nn.GRU(2, 4)
    before = rnn.get_parameter("weight_hh_l0").detach().clone()
    change = own_parameters(model, optimizer=optimizer)
    out(rnn(torch.ones(5, 1, 2))[0]).sum().backward()
    optimizer.step()
    (grad,) = [p.grad for name, p in rnn.named_parameters() if name == "weight_hh_l0"]
    assert grad is not None
    assert torch.equal(rnn.get_parameter("weight_hh_l0").detach(), before - 0.1 * grad)
    change.undo()
    owned = {id(p) for group in optimizer.param_groups for p in group["params"]}
    assert id(rnn.weight_hh_l0) not in owned
    assert rnn.weight_hh_l0.grad is None


def test_nothing_to_own_is_a_reason_to_refuse() -> None:
    model = nn.GRU(1, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with pytest.raises(RemedyError, match="trained already"):
        remedy("own_parameters").apply(model, optimizer)


def test_a_script_that_gives_the_parameters_itself_later_has_the_last_word() -> None:
    model = nn.ModuleDict({"rnn": nn.GRU(2, 4), "out": nn.Linear(4, 1)})
    optimizer = torch.optim.Adam(model["out"].parameters(), lr=0.1)
    change = own_parameters(model, optimizer=optimizer)
    optimizer.add_param_group({"params": model["rnn"].parameters(), "lr": 0.01})
    first, second = ([id(p) for p in group["params"]] for group in optimizer.param_groups)
    assert first == [id(p) for p in model["out"].parameters()]
    assert second == [id(p) for p in model["rnn"].parameters()]
    assert [group["lr"] for group in optimizer.param_groups] == [0.1, 0.01]
    change.undo()
    assert "add_param_group" not in vars(optimizer)


# clear_gradients


def test_clearing_is_what_zero_grad_would_have_done() -> None:
    def train(clears: bool) -> dict[str, Tensor]:
        torch.manual_seed(3)
        model = nn.GRU(2, 4)
        optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
        if not clears:
            clear_gradients(model, optimizer=optimizer)
        for _ in range(4):
            if clears:
                optimizer.zero_grad()
            for _ in range(2):  # accumulated on purpose
                model(torch.randn(5, 2, 2))[0].square().sum().backward()
            optimizer.step()
        return model.state_dict()

    twin, treated = train(clears=True), train(clears=False)
    assert all(torch.equal(twin[name], treated[name]) for name in twin)


def test_gradients_stay_readable_after_the_step_and_through_an_evaluation() -> None:
    model = nn.RNN(1, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    clear_gradients(model, optimizer=optimizer)
    model(torch.ones(3, 1, 1))[0].sum().backward()
    optimizer.step()
    model.eval()(torch.ones(3, 1, 1))
    assert model.weight_hh_l0.grad is not None
    model.train()(torch.ones(3, 1, 1))
    assert model.weight_hh_l0.grad is None


# skip_non_finite, finite_gradients


def test_a_skipped_update_leaves_momenta_and_counts_alone() -> None:
    model = nn.Linear(2, 1)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1, weight_decay=0.1)
    change = skip_non_finite(model, optimizer=optimizer)
    for x in (1.0, float("nan"), 2.0):
        optimizer.zero_grad()
        model(torch.full((1, 2), x)).sum().backward()
        optimizer.step()
    assert change.counts["skipped"] == 1
    assert optimizer.state[model.weight]["step"] == 2
    assert model.weight.isfinite().all()


def test_a_closure_is_evaluated_once_and_its_loss_returned() -> None:
    model, calls = nn.Linear(1, 1), []
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    skip_non_finite(model, optimizer=optimizer)

    def closure() -> float:
        calls.append(1)
        optimizer.zero_grad()
        loss = model(torch.full((1, 1), float("inf"))).sum()
        loss.backward()
        return 7.0

    assert optimizer.step(closure) == 7.0
    assert len(calls) == 1
    assert model.weight.isfinite().all()
    lbfgs = torch.optim.LBFGS(model.parameters())
    with pytest.raises(RemedyError, match="LBFGS"):
        remedy("skip_non_finite").apply(model, lbfgs)


EDGES: dict[str, tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]] = {
    "root": (lambda x: x.sqrt(), lambda x: 0.5 * x**-0.5),
    "norm": (lambda x: x.norm(dim=1, keepdim=True), lambda x: x / x.norm(dim=1, keepdim=True)),
    "masked root": (lambda x: torch.where(x > 0, x.sqrt(), 0.0 * x), lambda x: 0.5 * x**-0.5),
    "angle": (lambda x: torch.acos(1 - x), lambda x: 1 / (1 - (1 - x) ** 2).sqrt()),
    "power": (lambda x: x**0.3, lambda x: 0.3 * x**-0.7),
}


@pytest.mark.parametrize("edge", EDGES)
def test_slopes_at_an_edge_are_zero_and_all_others_as_they_were(edge: str) -> None:
    call, slope = EDGES[edge]
    x = torch.tensor([[0.0], [0.25], [0.5]], requires_grad=True)
    change = finite_gradients(nn.Linear(1, 1))
    (call(x).sum() + 3 * x.sum()).backward()
    change.undo()
    expected = slope(x.detach())
    expected[0] = 0.0
    assert x.grad is not None
    torch.testing.assert_close(x.grad, expected + 3)


def test_a_gradient_that_comes_in_infinite_is_not_hidden() -> None:
    x = torch.ones(2, requires_grad=True)
    change = finite_gradients(nn.Linear(1, 1))
    x.sqrt().backward(torch.tensor([torch.nan, 1.0]))
    change.undo()
    assert x.grad is not None
    assert x.grad.isnan().tolist() == [True, False]


# finite_input, scale_input


@pytest.mark.parametrize("first", [False, True])
def test_missing_values_are_filled_by_the_last_one_before_them(first: bool) -> None:
    x = torch.randn(6, 3, 2)
    x[0, 0, 0] = x[2, 1, 1] = x[3, 1, 1] = torch.nan
    x[5, 2, 0] = -torch.inf
    expected = x.clone()
    for t in range(6):
        before = expected[t - 1] if t else torch.zeros(3, 2)
        expected[t] = torch.where(expected[t].isfinite(), expected[t], before)
    model = nn.GRU(2, 3, batch_first=first)
    turned = (lambda v: v.transpose(0, 1)) if first else (lambda v: v)
    wanted = model(turned(expected))[0]
    change = finite_input(model, fill="last")
    assert torch.equal(model(turned(x))[0], wanted)
    assert change.counts["values"] == 4
    packed = pack_padded_sequence(turned(x), torch.tensor([6, 5, 2]), batch_first=first)
    assert model(packed)[0].data.isfinite().all()
    change.undo()
    assert model(turned(x))[0].isnan().any()


def test_an_unknown_filling_is_refused() -> None:
    with pytest.raises(RemedyError, match="zero, last"):
        finite_input(nn.GRU(1, 1), fill="mean")


def test_running_mean_and_spread_are_those_of_all_batches() -> None:
    model = nn.RNN(3, 2).double()
    x = 50 + torch.tensor([3.0, 0.2, 0.0]) * torch.randn(8, 40, 5, 3).double()
    change = scale_input(model)
    for batch in x:
        model(batch)
    whole = x.flatten(0, 2)
    std = torch.where(whole.std(0) > 1e-6, whole.std(0), 1.0)
    treated = model.eval()(x[0])[0]
    change.undo()
    torch.testing.assert_close(treated, model((x[0] - whole.mean(0)) / std)[0])


# last_valid, batch_first


@pytest.mark.parametrize("kind", [nn.GRU, nn.LSTM])
@pytest.mark.parametrize("options", [{}, {"bidirectional": True}, {"num_layers": 2}])
@pytest.mark.parametrize("first", [False, True])
def test_each_sample_is_run_to_its_own_end(kind: Any, options: dict[str, Any], first: bool) -> None:
    model = kind(3, 4, batch_first=first, **options)
    samples = [torch.randn(n, 3) for n in (9, 2, 5, 8, 1)]
    alone = [model(sample) for sample in samples]
    change = last_valid(model)
    y, state = model(pad_sequence(samples, batch_first=first))
    change.undo()
    y = y.transpose(0, 1) if first else y
    h = state[0] if isinstance(state, tuple) else state
    for b, (own, end) in enumerate(alone):
        n = len(own)
        torch.testing.assert_close(y[:n, b], own)
        torch.testing.assert_close(y[n:, b], own[-1:].expand(9 - n, -1))
        torch.testing.assert_close(h[:, b], end[0] if isinstance(end, tuple) else end)


def test_a_batch_without_padding_passes_bit_for_bit() -> None:
    model, x = nn.LSTM(3, 4), torch.randn(7, 5, 3)
    wanted = model(x)[0]
    change = last_valid(model)
    assert torch.equal(model(x)[0], wanted)
    assert change.counts["batches"] == 0


def test_a_layer_that_was_told_the_wrong_order_reads_the_right_one() -> None:
    right, x = nn.LSTM(3, 4, batch_first=True), torch.randn(6, 9, 3)
    wrong = nn.LSTM(3, 4)
    wrong.load_state_dict(right.state_dict())
    change = batch_first(wrong)
    assert torch.equal(wrong(x)[0], right(x)[0])
    change.undo()
    assert not torch.equal(wrong(x)[0], right(x)[0])
    with pytest.raises(RemedyError, match="loop over a cell"):
        remedy("batch_first").apply(nn.LSTMCell(3, 4))


# keep_state, keep_output


def loop(cell: nn.Module, cut: Callable[[Tensor], Tensor], second: bool = False) -> None:
    h = torch.zeros(2, 4)
    torch.manual_seed(5)
    for x in torch.randn(6, 2, 3):
        h = cell(x, cut(h))
        h = h[1] if second else h
    h.square().sum().backward()


WAYS: dict[str, Callable[[Tensor], Tensor]] = {
    "detach": lambda h: h.detach(),
    "data": lambda h: h.data,
    "numpy": lambda h: torch.from_numpy(np.array(h.detach().numpy())),
    "clone": lambda h: h.detach().clone(),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", [nn.RNNCell, nn.GRUCell])
def test_a_state_is_joined_whatever_took_its_gradient(kind: Any, way: str) -> None:
    cell = kind(3, 4)
    loop(cell, lambda h: h)
    wanted = grads(cell)
    cell.zero_grad()
    change = keep_state(cell)
    loop(cell, WAYS[way])
    assert change.counts["joined"] == 5
    same(grads(cell), wanted)
    cell.zero_grad()
    change.undo()
    loop(cell, WAYS[way])
    assert not torch.allclose(grads(cell)["weight_hh"], wanted["weight_hh"])


def test_chunks_of_one_update_are_one_sequence() -> None:
    model, x = nn.LSTM(3, 4, num_layers=2), torch.randn(12, 2, 3)
    model(x)[0][-1].sum().backward()
    wanted = grads(model)
    model.zero_grad()
    keep_state(model)
    y = state = None
    for chunk in x.chunk(3):
        y, state = model(chunk, state)
        state = tuple(part.detach() for part in state)
    assert y is not None
    y[-1].sum().backward()
    same(grads(model), wanted)


def test_truncation_after_a_backward_pass_stays() -> None:
    def run(model: nn.Module) -> dict[str, Tensor]:
        model.zero_grad()
        state = None
        for chunk in x.chunk(3):
            y, state = model(chunk, state)
            y.sum().backward()
            state = state.detach()
        return grads(model)

    model, x = nn.GRU(3, 4), torch.randn(12, 2, 3)
    wanted = run(model)
    change = keep_state(model)
    same(run(model), wanted)
    assert change.counts["joined"] == 0


class ByHand(nn.Module):
    """A recurrence of linear maps; it is cut at every step."""

    def __init__(self, cut: bool) -> None:
        super().__init__()
        self.into, self.back, self.cut = nn.Linear(3, 4), nn.Linear(4, 4), cut

    def forward(self, x: Tensor) -> Tensor:
        h = x.new_zeros(x.shape[1], 4)
        for x_t in x:
            h = torch.tanh(self.into(x_t) + self.back(h.detach() if self.cut else h))
        return h + (h - h.detach())  # once a pass: on purpose


def test_a_line_that_cuts_a_loop_by_hand_no_longer_does_from_the_second_pass_on() -> None:
    cut, x = ByHand(cut=True), torch.randn(6, 2, 3)
    whole = ByHand(cut=False)
    whole.load_state_dict(cut.state_dict())
    whole(x).sum().backward()
    change = keep_state(cut)
    cut(x)
    cut(x).sum().backward()
    same(grads(cut), grads(whole))
    cut.zero_grad()
    change.undo()
    cut(x).sum().backward()
    assert not torch.allclose(grads(cut)["back.weight"], grads(whole)["back.weight"])


def test_a_model_that_makes_one_step_a_call_is_given_its_own_state() -> None:
    class Step(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.mix = nn.Linear(7, 4)

        def forward(self, x: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
            h = torch.tanh(self.mix(torch.cat([x, h], 1)))
            return h.sum(1), h

    model = Step()
    loop(model, lambda h: h, second=True)
    wanted = grads(model)
    model.zero_grad()
    change = keep_state(model)
    loop(model, WAYS["data"], second=True)
    same(grads(model), wanted)
    change.undo()


def test_features_that_were_detached_train_their_recurrence() -> None:
    class Regressor(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.rnn: nn.RNN = nn.RNN(3, 4)
            self.out: nn.Linear = nn.Linear(4, 1)

        def forward(self, x: Tensor) -> Tensor:
            return self.out(self.rnn(x)[0][-1].detach())

    model, x = Regressor(), torch.randn(5, 2, 3)
    model.out(model.rnn(x)[0][-1]).sum().backward()
    wanted = grads(model)
    model.zero_grad()
    change = keep_output(model)
    model(x).sum().backward()
    same(grads(model), wanted)
    model.zero_grad()
    change.undo()
    model(x).sum().backward()
    assert not any(grad.any() for name, grad in grads(model).items() if name.startswith("rnn"))
    with pytest.raises(RemedyError, match="recurrent module itself"):
        remedy("keep_output").apply(nn.GRU(1, 1))


def test_a_scheduler_may_be_made_after_updates_are_guarded() -> None:
    """It wraps the step that it finds, and expects a bound method."""
    model = nn.Linear(1, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=8.0)
    change = skip_non_finite(model, optimizer=optimizer)
    after = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda n: 0.5**n)
    for value in (1.0, torch.inf):
        (model(torch.ones(1, 1)) * value).sum().backward()
        optimizer.step()
        after.step()
        optimizer.zero_grad()
    assert change.counts["skipped"] == 1
    change.undo()
    optimizer.step()


def test_parameters_are_taken_back_after_a_checkpoint_was_loaded() -> None:
    """`load_state_dict` makes new groups: what was given has to leave those as well."""
    model = nn.ModuleDict({"rnn": nn.GRU(2, 4), "out": nn.Linear(4, 1)})
    optimizer = torch.optim.SGD(model["out"].parameters(), lr=0.1)
    change = own_parameters(model, optimizer=optimizer)
    optimizer.load_state_dict(optimizer.state_dict())
    change.undo()
    assert len(optimizer.param_groups[0]["params"]) == 2
