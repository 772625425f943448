"""Weights to start from: the papers' numbers in torch's sign conventions; refusals; reach before and after."""

import copy
import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations

import bptt
import bptt.nn
from bptt import remedies
from bptt.remedies import RemedyError, remedy

I, H = 3, 7
ARGS: dict[str, dict[str, Any]] = {
    "bound_bias": {"limit": 0.1},
    "chrono": {"lag": 50},
    "forget_bias": {},
    "identity_relu": {},
    "orthogonal": {},
    "spectral_radius": {},
}
LAYERS = {
    "tanh": lambda **k: nn.RNN(I, H, **k),
    "relu": lambda **k: nn.RNN(I, H, nonlinearity="relu", **k),
    "gru": lambda **k: nn.GRU(I, H, **k),
    "lstm": lambda **k: nn.LSTM(I, H, **k),
    "ours": lambda **k: bptt.nn.LSTM(I, H, **k),
    "tanh cell": lambda **k: nn.RNNCell(I, H, **k),
    "gru cell": lambda **k: nn.GRUCell(I, H, **k),
    "lstm cell": lambda **k: nn.LSTMCell(I, H, **k),
}
GATED = {"gru", "lstm", "ours", "gru cell", "lstm cell"}
FITS = {
    "chrono": GATED,
    "forget_bias": GATED,
    "identity_relu": {"tanh", "relu", "tanh cell"},
}
FITTING = [(name, kind) for name in ARGS for kind in LAYERS if kind in FITS.get(name, LAYERS)]
NOT_FITTING = [(name, kind) for name in FITS for kind in LAYERS if kind not in FITS[name]]


def weights(model: nn.Module) -> dict[str, Tensor]:
    return {name: p.detach().clone() for name, p in model.named_parameters()}


def same(model: nn.Module, before: dict[str, Tensor]) -> bool:
    return all(torch.equal(p, before[name]) for name, p in model.named_parameters())


def summed(model: nn.Module, end: str = "_l0") -> Tensor:
    return (model.get_parameter(f"bias_ih{end}") + model.get_parameter(f"bias_hh{end}")).detach()


@pytest.mark.parametrize(("name", "kind"), FITTING)
def test_changes_weights_draws_nothing_and_is_undone_bit_for_bit(name: str, kind: str) -> None:
    model = LAYERS[kind]()
    before, mode, rng = weights(model), getattr(model, "mode", ""), torch.get_rng_state()
    identities = [id(p) for p in model.parameters()]
    change = remedy(name).apply(model, **ARGS[name])
    assert not same(model, before)
    assert torch.equal(torch.get_rng_state(), rng)
    assert identities == [id(p) for p in model.parameters()], "an optimizer would lose them"
    assert all(line for line in (*change.said, *change.lines))
    change.undo()
    assert same(model, before)
    assert getattr(model, "mode", "") == mode


@pytest.mark.parametrize(("name", "kind"), FITTING)
def test_the_lines_it_names_do_the_same(name: str, kind: str) -> None:
    model = LAYERS[kind]()
    twin = copy.deepcopy(model)
    change = remedy(name).apply(model, **ARGS[name])
    exec("\n".join(change.lines), {"model": twin})
    assert same(twin, weights(model))


@pytest.mark.parametrize(("name", "kind"), NOT_FITTING)
def test_is_refused_where_it_does_not_fit(name: str, kind: str) -> None:
    model = LAYERS[kind]()
    before = weights(model)
    with pytest.raises(RemedyError, match=r"no gates|is a simple RNN; see forget_bias"):
        remedy(name).apply(model, **ARGS[name])
    with pytest.raises(RemedyError):  # called directly, it looks for itself
        getattr(remedies, name)(model, **ARGS[name])
    assert same(model, before)


@pytest.mark.parametrize(
    ("name", "args", "said"),
    [
        ("chrono", {"lag": 1}, "2 or more"),
        ("chrono", {"lag": True}, "whole number"),
        ("forget_bias", {"value": math.nan}, "finite"),
        ("orthogonal", {"gain": 0.0}, "positive"),
        ("identity_relu", {"std": -1.0}, "positive"),
        ("spectral_radius", {"radius": math.inf}, "positive"),
        ("bound_bias", {"limit": 0.0}, "positive"),
        ("chrono", {"lags": 50}, "it takes lag, seed"),
        ("orthogonal", {"site": "decoder"}, "at 'decoder'"),
    ],
)
def test_arguments_that_make_no_sense_are_refused(
    name: str, args: dict[str, Any], said: str
) -> None:
    model = nn.RNN(I, H) if name == "identity_relu" else nn.LSTM(I, H)
    before = weights(model)
    with pytest.raises(RemedyError, match=said):
        remedy(name).apply(model, **args)
    assert same(model, before)


