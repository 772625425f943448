"""Layer-normalised layers: against formulas with nn.LayerNorm, called as torch's layers, measured by the probe."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

import bptt
import bptt.nn
from bptt import remedies
from bptt.remedies import LayerNormed, RemedyError

I, H, B, T = 3, 5, 4, 6
MODES = ("RNN_TANH", "RNN_RELU", "GRU", "LSTM")
MAKERS = {
    "RNN_TANH": nn.RNN,
    "RNN_RELU": lambda *a, **k: nn.RNN(*a, nonlinearity="relu", **k),
    "GRU": nn.GRU,
    "LSTM": nn.LSTM,
}
each_mode = pytest.mark.parametrize("mode", MODES)


def made(mode: str, **options: Any) -> LayerNormed:
    """A normalised layer whose gains and shifts are not the ones it starts with."""
    rnn = LayerNormed(mode, I, H, dtype=torch.float64, **options)
    for name, p in rnn.named_parameters():
        if name.startswith(("gain", "shift")):
            nn.init.uniform_(p, 0.5, 1.5)
    return rnn


def by_formula(rnn: LayerNormed, x: Tensor) -> Tensor:
    """One layer, one direction, from the paper's formulas and `nn.LayerNorm`."""
    w = {name.removesuffix("_l0"): p for name, p in rnn.named_parameters()}

    def norm(a: Tensor, gain: Tensor, shift: Tensor) -> Tensor:
        module = nn.LayerNorm(a.shape[-1], dtype=a.dtype)
        return torch.func.functional_call(module, {"weight": gain, "bias": shift}, (a,))

    h = c = torch.zeros(x.shape[1], H, dtype=x.dtype)
    outputs = []
    for x_t in x:
        u = norm(x_t @ w["weight_ih"].T, w["gain_ih"], w["bias_ih"])
        v = norm(h @ w["weight_hh"].T, w["gain_hh"], w["bias_hh"])
        if rnn.mode == "GRU":
            r = torch.sigmoid(u[:, :H] + v[:, :H])
            z = torch.sigmoid(u[:, H : 2 * H] + v[:, H : 2 * H])
            h = z * h + (1 - z) * torch.tanh(u[:, 2 * H :] + r * v[:, 2 * H :])
        elif rnn.mode == "LSTM":
            i, f, g, o = (u + v).split(H, -1)
            c = f.sigmoid() * c + i.sigmoid() * g.tanh()
            h = o.sigmoid() * torch.tanh(norm(c, w["gain_c"], w["shift_c"]))
        else:
            h = torch.tanh(u + v) if rnn.mode == "RNN_TANH" else torch.relu(u + v)
        outputs.append(h)
    return torch.stack(outputs)


@each_mode
@pytest.mark.parametrize("steps", [1, 15])
def test_equals_the_formulas_in_output_and_gradients(mode: str, steps: int) -> None:
    rnn, x = made(mode), torch.randn(steps, B, I, dtype=torch.float64)
    y, true = rnn(x)[0], by_formula(rnn, x)
    torch.testing.assert_close(y, true)
    weights = list(rnn.parameters())
    mine = torch.autograd.grad(y.square().sum(), weights, allow_unused=True)
    theirs = torch.autograd.grad(true.square().sum(), weights, allow_unused=True)
    for (name, _), a, b in zip(rnn.named_parameters(), mine, theirs, strict=True):
        assert a is not None, name
        torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-10)


@each_mode
def test_layouts_and_states_are_torchs(mode: str) -> None:
    rnn = made(mode, num_layers=2, bidirectional=True)
    x = torch.randn(T, B, I, dtype=torch.float64)
    y, state = rnn(x)
    like = MAKERS[mode](I, H, 2, bidirectional=True, dtype=torch.float64)
    torch_y, torch_state = like(x)
    assert y.shape == torch_y.shape
    states, torchs = ((s,) if isinstance(s, Tensor) else s for s in (state, torch_state))
    assert [s.shape for s in states] == [s.shape for s in torchs]
    alone, _ = rnn(x[:, 1])
    torch.testing.assert_close(alone, y[:, 1])
    rnn.batch_first = True
    torch.testing.assert_close(rnn(x.transpose(0, 1))[0], y.transpose(0, 1))
    rnn.batch_first = False
    start = tuple(torch.randn_like(s) for s in states)
    given = start if mode == "LSTM" else start[0]
    assert not torch.allclose(rnn(x, given)[0], y)
    for wrong in (start[0][:1], (*start, start[0])):
        with pytest.raises((RuntimeError, ValueError), match=r"states were given|hidden"):
            rnn(x, wrong)


@each_mode
def test_chunks_with_the_state_handed_on_are_one_sequence(mode: str) -> None:
    rnn, x = made(mode, num_layers=2), torch.randn(T, B, I, dtype=torch.float64)
    first, state = rnn(x[:2])
    second, end = rnn(x[2:], state)
    y, whole = rnn(x)
    torch.testing.assert_close(torch.cat([first, second]), y)
    torch.testing.assert_close(end, whole)


