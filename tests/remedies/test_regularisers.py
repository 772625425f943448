"""Omega, gradient flossing and h-detach: equal to twins by autograd in float64; training behaves as they promise."""

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

import bptt
import bptt.nn
from bptt.cells import CELLS, Weights
from bptt.flow import twin
from bptt.flow.twin_jacobian import stack_jacobians
from bptt.remedies import (
    Flossing,
    HDetach,
    Omega,
    RemedyError,
    flossing,
    h_detach,
    lyapunov_penalty,
    omega,
)
from dynamics import lively, own_blocks

KINDS = ("rnn_tanh", "gru", "lstm")


def close(ours: Any, true: Any, tolerance: float = 1e-10) -> None:
    """Equal as float64 numbers are."""
    torch.testing.assert_close(ours, true, rtol=tolerance, atol=1e-12)


def grad(module: nn.Module, name: str = "weight_hh_l0") -> Tensor:
    """A copy of a parameter's gradient."""
    found = module.get_parameter(name).grad
    assert found is not None
    return found.clone()


def read(y: Tensor) -> Tensor:
    """A loss that is not linear in the output, and reads two steps."""
    return (y[-1] * (1 + y[-1])).sum() + y[len(y) // 2].square().sum()


def costates(module: nn.RNNBase, x: Tensor) -> dict[str, list[Tensor]]:
    """By site `(dh,)` or `(dh, e)`, `[T, B, ·]`, by autograd on an unrolled loop."""
    y, _, states = twin.unroll(module, x)
    found = {site: twin.gradients(read(y), each) for site, each in states.items()}
    return {site: [g[n] for n in ("dh", "e") if n in g] for site, g in found.items()}


# Omega.


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("kind", [*KINDS, "rnn_relu", "lstm with projection"])
@pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")
def test_omega_is_that_of_dense_jacobians(kind: str, layers: int) -> None:
    module, x = lively(kind, layers), torch.randn(7, 2, 3).double()
    regulariser = Omega(module)
    read(module(x)[0]).backward()
    found = regulariser.add_()
    regulariser.remove()
    dense, true = torch.as_tensor(stack_jacobians(module, x)), 0.0
    for block, parts in zip(own_blocks(module), costates(module, x).values(), strict=True):
        v = torch.cat(parts, -1)
        pulled = torch.einsum("tbij,tbi->tbj", dense[..., block, block], v)
        terms = (pulled.norm(dim=-1) / v.norm(dim=-1) - 1).square()
        true += float(terms[1:].sum()) / 2
    assert found == pytest.approx(true, rel=1e-10)


@pytest.mark.parametrize("kind", KINDS)
def test_the_gradient_of_omega_goes_through_the_recurrent_matrix_alone(kind: str) -> None:
    module, x = lively(kind), torch.randn(7, 2, 3).double()
    regulariser = Omega(module, weight=3.0)
    read(module(x)[0]).backward()
    before = {name: p.grad.clone() for name, p in module.named_parameters() if p.grad is not None}
    regulariser.add_()
    regulariser.remove()
    v = torch.cat(costates(module, x)["l0"], -1)
    # The dense Jacobian as a function of W_hh, slopes and gates held where the run had them.
    cell = CELLS[kind]
    values = [p.detach().clone() for p in module.parameters()]
    w = Weights(values[0], values[1].requires_grad_(), values[2], values[3])
    with torch.no_grad():
        zero = tuple(torch.zeros(2, 6).double() for _ in range(cell.parts))
        local = cell.local(cell.gates(x, zero, module(x)[0], w))
    pulled = torch.einsum("tbij,tbi->tbj", cell.jacobian(local, w), v)
    terms = (pulled.norm(dim=-1) / v.norm(dim=-1) - 1).square()
    (true,) = torch.autograd.grad(terms[1:].sum() / 2, w.w_hh)
    for name, parameter in module.named_parameters():
        assert parameter.grad is not None
        added = 3.0 * true if name == "weight_hh_l0" else torch.zeros_like(before[name])
        close(parameter.grad - before[name], added, 1e-9)


def test_packed_samples_count_to_their_ends() -> None:
    module, x = lively("gru"), torch.randn(8, 2, 3).double()
    regulariser = Omega(module)

    def of(given: Any, last: list[tuple[int, int]]) -> tuple[float, Tensor]:
        module.zero_grad()
        y = module(given)[0]
        y = y if isinstance(y, Tensor) else pad_packed_sequence(y)[0]
        torch.stack([y[t, b].square().sum() for t, b in last]).sum().backward()
        plain = grad(module)
        value = regulariser.add_()
        return value, grad(module) - plain

    value, added = of(pack_padded_sequence(x, torch.tensor([8, 5])), [(7, 0), (4, 1)])
    alone = [of(x[:8, :1], [(7, 0)]), of(x[:5, 1:], [(4, 0)])]
    assert value == pytest.approx(sum(v for v, _ in alone) / 2, rel=1e-10)
    close(added, (alone[0][1] + alone[1][1]) / 2, 1e-9)
    regulariser.remove()


def test_costates_too_small_to_have_a_direction_are_left_out() -> None:
    module, x = lively("rnn_tanh"), torch.randn(7, 2, 3).double()
    regulariser = Omega(module)
    (1e-30 * read(module(x)[0])).backward()
    before = grad(module)
    assert regulariser.add_() == 0
    assert torch.equal(grad(module), before)
    # What is large enough counts as ever: Omega does not depend on the gradient's size.
    found = []
    for scale in (1.0, 1e-3):
        (scale * read(module(x)[0])).backward()
        found.append(regulariser.add_())
    assert found[0] == pytest.approx(found[1], rel=1e-9)
    regulariser.remove()


def test_micro_batches_count_as_one_batch() -> None:
    module, x = lively("lstm"), torch.randn(7, 4, 3).double()
    regulariser = Omega(module)
    read(module(x)[0]).backward()
    whole = regulariser.add_()
    true = grad(module)
    module.zero_grad()
    for part in x.split(2, 1):
        read(module(part)[0]).backward()
    assert regulariser.add_() == pytest.approx(whole, rel=1e-10)
    close(grad(module), true)
    assert regulariser.add_() == 0  # what was seen once is not seen again
    regulariser.remove()


def test_omega_brings_the_gain_of_each_step_to_one() -> None:
    module = nn.RNN(3, 16)
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1)
    x = torch.randn(30, 4, 3)
    before = bptt.measure(module, x, loss=lambda out: read(out[0]))["l0"].horizon
    regulariser = Omega(module, weight=1.0)
    values = []
    for _ in range(25):
        read(module(x)[0]).backward()
        optimizer.zero_grad(set_to_none=False)  # Omega alone
        values.append(regulariser.add_())
        optimizer.step()
    regulariser.remove()
    after = bptt.measure(module, x, loss=lambda out: read(out[0]))["l0"].horizon
    assert values[-1] < values[0] / 5
    assert before is not None
    assert after is not None
    assert after > 2 * before


