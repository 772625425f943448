"""Cells in other cells' places: what is kept, who still holds what, and user code that goes on working."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import bptt
import bptt.nn
from bptt import remedies
from bptt.remedies import RemedyError, remedy

I, H, T, B = 3, 7, 9, 4
SIMPLE = {
    "tanh": lambda **k: nn.RNN(I, H, **k),
    "relu": lambda **k: nn.RNN(I, H, nonlinearity="relu", **k),
    "ours": lambda **k: bptt.nn.RNN(I, H, **k),
}
SWAPS: list[tuple[str, str, Callable[..., Any]]] = [
    *(("to_gru", kind, make) for kind, make in SIMPLE.items()),
    *(("to_lstm", kind, make) for kind, make in SIMPLE.items()),
    ("to_lstm", "gru", lambda **k: nn.GRU(I, H, **k)),
    ("to_lstm", "our gru", lambda **k: bptt.nn.GRU(I, H, **k)),
    ("to_gru", "cell", lambda **k: nn.RNNCell(I, H, **k)),
    ("to_lstm", "cell", lambda **k: nn.RNNCell(I, H, **k)),
    ("to_lstm", "gru cell", lambda **k: nn.GRUCell(I, H, **k)),
    ("to_relu", "tanh", SIMPLE["tanh"]),
    ("to_relu", "ours", SIMPLE["ours"]),
]
each_swap = pytest.mark.parametrize(
    ("name", "make"), [(n, m) for n, _, m in SWAPS], ids=[f"{n}-{k}" for n, k, _ in SWAPS]
)


def snapshot(model: nn.Module, optimizer: torch.optim.Optimizer) -> Any:
    """Everything that undo has to bring back; tensors by value, parameters by identity, too."""
    return (
        [type(module) for module in model.modules()],
        [(name, id(p), p.detach().clone(), p.grad) for name, p in model.named_parameters()],
        [[id(p) for p in group["params"]] for group in optimizer.param_groups],
        copy.deepcopy(optimizer.state_dict()),
        [{k: v for k, v in vars(m).items() if isinstance(v, int | str)} for m in model.modules()],
    )


def equal(a: Any, b: Any) -> bool:
    if isinstance(a, Tensor):
        return isinstance(b, Tensor) and torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(equal(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(equal, a, b))
    return a == b


class Reader(nn.Module):
    """Code as users write it: a state that is taken and handed on, whatever it is."""

    def __init__(self, rnn: nn.Module) -> None:
        super().__init__()
        self.rnn, self.out = rnn, nn.Linear(H, 1)

    def forward(self, x: Tensor, h: Any = None) -> tuple[Tensor, Any]:
        if isinstance(self.rnn, nn.RNNCellBase):
            outputs = []
            for x_t in x:
                h = self.rnn(x_t, h)
                outputs.append(h)
            return self.out(torch.stack(outputs)), h
        y, h = self.rnn(x, h)
        return self.out(y), h


def train(model: nn.Module, optimizer: torch.optim.Optimizer, updates: int = 2) -> None:
    generator = torch.Generator().manual_seed(3)
    h = None
    for _ in range(updates):
        optimizer.zero_grad()
        y, h = model(torch.randn(T, B, I, generator=generator), h)
        h = h.detach()
        y.square().mean().backward()
        optimizer.step()


@each_swap
def test_trains_on_and_undo_brings_every_bit_back(name: str, make: Callable[..., Any]) -> None:
    model = Reader(make())
    weight = [p for n, p in model.named_parameters() if n.startswith("rnn.weight")]
    rest = [p for n, p in model.named_parameters() if not n.startswith("rnn.weight")]
    optimizer = torch.optim.AdamW([{"params": weight, "weight_decay": 0.1}, {"params": rest}])
    train(model, optimizer)
    before, rng, rnn = snapshot(model, optimizer), torch.get_rng_state(), model.rnn
    change = remedy(name).apply(model, optimizer)
    assert model.rnn is rnn
    assert torch.equal(torch.get_rng_state(), rng)
    owned = [id(p) for group in optimizer.param_groups for p in group["params"]]
    assert sorted(owned) == sorted(id(p) for p in model.parameters())
    in_first = {id(p) for p in optimizer.param_groups[0]["params"]}
    assert in_first == {id(p) for n, p in model.named_parameters() if n.startswith("rnn.weight")}
    was = [p.detach().clone() for p in model.parameters()]
    train(model, optimizer)
    assert not any(map(torch.equal, was, model.parameters())), "every parameter is trained"
    twin = copy.deepcopy(model)
    x = torch.randn(T, B, I)
    torch.testing.assert_close(twin(x)[0], model(x)[0])
    change.undo()
    values = snapshot(model, optimizer)
    if (
        name == "to_relu"
    ):  # trained in place: its weights are the old objects, and come back by value
        for (_, _, now, _), (_, _, old, _) in zip(values[1][:2], before[1][:2], strict=True):
            assert torch.equal(now, old) == (now.shape == (H, H))
    else:
        assert equal(values[1][:-2], before[1][:-2])
    assert values[0] == before[0]
    assert values[2] == before[2]


@each_swap
def test_undo_at_once_leaves_no_trace(name: str, make: Callable[..., Any]) -> None:
    model = Reader(make())
    optimizer = torch.optim.Adam(model.parameters())
    train(model, optimizer)
    before = snapshot(model, optimizer)
    x = torch.randn(T, B, I)
    y = model(x)[0]
    change = remedy(name).apply(model, optimizer)
    assert not torch.equal(model(x)[0], y)
    change.undo()
    assert equal(snapshot(model, optimizer), before)
    assert torch.equal(model(x)[0], y)


@each_swap
def test_the_lines_it_names_do_the_same(name: str, make: Callable[..., Any]) -> None:
    model = Reader(make())
    twin = copy.deepcopy(model)
    change = remedy(name).apply(model, site="rnn")
    exec("\n".join(change.lines), {"model": twin})
    assert equal([p.detach() for p in twin.parameters()], [p.detach() for p in model.parameters()])


def test_a_gru_keeps_the_rnns_weights_as_its_candidate() -> None:
    rnn = nn.RNN(I, H, 2, bidirectional=True, batch_first=True, dropout=0.1, dtype=torch.float64)
    old = {name: p.detach().clone() for name, p in rnn.named_parameters()}
    remedies.to_gru(rnn)
    assert type(rnn).__name__ == "GRU"
    assert (rnn.bidirectional, rnn.batch_first, rnn.dropout) == (True, True, 0.1)
    for name, p in rnn.named_parameters():
        assert p.dtype == torch.float64
        assert torch.equal(p.detach()[2 * H :], old[name])
        if name.startswith("bias"):
            z = p.detach()[H : 2 * H]
            assert torch.equal(z, torch.full_like(z, 3.0 if "ih" in name else 0.0))
    wide = nn.GRU(I, H, 2, bidirectional=True, batch_first=True, dtype=torch.float64)
    wide.load_state_dict(rnn.state_dict())
    x = torch.randn(B, T, I).double()
    torch.testing.assert_close(rnn.eval()(x)[0], wide(x)[0])


def test_an_lstm_starts_with_the_grus_gates() -> None:
    gru = nn.GRU(I, H)
    weights = {name: p.detach().clone() for name, p in gru.named_parameters()}
    w, b = weights["weight_hh_l0"], weights["bias_ih_l0"]
    remedies.to_lstm(gru)
    i, f, g, _ = gru.get_parameter("weight_hh_l0").detach().split(H)
    assert torch.equal(f, w[H : 2 * H])
    assert torch.equal(i, -w[H : 2 * H])
    assert torch.equal(g, w[2 * H :])
    assert torch.equal(gru.get_parameter("bias_ih_l0").detach()[H : 2 * H], b[H : 2 * H])


@pytest.mark.parametrize("name", ["to_gru", "to_lstm"])
def test_a_lag_opens_the_gates_as_chrono_does(name: str) -> None:
    rnn = nn.RNN(I, 500)
    remedy(name).apply(rnn, lag=80)
    total = (rnn.get_parameter("bias_ih_l0") + rnn.get_parameter("bias_hh_l0")).detach()
    spans = 1 + total[500:1000].exp()
    assert 1.99 < float(spans.min()) < 3
    assert 78 < float(spans.max()) < 80.01
    if name == "to_lstm":
        assert torch.equal(total[:500], -total[500:1000])


@pytest.mark.parametrize("chunk", [1, 4])
@pytest.mark.parametrize("kind", ["tanh", "ours", "cell"])
def test_h_alone_carries_c_and_its_gradient_from_call_to_call(kind: str, chunk: int) -> None:
    cell = kind == "cell"
    rnn = nn.RNNCell(I, H) if cell else SIMPLE[kind]()
    remedies.to_lstm(rnn)
    plain = nn.LSTM(I, H)
    plain.load_state_dict({(n if not cell else f"{n}_l0"): p for n, p in rnn.state_dict().items()})
    x = torch.randn(8, B, I)
    outputs, h = [], None
    for part in x.split(1 if cell else chunk):
        if cell:
            h = rnn(part[0], h)
            outputs.append(h.unsqueeze(0))
        else:
            y, h = rnn(part, h)
            outputs.append(y)
    true = plain(x)[0]
    torch.testing.assert_close(torch.cat(outputs), true)
    mine = torch.autograd.grad(outputs[-1].sum(), list(rnn.parameters()))
    theirs = torch.autograd.grad(true[-1 if cell else -chunk :].sum(), list(plain.parameters()))
    for a, b in zip(mine, theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)


def test_h_alone_detached_masked_zeroed_and_learned() -> None:
    rnn, lstm = nn.RNN(I, H), nn.LSTM(I, H)
    remedies.to_lstm(rnn)
    lstm.load_state_dict(rnn.state_dict())
    x = torch.randn(T, B, I)
    _, h = rnn(x)
    _, (h_true, c_true) = lstm(x)

    def after(h: Tensor) -> Tensor:
        return rnn(x, h)[0]

    for same in (h.detach(), h.data, h.clone(), h.detach().clone(), h * 1.0):
        torch.testing.assert_close(after(same), lstm(x, (h_true, c_true))[0])
    keep = torch.tensor([1.0, 0.0, 1.0, 1.0]).view(1, B, 1)
    torch.testing.assert_close(after(h * keep), lstm(x, (h_true * keep, c_true * keep))[0])
    inside = h.detach()
    inside[:, 1] = 0
    torch.testing.assert_close(after(inside), lstm(x, (h_true * keep, c_true * keep))[0])
    zero = torch.zeros(1, B, H)
    torch.testing.assert_close(after(zero), lstm(x)[0])
    learned = torch.randn(1, B, H, requires_grad=True)
    torch.testing.assert_close(after(learned), lstm(x, (learned, learned))[0])
    with torch.inference_mode():
        _, h = rnn(x)
        torch.testing.assert_close(rnn(x, h)[0], lstm(x, (h_true, c_true))[0])


def test_a_masked_state_keeps_the_gradient_through_c() -> None:
    rnn = nn.RNN(I, H)
    remedies.to_lstm(rnn)
    x = torch.randn(T, B, I, requires_grad=True)
    _, h = rnn(x)
    keep = torch.ones(1, B, 1)
    h = h * keep
    y, _ = rnn(torch.zeros(T, B, I), h)
    (masked,) = torch.autograd.grad(y[-1].sum(), x)
    _, h = rnn(x)
    (linked,) = torch.autograd.grad(rnn(torch.zeros(T, B, I), h)[0][-1].sum(), x)
    torch.testing.assert_close(masked, linked)


def test_two_streams_in_turn_keep_their_cells_apart() -> None:
    rnn, lstm = nn.RNN(I, H), nn.LSTM(I, H)
    remedies.to_lstm(rnn)
    lstm.load_state_dict(rnn.state_dict())
    xs = torch.randn(2, 3, T, B, I)
    states: list[Any] = [None, None]
    for part in range(3):
        for stream in range(2):
            y, h = rnn(xs[stream, part], states[stream])
            states[stream] = h.detach()
            if part == 2:
                torch.testing.assert_close(y, lstm(torch.cat(list(xs[stream])))[0][-T:])


@pytest.mark.parametrize("name", ["to_gru", "to_lstm"])
def test_a_swapped_layer_is_measured_under_its_old_name(name: str) -> None:
    model = Reader(nn.RNN(I, H))
    remedy(name).apply(model)
    with bptt.probe(model) as flow:
        y, h = model(torch.randn(T, B, I))
        y, h = model(torch.randn(T, B, I), h)
        y[-1].sum().backward()
    assert (flow.sites, flow.notes) == (["rnn.l0"], [])
    assert flow["rnn.l0"].steps == 2 * T


class Custom(nn.RNN):
    """A layer of a user's own."""


