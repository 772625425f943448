"""The laws of cells: every cell in the table meets each of them."""

import pytest
import torch
from torch import Tensor, nn

from bptt.cells import CELLS, Cell, State, Weights, at

T, B, I, H = 5, 3, 4, 6
TORCH = {
    "rnn_tanh": lambda: nn.RNNCell(I, H),
    "rnn_relu": lambda: nn.RNNCell(I, H, nonlinearity="relu"),
    "gru": lambda: nn.GRUCell(I, H),
    "lstm": lambda: nn.LSTMCell(I, H),
}
VARIANTS = [(kind, 0) for kind in CELLS] + [("lstm", 2)]


def weights(kind: str, proj: int = 0) -> Weights:
    rows, outputs = len(CELLS[kind].gate_names) * H, proj or H
    made = [torch.randn(rows, n).double() for n in (I, outputs)]
    made += [torch.randn(rows).double(), torch.randn(rows).double()]
    return Weights(*made, torch.randn(proj, H).double() if proj else None)  # type: ignore[arg-type]


def start_of(cell: Cell, proj: int = 0) -> State:
    return tuple(torch.randn(B, size).double() for size in (proj or H, H)[: cell.parts])


def joint(state: State) -> Tensor:
    return torch.cat(state, -1)


@pytest.mark.parametrize("kind", CELLS)
def test_step_is_torchs_cell(kind: str) -> None:
    module = TORCH[kind]().double()
    state, x = start_of(CELLS[kind]), torch.randn(B, I).double()
    expected = module(x, state if kind == "lstm" else state[0])
    expected = expected if isinstance(expected, tuple) else (expected,)
    ours = CELLS[kind].step(x, state, Weights(*module.parameters()))
    torch.testing.assert_close(ours, expected, rtol=1e-13, atol=1e-14)


@pytest.mark.parametrize(("kind", "proj"), VARIANTS)
def test_gates_of_all_steps_give_the_states_of_the_loop(kind: str, proj: int) -> None:
    cell, w, x = CELLS[kind], weights(kind, proj), torch.randn(T, B, I).double()
    state = start = start_of(cell, proj)
    states = []
    for x_t in x:
        state = cell.step(x_t, state, w)
        states.append(state)
    looped = tuple(torch.stack(part) for part in zip(*states, strict=True))
    gates = cell.gates(x, start, looped[0], w)
    torch.testing.assert_close(cell.states(gates, w), looped, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize(("kind", "proj"), VARIANTS)
def test_backward_step_and_jacobian_are_autograds(kind: str, proj: int) -> None:
    cell, w, x = CELLS[kind], weights(kind, proj), torch.randn(B, I).double().requires_grad_()
    state = tuple(part.requires_grad_() for part in start_of(cell, proj))
    after = cell.step(x, state, w)
    gates = cell.gates(x.unsqueeze(0), state, after[0].unsqueeze(0), w)
    local = at(cell.local(gates), 0)
    v = tuple(torch.randn_like(part) for part in after)
    given = torch.autograd.grad(after, (x, *state), v, retain_graph=True)
    torch.testing.assert_close(cell.pull(local, v, w), given[1:], rtol=1e-11, atol=1e-12)
    dx = cell.preactivation_grad(local, v, w) @ w.w_ih
    torch.testing.assert_close(dx, given[0], rtol=1e-11, atol=1e-12)
    rows = [
        torch.cat(torch.autograd.grad(out, state, retain_graph=True, materialize_grads=True), -1)
        for out in joint(after).sum(0)
    ]
    jacobian = cell.jacobian(local, w)
    torch.testing.assert_close(jacobian, torch.stack(rows, 1), rtol=1e-11, atol=1e-12)
    pulled = joint(v).unsqueeze(-2) @ jacobian
    torch.testing.assert_close(joint(cell.pull(local, v, w)), pulled.squeeze(-2))


def test_total_c_of_the_lstm_counts_the_path_through_h() -> None:
    cell, w = CELLS["lstm"], weights("lstm")
    gates = cell.gates(
        torch.randn(1, B, I).double(), start_of(cell), torch.zeros(1, B, H).double(), w
    )
    c = gates.c.requires_grad_()
    h = gates.o * torch.tanh(c)
    dh, e = torch.randn_like(h), torch.randn_like(h)
    (expected,) = torch.autograd.grad((h * dh).sum() + (c * e).sum(), c)
    with torch.no_grad():
        torch.testing.assert_close(cell.total_c(cell.local(gates), (dh, e), w), expected)