# Gradient flossing.


@pytest.mark.parametrize("every", [1, 3])
@pytest.mark.parametrize("kind", KINDS)
def test_the_penalty_is_that_of_the_measured_exponents(kind: str, every: int) -> None:
    module, x = lively(kind), torch.randn(20, 3, 3).double()
    measured = bptt.lyapunov(module, x, k=3, warmup=2)["l0"].per_sample
    found = lyapunov_penalty(module, x, k=3, every=every)
    torch.testing.assert_close(found, measured.square().mean(), rtol=1e-8, atol=0)
    off = lyapunov_penalty(module, x, k=3, target=-0.2)
    torch.testing.assert_close(off, (measured + 0.2).square().mean(), rtol=1e-8, atol=0)


@pytest.mark.parametrize("kind", KINDS)
def test_the_gradient_of_the_penalty_is_its_difference_quotient(kind: str) -> None:
    module, x = lively(kind, 2), torch.randn(12, 2, 3).double()
    lyapunov_penalty(module, x, k=2).backward()
    step = 1e-6
    for parameter in module.parameters():
        direction = torch.randn_like(parameter)
        values = []
        for sign in (1, -1):
            with torch.no_grad():
                parameter += sign * step * direction
                values.append(float(lyapunov_penalty(module, x, k=2)))
                parameter -= sign * step * direction
        assert parameter.grad is not None
        slope = float((parameter.grad * direction).sum())
        assert (values[0] - values[1]) / (2 * step) == pytest.approx(slope, rel=1e-5, abs=1e-8)