@pytest.mark.parametrize(
    ("name", "model", "said"),
    [
        ("to_gru", nn.GRU(I, H), "a GRU already"),
        ("to_gru", nn.LSTM(I, H), "an LSTM already"),
        ("to_lstm", nn.LSTM(I, H), "an LSTM already"),
        ("to_lstm", Custom(I, H), "forward of its own"),
        ("to_relu", nn.GRU(I, H), "not to choose"),
        ("to_relu", nn.RNN(I, H, nonlinearity="relu"), "already"),
        ("to_lstm", nn.Linear(I, H), "no nn.RNN"),
    ],
)
def test_what_does_not_fit_is_refused(name: str, model: nn.Module, said: str) -> None:
    before = copy.deepcopy(model.state_dict())
    with pytest.raises(RemedyError, match=said):
        remedy(name).apply(model)
    with pytest.raises(RemedyError, match=said):
        getattr(remedies, name)(model)
    assert equal(dict(model.state_dict()), dict(before))


@pytest.mark.parametrize("name", ["to_gru", "to_lstm", "to_relu"])
def test_another_models_optimizer_is_refused(name: str) -> None:
    model, other = nn.RNN(I, H), nn.Linear(2, 2)
    with pytest.raises(RemedyError, match="owns none"):
        remedy(name).apply(model, torch.optim.SGD(other.parameters(), lr=0.1))
    assert type(model) is nn.RNN