@pytest.mark.parametrize("name", ["chrono", "forget_bias", "bound_bias"])
def test_a_layer_without_biases_is_refused(name: str) -> None:
    with pytest.raises(RemedyError, match="has no bias_ih"):
        remedy(name).apply(nn.GRU(I, H, bias=False), **ARGS[name])


@pytest.mark.parametrize("name", ["orthogonal", "spectral_radius", "identity_relu"])
def test_a_computed_weight_is_refused(name: str) -> None:
    model = parametrizations.weight_norm(nn.RNN(I, H), "weight_hh_l0")
    before = weights(model)
    with pytest.raises(RemedyError, match="parametrization"):
        remedy(name).apply(model)
    assert same(model, before)


def test_a_site_is_one_layer_and_direction() -> None:
    model = nn.ModuleDict({"rnn": nn.GRU(I, H, 2, bidirectional=True), "other": nn.GRU(I, H)})
    before = weights(model)
    remedies.forget_bias(model, site="rnn.l1_reverse")
    changed = {n for n, p in model.named_parameters() if not torch.equal(p, before[n])}
    assert changed == {"rnn.bias_ih_l1_reverse", "rnn.bias_hh_l1_reverse"}
    remedies.orthogonal(model, site="other")
    changed = {n for n, p in model.named_parameters() if not torch.equal(p, before[n])}
    assert "other.weight_hh_l0" in changed
    assert "rnn.weight_hh_l0" not in changed


def test_a_model_that_is_a_cell_is_named_as_its_flow_names_it() -> None:
    cell, h = nn.GRUCell(I, H), torch.zeros(2, H)
    with bptt.probe(cell) as flow:
        for _ in range(3):
            h = cell(torch.ones(2, I), h)
        h.sum().backward()
    assert remedies.forget_bias(cell, site=flow.sites[0]).said


def test_what_does_not_fit_is_left_alone_beside_what_does() -> None:
    model = nn.Sequential(nn.RNN(I, H), nn.LSTM(H, H))
    before = weights(model[0])
    change = remedies.forget_bias(model)
    assert same(model[0], before)
    assert len(change.said) == 1


@pytest.mark.parametrize(("make", "gate"), [(nn.LSTM, 1), (nn.GRU, 1)])
def test_forget_bias_is_the_sum_of_torchs_two(make: Any, gate: int) -> None:
    model = make(I, H)
    before = summed(model).split(H)
    remedies.forget_bias(model, value=2.5)
    for n, (now, was) in enumerate(zip(summed(model).split(H), before, strict=True)):
        assert torch.equal(now, torch.full((H,), 2.5) if n == gate else was)


def test_forget_bias_keeps_the_state_in_torchs_sign_convention() -> None:
    for model in (nn.GRUCell(I, H), nn.LSTMCell(I, H)):
        remedies.forget_bias(model, value=30.0)
        state = torch.rand(2, H)
        given = state if isinstance(model, nn.GRUCell) else (state, state)
        out = model(torch.zeros(2, I), given)
        if isinstance(model, nn.GRUCell):
            torch.testing.assert_close(out, state)
        else:  # the cell keeps what it had, and adds what its input gate lets in
            assert bool(((out[1] - state).abs() <= 1).all())


def test_chrono_draws_spans_up_to_the_lag() -> None:
    lstm, gru = nn.LSTM(I, 4000), nn.GRU(I, 4000)
    remedies.chrono(lstm, lag=200)
    remedies.chrono(gru, lag=200)
    b_i, b_f = summed(lstm).split(4000)[:2]
    assert torch.equal(b_i, -b_f)
    for keep in (b_f, summed(gru).split(4000)[1]):
        u = keep.exp().double()
        assert 1 <= float(u.min()) < 1.2
        assert 198.5 < float(u.max()) <= 199.001
        assert abs(float(u.mean()) - 100) < 3 * 198 / math.sqrt(12 * 4000)  # uniform on [1, 199]
        assert abs(float(u.std()) - 198 / math.sqrt(12)) < 2
    assert torch.equal(b_f, summed(gru).split(4000)[1]), "the same seed draws the same"