@pytest.mark.parametrize("kind", KINDS)
def test_what_flossing_adds_is_the_penalty_s_gradient(kind: str) -> None:
    module, x = lively(kind), torch.randn(30, 3, 3).double()
    regulariser = Flossing(module, weight=0.5, k=2, steps=20, samples=2)
    read(module(x)[0]).backward()
    before = [p.grad.clone() for p in module.parameters() if p.grad is not None]
    value = regulariser.add_()
    regulariser.remove()
    term = lyapunov_penalty(module, x[:20, :2], k=2)
    true = torch.autograd.grad(term, list(module.parameters()))
    assert value == pytest.approx(term.item(), rel=1e-12)
    for parameter, old, new in zip(module.parameters(), before, true, strict=True):
        assert parameter.grad is not None
        close(parameter.grad - old, 0.5 * new, 1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_flossing_brings_exponents_to_zero(kind: str) -> None:
    cells: dict[str, Any] = {"rnn_tanh": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}
    module, x = cells[kind](3, 8), torch.randn(20, 1, 3)
    before = bptt.lyapunov(module, x, k=4)["l0"].exponents
    optimizer = torch.optim.Adam(module.parameters(), lr=0.06)
    for _ in range(15):
        optimizer.zero_grad()
        lyapunov_penalty(module, x, k=4).backward()
        optimizer.step()
    after = bptt.lyapunov(module, x, k=4)["l0"].exponents
    assert float(before.abs().mean()) > 0.2
    assert float(after.abs().mean()) < 0.5 * float(before.abs().mean())


def test_flossing_keeps_to_its_turns_and_to_its_end() -> None:
    module = nn.GRU(3, 6)
    regulariser = Flossing(module, k=2, steps=10, period=2, until=4)
    acted = []
    for _ in range(6):
        read(module(torch.randn(12, 2, 3))[0]).backward()
        acted.append(regulariser.add_() > 0)
    assert acted == [True, False, True, False, False, False]
    read(module(torch.randn(3, 2, 3))[0]).backward()
    regulariser.until, regulariser.period = None, 1
    assert regulariser.add_() == 0  # three steps have no exponents
    regulariser.remove()


def test_packed_samples_are_flossed_within_their_lengths() -> None:
    module, x = lively("lstm"), torch.randn(20, 3, 3).double()
    packed = pack_padded_sequence(x, torch.tensor([6, 15, 9]), enforce_sorted=False)
    regulariser = Flossing(module, k=2, samples=2)
    module(packed)[0].data.sum().backward()
    assert regulariser.add_() == pytest.approx(
        lyapunov_penalty(module, x[:9, [1, 2]], k=2, warmup=0).item(), rel=1e-10
    )
    regulariser.remove()


# h-detach.


def by_hand(module: nn.LSTM, x: Tensor, cut: list[bool]) -> Tensor:
    """The recurrence as it is written, by autograd, in the module's own parameters."""
    w_ih, w_hh, b_ih, b_hh = module.parameters()
    h = c = x.new_zeros(x.shape[1], module.hidden_size)
    outputs = []
    for x_t, here in zip(x, cut, strict=True):
        held = h.detach() if here else h
        a = x_t @ w_ih.T + b_ih
        i, f, g, o = (a + held @ w_hh.T + b_hh).chunk(4, -1)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        h = o.sigmoid() * c.tanh()
        outputs.append(h)
    return torch.stack(outputs)


@pytest.mark.parametrize("p", [0.3, 1.0])
def test_h_detach_cuts_the_way_through_h_and_no_other(p: float) -> None:
    module, x = lively("lstm"), torch.randn(15, 2, 3).double()
    assert isinstance(module, nn.LSTM)
    cut = HDetach(p, seed=5).draw(15)
    assert any(cut)
    true = torch.autograd.grad(read(by_hand(module, x, cut)), list(module.parameters()))
    plain = torch.autograd.grad(read(module(x)[0]), list(module.parameters()))
    change = h_detach(module, p=p, seed=5)
    ours = torch.autograd.grad(read(module(x)[0]), list(module.parameters()))
    for a, b, c in zip(ours, true, plain, strict=True):
        close(a, b)
        assert not torch.allclose(a, c)
    change.undo()
    again = torch.autograd.grad(read(module(x)[0]), list(module.parameters()))
    assert all(torch.equal(a, b) for a, b in zip(again, plain, strict=True))


@pytest.mark.parametrize("form", ["padded", "batch first", "unbatched", "packed", "given state"])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_h_detach_leaves_the_values_as_they_are(form: str, bidirectional: bool) -> None:
    first = form == "batch first"
    module = nn.LSTM(3, 5, 2, batch_first=first, bidirectional=bidirectional).double()
    x: Any = torch.randn(6, 3, 3).double()
    hx = None
    if form == "unbatched":
        x = x[:, 0]
    if form == "packed":
        x = pack_padded_sequence(x, torch.tensor([4, 6, 2]), enforce_sorted=False)
    if form == "given state":
        hx = tuple(torch.randn(4 if bidirectional else 2, 3, 5).double() for _ in "hc")
    y, ends = module(x, hx)
    h_detach(module, p=0.5)
    ours, our_ends = module(x, hx)
    close(ours if form != "packed" else ours.data, y if form != "packed" else y.data)
    close(our_ends, ends)
    module.eval()
    assert torch.equal(module(x, hx)[1][0], ends[0])  # torch's own kernel, bit for bit


def test_h_detach_in_a_loop_over_a_cell() -> None:
    cell, x = nn.LSTMCell(3, 5).double(), torch.randn(9, 2, 3).double()

    def loop(cut: list[bool]) -> Tensor:
        state, outputs = tuple(torch.zeros(2, 5).double() for _ in "hc"), []
        for x_t, here in zip(x, cut, strict=True):
            state = cell(x_t, (state[0].detach() if here else state[0], state[1]))
            outputs.append(state[0])
        return torch.stack(outputs)

    stream = HDetach(0.5, seed=2)
    cut = [stream.draw(1)[0] for _ in x]
    true = torch.autograd.grad(read(loop(cut)), list(cell.parameters()))
    h_detach(cell, p=0.5, seed=2)
    ours = torch.autograd.grad(read(loop([False] * 9)), list(cell.parameters()))
    for a, b in zip(ours, true, strict=True):
        close(a, b)


def test_a_copy_of_a_treated_module_runs_on_its_own_weights() -> None:
    module = nn.LSTM(3, 4)
    h_detach(module, p=0.5)
    other = copy.deepcopy(module)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.zero_()
    assert not bool(other(torch.randn(5, 2, 3))[0].any())


# As remedies.


def trained(
    remedy: Any, updates: int, state: dict[str, Any] | None = None, **args: Any
) -> dict[str, Any]:
    """So many updates of an LSTM, from the start or from a checkpoint; the checkpoint after them."""
    torch.manual_seed(0)
    model = nn.LSTM(3, 6)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    change = remedy(model, optimizer=optimizer, **args)
    done = 0
    if state is not None:
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        done = state["updates"]
    for update in range(done, done + updates):
        x = torch.randn(12, 2, 3, generator=torch.Generator().manual_seed(update))
        optimizer.zero_grad()
        read(model(x)[0]).backward()
        optimizer.step()
    found = {"model": model.state_dict(), "optimizer": optimizer.state_dict()}
    change.undo()
    return {**copy.deepcopy(found), "updates": done + updates}


@pytest.mark.parametrize(
    ("remedy", "args"),
    [
        (omega, {"decay": 0.5}),
        (flossing, {"k": 2, "period": 3, "weight": 5.0}),
        (h_detach, {"p": 0.5}),
    ],
)
def test_a_run_that_is_resumed_equals_one_that_was_not(remedy: Any, args: dict[str, Any]) -> None:
    whole = trained(remedy, 4, **args)
    half = trained(remedy, 2, **args)
    resumed = trained(remedy, 2, half, **args)
    forgetful = copy.deepcopy(half)
    del forgetful["optimizer"]["bptt_regularisers"]
    without = trained(remedy, 2, forgetful, **args)
    for name, value in whole["model"].items():
        assert torch.equal(value, resumed["model"][name])
    # The state is what makes it so.
    assert any(not torch.equal(v, without["model"][n]) for n, v in whole["model"].items())


@pytest.mark.parametrize("with_optimizer", [True, False])
@pytest.mark.parametrize("closure", [False, True])
def test_the_term_is_in_each_update(closure: bool, with_optimizer: bool) -> None:
    module, x = lively("rnn_tanh"), torch.randn(9, 2, 3).double()
    other = nn.Linear(1, 1)
    regulariser = Omega(module, weight=2.0)
    read(module(x)[0]).backward()
    regulariser.add_()
    regulariser.remove()
    expected = module.get_parameter("weight_hh_l0").detach() - 0.1 * grad(module)
    module.zero_grad()
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1)
    change = omega(module, optimizer=optimizer if with_optimizer else None, weight=2.0)

    def evaluate() -> Tensor:
        optimizer.zero_grad()
        loss = read(module(x)[0])
        loss.backward()
        return loss

    if closure:
        optimizer.step(evaluate)
    else:
        evaluate()
        torch.optim.SGD(other.parameters(), lr=0.1).step()  # another's step is no concern of it
        optimizer.step()
    close(module.get_parameter("weight_hh_l0").detach(), expected)
    change.undo()
    plain = module.get_parameter("weight_hh_l0").detach().clone()
    evaluate()
    optimizer.step()
    close(module.get_parameter("weight_hh_l0").detach(), plain - 0.1 * grad(module))