def test_a_lag_without_biases_is_refused_and_nothing_is_changed() -> None:
    model = nn.RNN(I, H, bias=False)
    with pytest.raises(RemedyError, match="no biases"):
        remedies.to_gru(model, lag=50)
    assert type(model) is nn.RNN
    remedies.to_gru(model)
    assert type(model) is nn.GRU


def test_lbfgs_and_frozen_parameters() -> None:
    model = Reader(nn.RNN(I, H))
    model.rnn.get_parameter("bias_hh_l0").requires_grad_(False)
    optimizer = torch.optim.LBFGS(model.parameters(), max_iter=2)

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = model(torch.ones(T, B, I))[0].square().mean()
        loss.backward()
        return loss

    optimizer.step(closure)
    before = snapshot(model, optimizer)
    change = remedies.to_gru(model, optimizer=optimizer)
    assert not model.rnn.get_parameter("bias_hh_l0").requires_grad
    was = model.rnn.get_parameter("weight_hh_l0").detach().clone()
    optimizer.step(closure)
    assert not torch.equal(was, model.rnn.get_parameter("weight_hh_l0"))
    change.undo()
    assert equal(snapshot(model, optimizer)[2:4], before[2:4])


REACH = [("to_gru", {"lag": 100}, 95), ("to_lstm", {}, 99), ("to_relu", {}, 90)]


@pytest.mark.parametrize(("name", "args", "after"), REACH)
def test_reach(name: str, args: dict[str, Any], after: int) -> None:
    rnn, x = nn.RNN(8, 128), torch.randn(100, 16, 8)

    def horizon() -> float:
        found = bptt.measure(rnn, x, loss=lambda out: out[0][-1].square().sum())["l0"].horizon
        assert found is not None
        return found

    assert horizon() < 15
    change = remedy(name).apply(rnn, **args)
    assert horizon() >= after
    change.undo()
    assert horizon() < 15