def test_seeds_draw_differently_and_layers_do_too() -> None:
    model = nn.GRU(H, H, 2)
    remedies.orthogonal(model, seed=1)
    first = weights(model)
    assert not torch.equal(first["weight_hh_l0"], first["weight_hh_l1"])
    remedies.orthogonal(model, seed=2)
    assert not torch.equal(model.get_parameter("weight_hh_l0"), first["weight_hh_l0"])
    remedies.orthogonal(model, seed=1)
    assert same(model, first)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_every_precision_gets_the_same_draw(dtype: torch.dtype) -> None:
    model, other = nn.GRU(I, H), nn.GRU(I, H, dtype=dtype)
    for each in (model, other):
        remedies.orthogonal(each)
        remedies.chrono(each, lag=20)
    for name in ("weight_hh_l0", "bias_hh_l0"):
        a, b = model.get_parameter(name).detach(), other.get_parameter(name).detach()
        if name.startswith("bias"):
            a, b = a[H : 2 * H], b[H : 2 * H]
        torch.testing.assert_close(b.to(dtype), a.to(dtype), rtol=1e-2, atol=1e-6)


def test_orthogonal_holds_for_every_block_with_its_gain() -> None:
    model = nn.LSTM(I, H, 2, bidirectional=True, dtype=torch.float64)
    remedies.orthogonal(model, gain=1.3)
    for name, weight in model.named_parameters():
        if name.startswith("weight_hh"):
            for block in weight.detach().split(H):
                torch.testing.assert_close(block @ block.T, 1.69 * torch.eye(H).double())


def test_a_projected_lstm_gets_orthonormal_columns_and_its_own_radius() -> None:
    model = nn.LSTM(I, H, proj_size=3, dtype=torch.float64)
    remedies.spectral_radius(model, radius=0.8)
    for block in model.get_parameter("weight_hh_l0").detach().split(H):
        radius = (
            torch.linalg.eigvals(block @ model.get_parameter("weight_hr_l0").detach()).abs().max()
        )
        torch.testing.assert_close(radius, torch.tensor(0.8).double())
    remedies.orthogonal(model)
    for block in model.get_parameter("weight_hh_l0").detach().split(H):
        torch.testing.assert_close(block.T @ block, torch.eye(3).double())


def test_an_irnn_adds_its_inputs_up() -> None:
    model, x = nn.RNN(1, H), torch.rand(9, 1, 1)
    remedies.identity_relu(model, std=1.0)
    y, _ = model(x)
    w = model.get_parameter("weight_ih_l0").detach().view(-1)
    torch.testing.assert_close(y[-1, 0], torch.relu(w) * x.sum())


@pytest.mark.parametrize("kind", ["relu", "lstm", "gru"])
def test_bound_bias_frees_what_is_out_of_bounds_and_touches_no_other(kind: str) -> None:
    model = LAYERS[kind]()
    before = summed(model)
    remedies.bound_bias(model, limit=0.05)
    low = 0.0 if kind == "relu" else -0.05
    expected = before.masked_fill((before < low) | (before > 0.05), 0.0)
    if kind == "gru":  # the candidate's two biases do not add up; the update gate may stand open
        expected[2 * H :] = before[2 * H :]
    if kind != "relu":
        keeps = slice(H, 2 * H)
        expected[keeps] = before[keeps].masked_fill(before[keeps] < low, 0.0)
    torch.testing.assert_close(summed(model), expected, rtol=0, atol=0)


@pytest.mark.parametrize(("bias", "left"), [(4.0, 4.0), (12.0, 0.0), (-8.0, 0.0)])
def test_a_forget_gate_that_was_opened_on_purpose_stays_open(bias: float, left: float) -> None:
    model = nn.LSTM(I, H)
    remedies.forget_bias(model, value=bias)
    remedies.bound_bias(model)
    assert torch.equal(summed(model)[H : 2 * H], torch.full((H,), left))


class ByHand(nn.Module):
    """`h' = tanh(x + rec(h))` with a bare matrix beside it."""

    def __init__(self) -> None:
        super().__init__()
        self.rec = nn.Linear(H, H)
        self.stack = nn.Parameter(torch.randn(3 * H, H))
        self.wide = nn.Parameter(torch.randn(H, H + 1))


@pytest.mark.parametrize(("site", "blocks"), [("rec.weight", 1), ("stack", 3)])
def test_matrices_of_a_recurrence_by_hand_go_by_their_names(site: str, blocks: int) -> None:
    model = ByHand().double()
    before = weights(model)
    twin = copy.deepcopy(model)
    change = remedies.orthogonal(model, site=site, gain=1.2)
    for block in model.get_parameter(site).detach().chunk(blocks):
        torch.testing.assert_close(block @ block.T, 1.44 * torch.eye(H).double())
    remedies.spectral_radius(model, site=site, radius=0.5)
    for block in model.get_parameter(site).detach().chunk(blocks):
        torch.testing.assert_close(torch.linalg.eigvals(block).abs().max().item(), 0.5)
    others = {n: p for n, p in model.named_parameters() if n != site}
    assert all(torch.equal(p, before[n]) for n, p in others.items())
    exec("\n".join(change.lines), {"model": twin})
    block = twin.get_parameter(site).detach().chunk(blocks)[0]
    torch.testing.assert_close(block @ block.T, 1.44 * torch.eye(H).double())