def test_what_makes_no_sense_is_refused() -> None:
    rnn, relu, x = nn.RNN(3, 4), nn.RNN(3, 4, nonlinearity="relu"), torch.randn(20, 2, 3)
    elsewhere = torch.optim.SGD(nn.Linear(1, 1).parameters(), lr=0.1)
    lbfgs = torch.optim.LBFGS(rnn.parameters())
    cases: list[tuple[Any, str]] = [
        (lambda: omega(rnn, weight=0), "weight is 0, expected a positive number"),
        (lambda: omega(rnn, decay=-1), "decay is -1"),
        (lambda: omega(rnn, optimizer=elsewhere), "holds none of the recurrent layers'"),
        (lambda: omega(rnn, optimizer=lbfgs), "LBFGS holds gradients against values"),
        (lambda: flossing(relu), "l0: a ReLU unit that is off"),
        (lambda: flossing(rnn, k=5), "k is 5, and the state of l0 has 4 entries"),
        (lambda: flossing(rnn, steps=2), "steps is 2, expected a whole number from 4 on"),
        (lambda: h_detach(rnn), "l0: h_detach keeps the way through the cell state c"),
        (lambda: h_detach(nn.LSTM(3, 4), p=0), "p is 0, expected a probability"),
        (lambda: h_detach(bptt.nn.LSTM(3, 4)), "LSTM has a forward pass of its own"),
        (lambda: lyapunov_penalty(relu, x), "has ReLU units"),
        (lambda: lyapunov_penalty(nn.GRU(3, 4, bidirectional=True), x), "is bidirectional"),
        (lambda: lyapunov_penalty(rnn, x, warmup=20), "warmup=20, every=1 for a state of 4"),
    ]
    for call, message in cases:
        with pytest.raises(RemedyError, match=message):
            call()
    lstm = nn.LSTM(3, 4)
    h_detach(lstm)
    with pytest.raises(RemedyError, match="something else has replaced its forward pass"):
        h_detach(lstm)


