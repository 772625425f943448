"""Recurrences that a script spreads over many calls: loops over cells, chunks, steps of one, users' own cells."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

import bptt
from bptt.cells import CELLS, Weights

CELL_MODULES = {
    "rnn_tanh": nn.RNNCell,
    "rnn_relu": lambda i, h, **k: nn.RNNCell(i, h, nonlinearity="relu", **k),
    "gru": nn.GRUCell,
    "lstm": nn.LSTMCell,
}
T, B, I, H = 12, 3, 2, 5


def by_hand(cell: nn.Module, kind: str, x: Tensor, every: bool) -> dict[str, Tensor]:
    """`dL/dh_t` (and `dL/dc_t`) of a loop over the reference cell, from autograd."""
    w = Weights(*(p.detach().clone().requires_grad_() for p in cell.parameters()))
    state = tuple(x.new_zeros(x.shape[1], H) for _ in range(CELLS[kind].parts))
    states = []
    for x_t in x:
        state = CELLS[kind].step(x_t, state, w)
        states.append(state)
    loss = loss_of([each[0] for each in states], every)
    found = {}
    for name, part in zip(("dh", "dc"), zip(*states, strict=True), strict=False):
        grads = torch.autograd.grad(loss, part, retain_graph=True, allow_unused=True)
        found[name] = torch.stack([torch.zeros(B, H) if g is None else g for g in grads])
    return found


def loss_of(outputs: list[Tensor], every: bool) -> Tensor:
    return torch.stack(outputs).pow(2).sum() if every else outputs[-1].pow(2).sum()


@pytest.mark.parametrize("every", [False, True])
@pytest.mark.parametrize("kind", CELL_MODULES)
def test_loop_over_a_cell(kind: str, every: bool) -> None:
    cell, x = CELL_MODULES[kind](I, H).double(), torch.randn(T, B, I).double()
    with bptt.probe(cell, keep="full") as flow:
        state, outputs = None, []
        for x_t in x:
            state = cell(x_t, state)
            outputs.append(state[0] if kind == "lstm" else state)
        loss_of(outputs, every).backward()
    (site,) = flow
    assert (site.steps, site.batch, site.kind, flow.notes) == (T, B, kind, [])
    true = by_hand(cell, kind, x, every)
    assert site.dh is not None
    torch.testing.assert_close(site.dh, true["dh"], rtol=1e-12, atol=1e-14)
    if kind == "lstm":
        torch.testing.assert_close(site.dc, true["dc"], rtol=1e-12, atol=1e-14)
    module = {"gru": nn.GRU, "lstm": nn.LSTM}.get(kind)
    module = module or (lambda i, h: nn.RNN(i, h, nonlinearity=kind.removeprefix("rnn_")))
    fused = module(I, H).double()
    for name, parameter in cell.named_parameters():
        getattr(fused, f"{name}_l0").data.copy_(parameter.data)
    other = bptt.measure(fused, x, loss=lambda out: loss_of(list(out[0]), every))["l0"]
    torch.testing.assert_close(site.credit, other.credit, rtol=1e-9, atol=0)
    torch.testing.assert_close(site.grad_state, other.grad_state, rtol=1e-9, atol=0)
    assert site.unreached == other.unreached


@pytest.mark.parametrize("chunk", [1, 4])
@pytest.mark.parametrize("make", [nn.RNN, nn.GRU, nn.LSTM])
def test_chunks_that_hand_their_state_on_are_one_sequence(
    make: Callable[..., nn.Module], chunk: int
) -> None:
    rnn, x = make(input_size=I, hidden_size=H, num_layers=2).double(), torch.randn(T, B, I).double()

    def in_chunks() -> Tensor:
        state, outputs = None, []
        for part in x.split(chunk):
            y, state = rnn(part, state)
            outputs.append(y)
        return torch.cat(outputs)

    with bptt.probe(rnn, keep="full") as flow:
        in_chunks()[3:].pow(2).sum().backward()
    whole = bptt.measure(rnn, x, loss=lambda out: out[0][3:].pow(2).sum(), keep="full")
    for site in flow:
        assert site.steps == T
        torch.testing.assert_close(site.dh, whole[site.name].dh, rtol=1e-11, atol=1e-14)
        torch.testing.assert_close(site.credit, whole[site.name].credit, rtol=1e-8, atol=0)


def test_a_detach_cuts_the_sequence() -> None:
    rnn, x = nn.GRU(I, H), torch.randn(T, B, I)
    with bptt.probe(rnn) as flow:
        state, loss = None, torch.zeros(())
        for part in x.split(4):
            y, state = rnn(part, state)
            state = state.detach()
            loss = loss + y.pow(2).sum()
        loss.backward()
    site = flow["l0"]
    assert (site.steps, site.batch, site.cuts) == (4, 3 * B, 2)


def test_a_state_changed_between_calls_is_followed_through_the_change() -> None:
    cell, x = nn.GRUCell(I, H).double(), torch.randn(T, B, I).double()
    keep = torch.rand(T, B, 1) > 0.3
    with bptt.probe(cell, keep="full") as flow:
        h, states = torch.zeros(B, H, dtype=x.dtype), []
        for x_t, keep_t in zip(x, keep, strict=True):
            h = torch.where(keep_t, cell(x_t, h), h)
            h.retain_grad()
            states.append(h)
        h.pow(2).sum().backward()
    assert (flow.sites, flow.notes) == (["GRUCell"], [])
    site, true = flow["GRUCell"], torch.stack([s.grad for s in states if s.grad is not None])
    torch.testing.assert_close(site.dh, true, rtol=1e-12, atol=0)
    sizes = true.norm(dim=-1)
    credit = (sizes / sizes[-1]).log().mean(1).exp().flip(0)
    torch.testing.assert_close(site.credit, credit, rtol=1e-9, atol=0)


class OwnCell(nn.Module):
    """A minimal gated unit, written by a user who declares its state."""

    bptt_state = {"h": 0}  # noqa: RUF012  (the form that the documentation shows)

    def __init__(self) -> None:
        super().__init__()
        self.gate, self.new = nn.Linear(I + H, H), nn.Linear(I + H, H)
        self.drop = nn.Dropout(0.3)

    def forward(self, x: Tensor, h: Tensor) -> Tensor:
        f = torch.sigmoid(self.gate(torch.cat([x, h], -1)))
        n = torch.tanh(self.new(torch.cat([x, self.drop(f * h)], -1)))
        return (1 - f) * h + f * n


def own_loop(cell: nn.Module, x: Tensor) -> list[Tensor]:
    h, states = torch.zeros(B, H, dtype=x.dtype), []
    for x_t in x:
        h = cell(x_t, h)
        states.append(h)
    return states


def test_own_cell_that_declares_its_state() -> None:
    cell, x = OwnCell().double(), torch.randn(T, B, I).double()
    torch.manual_seed(1)
    with bptt.probe(cell, keep="full") as flow:
        own_loop(cell, x)[-1].pow(2).sum().backward()
    torch.manual_seed(1)
    states = own_loop(cell, x)
    true = torch.stack(torch.autograd.grad(states[-1].pow(2).sum(), states))
    site = flow["OwnCell"]
    assert (site.kind, site.steps, flow.notes) == ("own", T, [])
    torch.testing.assert_close(site.dh, true, rtol=1e-12, atol=0)
    sizes = true.norm(dim=-1)
    credit = (sizes / sizes[-1]).log().mean(1).exp().flip(0)
    torch.testing.assert_close(site.credit, credit, rtol=1e-9, atol=0)


def test_own_cell_that_declares_nothing_is_found_in_the_graph() -> None:
    class Undeclared(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.i2h, self.i2o = nn.Linear(I + H, H), nn.Linear(I + H, 2)

        def forward(self, x: Tensor, hidden: Tensor) -> tuple[Tensor, Tensor]:
            both = torch.cat([x, hidden], 1)
            return self.i2o(both), torch.tanh(self.i2h(both))

    rnn, x = Undeclared(), torch.randn(T, B, I)
    with bptt.probe(rnn, keep="full") as flow:
        hidden, kept, output = torch.zeros(B, H), [], torch.zeros(B, 2)
        for x_t in x:
            output, hidden = rnn(x_t, hidden)
            hidden.retain_grad()
            kept.append(hidden)
        output.sum().backward()
    site = flow["Undeclared"]
    true = torch.stack([h.grad for h in kept[:-1] if h.grad is not None])
    torch.testing.assert_close(site.dh, true)
    assert flow.notes == []
    sizes = true.norm(dim=-1)
    credit = (sizes / sizes[-1]).log().mean(1).exp().flip(0)
    torch.testing.assert_close(site.credit, credit.double(), rtol=1e-4, atol=0)


def test_a_module_used_twice_and_micro_batches_stand_side_by_side() -> None:
    rnn = nn.LSTM(I, H)
    with bptt.probe(rnn) as flow:
        for steps in (T, 5):
            y, _ = rnn(torch.randn(steps, B, I))
            y[-1].sum().backward()
    site = flow["l0"]
    assert (site.steps, site.batch) == (T, 2 * B)
    assert site.lengths.tolist() == [T] * B + [5] * B
    assert bool((site.grad_h[5:, B:] == 0).all())


def test_two_losses_on_one_graph_add_up() -> None:
    rnn, x = nn.GRU(I, H).double(), torch.randn(T, B, I).double()
    with bptt.probe(rnn, keep="full") as flow:
        y, _ = rnn(x)
        y[-1].sum().backward(retain_graph=True)
        y[4].pow(2).sum().backward()
    both = bptt.measure(rnn, x, loss=lambda o: o[0][-1].sum() + o[0][4].pow(2).sum(), keep="full")
    torch.testing.assert_close(flow["l0"].dh, both["l0"].dh, rtol=1e-12, atol=1e-15)


def test_encoder_hands_its_state_to_a_decoder() -> None:
    class Seq2Seq(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.encoder, self.decoder = nn.LSTM(I, H), nn.LSTM(I, H)

        def forward(self, x: Tensor) -> Tensor:
            _, state = self.encoder(x)
            return self.decoder(x, state)[0]

    flow = bptt.measure(Seq2Seq().double(), torch.randn(T, B, I).double(), loss=lambda y: y.sum())
    assert flow.sites == ["encoder.l0", "decoder.l0"]
    assert float(flow["encoder.l0"].grad_h[-1].min()) > 0