def test_biases_of_a_recurrence_by_hand_go_by_their_names() -> None:
    model = ByHand()
    model.rec.bias.data[:3] = torch.tensor([-20.0, 0.5, 3.0])
    change = remedies.bound_bias(model, site="rec.bias")
    assert model.rec.bias.data[:3].tolist() == [0.0, 0.5, 0.0]
    assert change.said == ["rec.bias: 2 biases beyond 1 set to 0"]
    change.undo()
    assert model.rec.bias.data[:3].tolist() == [-20.0, 0.5, 3.0]


@pytest.mark.parametrize(
    ("name", "site", "said"),
    [
        ("orthogonal", "wide", r"expected \[H, H\]"),
        ("orthogonal", "rec.bias", "has no weight_hh"),
        ("orthogonal", "", "goes by its weight's name"),
        ("bound_bias", "stack", "has no bias_ih"),
        ("identity_relu", "rec.weight", "no nn.RNN"),
    ],
)
def test_what_does_not_fit_a_recurrence_by_hand_is_refused(name: str, site: str, said: str) -> None:
    model = ByHand()
    before = weights(model)
    with pytest.raises(RemedyError, match=said):
        remedy(name).apply(model, site=site)
    assert same(model, before)


def wide(model: nn.Module) -> nn.Module:
    for p in model.parameters():
        nn.init.normal_(p)
    return model


def test_redraw_takes_what_is_too_wide_and_nothing_else() -> None:
    parts = {"read": nn.Embedding(5, I), "rnn": wide(nn.LSTM(I, 64, 2)), "out": nn.Linear(64, 5)}
    model = nn.ModuleDict({**parts, "wide": wide(nn.Linear(64, 5)), "norm": nn.LayerNorm(5)})
    remedies.orthogonal(model, site="rnn", gain=2.0)  # a gain that is meant
    before, rng = weights(model), torch.get_rng_state()
    change = remedies.redraw(model)
    changed = {
        n.partition(".")[0] for n, p in model.named_parameters() if not torch.equal(p, before[n])
    }
    assert changed == {"rnn", "wide"}
    assert all(p.abs().max() <= 64**-0.5 for p in model["rnn"].parameters())
    assert torch.equal(torch.get_rng_state(), rng)
    change.undo()
    assert same(model, before)
    with pytest.raises(RemedyError, match="no weights are over 20 times"):
        remedies.redraw(model, factor=20.0)


def test_redraw_at_a_site_draws_that_layer_whatever_its_size() -> None:
    model = nn.RNN(I, H, 2, bidirectional=True)
    before = weights(model)
    twin = copy.deepcopy(model)
    change = remedies.redraw(model, site="l1_reverse", seed=3)
    changed = {n for n, p in model.named_parameters() if not torch.equal(p, before[n])}
    assert changed == {n for n in before if n.endswith("_l1_reverse")}
    exec("\n".join(change.lines), {"model": twin})
    assert same(twin, weights(model))


REACH = [
    # The layer, the remedy, and the horizon of 100 steps before and after it.
    ("LSTM", "forget_bias", {"value": 1.0}, 12, 38),
    ("LSTM", "forget_bias", {"value": 3.0}, 12, 99),
    ("GRU", "chrono", {"lag": 100}, 13, 99),
    ("RNN", "orthogonal", {}, 11, 70),
    ("RNN", "identity_relu", {}, 11, 99),
]


@pytest.mark.parametrize(("kind", "name", "args", "before", "after"), REACH)
def test_reach(kind: str, name: str, args: dict[str, Any], before: int, after: int) -> None:
    rnn = getattr(nn, kind)(8, 128)
    x, labels = torch.randn(100, 16, 8), torch.randint(128, (16,))

    def horizon() -> float:
        def loss(out: Any) -> Tensor:
            return nn.functional.cross_entropy(out[0][-1], labels)

        found = bptt.measure(rnn, x, loss=loss)["l0"].horizon
        assert found is not None
        return found

    assert abs(horizon() - before) <= 2
    change = remedy(name).apply(rnn, **args)
    assert abs(horizon() - after) <= 0.1 * after
    change.undo()
    assert abs(horizon() - before) <= 2