@pytest.mark.parametrize("kind", KINDS)
def test_omega_is_finite_where_no_error_arrives(kind: str) -> None:
    """Steps behind the loss have a costate of zero: of an LSTM, the slope of its size is 0/0 there, and poisoned W."""
    module, x = lively(kind), torch.randn(9, 2, 3).double()
    regulariser = Omega(module)
    module(x)[0][4].sum().backward()
    before = grad(module)
    assert regulariser.add_() > 0
    regulariser.remove()
    late = grad(module)
    assert bool(late.isfinite().all())
    assert not torch.equal(late, before)
    module.zero_grad()
    early = Omega(module)
    module(x[:5])[0][4].sum().backward()
    early.add_()
    early.remove()
    close(late, grad(module))


def test_flossing_acts_on_a_layer_in_bfloat16() -> None:
    rnn = nn.GRU(2, 6).bfloat16()
    optimizer = torch.optim.SGD(rnn.parameters(), lr=0.01)
    change = flossing(rnn, optimizer=optimizer, k=3)
    rnn(torch.ones(8, 2, 2, dtype=torch.bfloat16))[0][-1].sum().backward()
    before = grad(rnn)
    optimizer.step()
    assert bool(grad(rnn).isfinite().all())
    assert not torch.equal(grad(rnn), before)
    change.undo()