@each_mode
@pytest.mark.parametrize("ordered", [True, False])
def test_packed_sequences_are_each_sample_alone(mode: str, ordered: bool) -> None:
    rnn = made(mode, num_layers=2, bidirectional=True)
    lengths = [6, 4, 3, 1] if ordered else [3, 6, 1, 4]
    x = torch.randn(T, B, I, dtype=torch.float64)
    start = torch.randn(4, B, H, dtype=torch.float64)
    packed = pack_padded_sequence(x, torch.tensor(lengths), enforce_sorted=ordered)
    output, ends = rnn(packed, (start, start) if mode == "LSTM" else start)
    y, found = pad_packed_sequence(output)
    assert found.tolist() == lengths
    h = ends[0] if mode == "LSTM" else ends
    for b, length in enumerate(lengths):
        own = start[:, b : b + 1]
        alone, end = rnn(x[:length, b : b + 1], (own, own) if mode == "LSTM" else own)
        torch.testing.assert_close(y[:length, b], alone[:, 0])
        torch.testing.assert_close(h[:, b], (end[0] if mode == "LSTM" else end)[:, 0])


@each_mode
def test_a_torch_layer_becomes_one_and_comes_back(mode: str) -> None:
    rnn = MAKERS[mode](I, H, 2, bidirectional=True)
    optimizer = torch.optim.Adam(rnn.parameters())
    x = torch.randn(T, B, I)
    rnn(x)[0].sum().backward()
    optimizer.step()
    before, kind = {n: p.detach().clone() for n, p in rnn.named_parameters()}, type(rnn)
    identities, y = [id(p) for p in rnn.parameters()], rnn(x)[0]
    moments = {id(p): s["exp_avg"].clone() for p, s in optimizer.state.items()}
    change = remedies.layer_norm(rnn, optimizer=optimizer)
    assert isinstance(rnn, LayerNormed)
    for name, p in before.items():
        assert torch.equal(rnn.get_parameter(name), p)
    assert [id(p) for p in list(rnn.parameters())[: len(identities)]] == identities
    owned = {id(p) for group in optimizer.param_groups for p in group["params"]}
    assert owned == {id(p) for p in rnn.parameters()}
    assert {id(p) for p in optimizer.state} == set(identities), "momentum goes on"
    rnn.load_state_dict(MAKERS[mode](I, H, 2, bidirectional=True).state_dict())
    rnn.load_state_dict(before)
    change.undo()
    assert type(rnn) is kind
    assert [id(p) for p in rnn.parameters()] == identities
    assert {id(p): s["exp_avg"] for p, s in optimizer.state.items()}.keys() == moments.keys()
    for p, s in optimizer.state.items():
        assert torch.equal(s["exp_avg"], moments[id(p)])
    assert torch.equal(rnn(x)[0], y)


@each_mode
def test_the_probe_measures_it_exactly(mode: str) -> None:
    model = nn.ModuleDict({"rnn": MAKERS[mode](I, H, dtype=torch.float64)})
    remedies.layer_norm(model)
    x = torch.randn(T, B, I, dtype=torch.float64)
    with bptt.probe(model, keep="full") as flow:
        model["rnn"](x)[0][-1].square().sum().backward()
    assert (flow.sites, flow.notes) == (["rnn.l0"], [])
    site = flow["rnn.l0"]
    assert (site.steps, site.batch) == (T, B)
    state, y, steps = None, x, []
    for x_t in x:
        y, state = model["rnn"](x_t.unsqueeze(0), state)
        state[0].retain_grad() if mode == "LSTM" else state.retain_grad()
        steps.append(state[0] if mode == "LSTM" else state)
    y[-1].square().sum().backward()
    true = [h.grad for h in steps[:-1]]
    assert site.dh is not None
    for t, grad in enumerate(true):
        assert grad is not None
        torch.testing.assert_close(site.dh[t], grad[0])


def test_layers_and_directions_are_sites_of_their_own() -> None:
    model = nn.ModuleDict({"rnn": nn.GRU(I, H, 2, bidirectional=True)})
    remedies.layer_norm(model)
    with bptt.probe(model) as flow:
        model["rnn"](torch.randn(T, B, I))[0].square().sum().backward()
    expected = {f"rnn.l{layer}{way}" for layer in (0, 1) for way in ("", "_reverse")}
    assert set(flow.sites) == expected
    assert {site.steps for site in flow} == {T}


def test_large_inputs_no_longer_saturate() -> None:
    rnn, x = nn.RNN(I, H), 200 * torch.rand(T, B, I)
    assert float((rnn(x)[0].abs() > 0.99).float().mean()) > 0.5
    remedies.layer_norm(rnn)
    assert float((rnn(x)[0].abs() > 0.99).float().mean()) < 0.2


class Own(nn.GRU):
    """A user's."""


@pytest.mark.parametrize(
    ("model", "args", "said"),
    [
        (nn.LSTM(I, H, proj_size=2), {}, "proj_size"),
        (nn.GRUCell(I, H), {}, "single cell"),
        (Own(I, H), {}, "forward of its own"),
        (LayerNormed("GRU", I, H), {}, "already"),
        (nn.GRU(I, H), {"gain": 0.0}, "positive"),
    ],
)
def test_refusals(model: nn.Module, args: dict[str, Any], said: str) -> None:
    kind = type(model)
    with pytest.raises(RemedyError, match=said):
        remedies.layer_norm(model, **args)
    assert type(model) is kind


def test_an_unknown_mode_is_refused() -> None:
    with pytest.raises(ValueError, match="expected one of RNN_TANH"):
        LayerNormed("RNN", I, H)
