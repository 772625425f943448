"""Known values, what the probe leaves alone, and what it says when it cannot measure."""

import copy
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations, parametrize
from torch.nn.utils.rnn import pack_padded_sequence

import bptt
from bptt.flow import Flow, Recorder
from bptt.flow._files import from_dict


def last(output: tuple[Tensor, Tensor]) -> Tensor:
    return output[0][-1].pow(2).mean()


def forget_bias(lstm: nn.LSTM, value: float) -> nn.LSTM:
    size = lstm.hidden_size
    with torch.no_grad():
        for bias, given in ((lstm.bias_ih_l0, value), (lstm.bias_hh_l0, 0.0)):
            torch.as_tensor(bias)[size : 2 * size] = given
    return lstm


@pytest.mark.parametrize(
    ("make", "low", "high"),
    [
        (lambda: nn.LSTM(8, 128), 10, 13),
        (lambda: nn.RNN(8, 128), 10, 13),
        (lambda: nn.GRU(8, 128), 12, 15),
        (lambda: forget_bias(nn.LSTM(8, 128), 1), 32, 42),
        (lambda: forget_bias(nn.LSTM(8, 128), 3), 783, 783),
    ],
    ids=["LSTM", "tanh RNN", "GRU", "LSTM with forget bias 1", "LSTM with forget bias 3"],
)
def test_default_layers_forget_within_a_dozen_steps(
    make: Callable[[], nn.Module], low: int, high: int
) -> None:
    site = bptt.measure(make(), torch.randn(784, 64, 8), loss=last)["l0"]
    assert site.horizon is not None
    assert low <= site.horizon <= high
    assert site.unreached == pytest.approx(1 - (site.horizon + 1) / 784)


class Tagger(nn.Module):
    """A model with dropout, two layers, two directions and batch norm: much to disturb."""

    def __init__(self) -> None:
        super().__init__()
        self.rnn = nn.LSTM(3, 5, num_layers=2, bidirectional=True, dropout=0.4, batch_first=True)
        self.norm, self.drop, self.head = nn.BatchNorm1d(10), nn.Dropout(0.2), nn.Linear(10, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.drop(self.norm(self.rnn(x)[0].mean(1))))


def train(model: nn.Module, watch: bool) -> list[Tensor]:
    torch.manual_seed(3)
    optimizer, losses = torch.optim.Adam(model.parameters(), 1e-2), []
    for _ in range(5):
        x = torch.randn(4, 9, 3)

        def step(x: Tensor = x) -> None:
            optimizer.zero_grad()
            loss = model(x).pow(2).sum()
            loss.backward()
            optimizer.step()
            losses.append(loss.detach())

        if watch:
            with bptt.probe(model):
                step()
        else:
            step()
    return [*losses, torch.get_rng_state(), *(p.detach() for p in model.state_dict().values())]


def test_training_under_the_probe_is_bit_identical() -> None:
    model = Tagger()
    plain, watched = train(copy.deepcopy(model), False), train(model, True)
    assert all(torch.equal(a, b) for a, b in zip(plain, watched, strict=True))
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


def test_measure_leaves_no_trace() -> None:
    model = Tagger()
    model(torch.randn(4, 9, 3)).sum().backward()
    grads = [p.grad.clone() for p in model.parameters() if p.grad is not None]
    x = torch.randn(4, 9, 3)
    state, rng = copy.deepcopy(model.state_dict()), torch.get_rng_state()
    flow = bptt.measure(model, x, loss=lambda y: y.sum())
    assert flow.sites == [f"rnn.l{n}{d}" for n in (0, 1) for d in ("", "_reverse")]
    assert torch.equal(rng, torch.get_rng_state())
    assert all(
        torch.equal(a, b) for a, b in zip(state.values(), model.state_dict().values(), strict=True)
    )
    kept = [p.grad for p in model.parameters() if p.grad is not None]
    assert all(torch.equal(a, b) for a, b in zip(grads, kept, strict=True))


def test_a_saved_flow_comes_back_whole(tmp_path: Path) -> None:
    x = pack_padded_sequence(torch.randn(9, 3, 2), torch.tensor([9, 4, 1]))
    flow = bptt.measure(nn.LSTM(2, 4), x, loss=lambda out: out[0].data.sum(), keep="full")
    flow["l0"].grad_h[0, 0] = float("inf")
    flow.save(tmp_path / "flow.json")
    back = bptt.load_flow(tmp_path / "flow.json")
    assert back.to_dict() == flow.to_dict()
    assert back["l0"].horizon == flow["l0"].horizon
    torch.testing.assert_close(back["l0"].dh, flow["l0"].dh, rtol=0, atol=0)
    assert from_dict(flow.to_dict()).summary() == flow.summary()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "not JSON"),
        ("[]", "expected an object"),
        ('{"version": 9}', "version 9"),
        ('{"version": 1}', "damaged"),
    ],
)
def test_a_damaged_file_is_named(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "flow.json").write_text(content)
    with pytest.raises(bptt.FlowFileError, match=message):
        bptt.load_flow(tmp_path / "flow.json")
    with pytest.raises(bptt.FlowFileError, match="cannot be read"):
        bptt.load_flow(tmp_path / "missing.json")


def test_padding_does_not_count() -> None:
    rnn, lengths = nn.GRU(2, 8), torch.tensor([30, 12])
    x = torch.randn(30, 2, 2)
    rows = torch.arange(2)

    def at_the_ends(out: tuple[Tensor, Tensor]) -> Tensor:
        return out[0][lengths - 1, rows].pow(2).sum()

    stated = bptt.measure(rnn, x, loss=at_the_ends, lengths=lengths)["l0"]
    packed = bptt.measure(
        rnn, pack_padded_sequence(x, lengths), loss=lambda out: out[1].pow(2).sum()
    )["l0"]
    torch.testing.assert_close(stated.credit, packed.credit, rtol=1e-4, atol=0, equal_nan=True)
    assert stated.unreached == packed.unreached
    assert stated.lengths.tolist() == packed.lengths.tolist() == [30, 12]
    x[12:, 1] = 0
    unstated = bptt.measure(rnn, x, loss=at_the_ends)["l0"]
    assert unstated.unreached == packed.unreached


def test_parametrised_and_shared_weights() -> None:
    rnn = nn.RNN(3, 6)
    parametrizations.orthogonal(rnn, "weight_hh_l0")
    flow = bptt.measure(rnn, torch.randn(20, 2, 3), loss=last)
    assert flow["l0"].horizon is not None
    model = nn.ModuleDict({"a": nn.GRU(3, 6)})
    model["b"] = model["a"]
    with bptt.probe(model) as shared:
        model["b"](torch.randn(4, 2, 3))[0].sum().backward()
    assert shared.sites == ["a.l0"]


class DropConnect(nn.Module):
    """Draws random numbers every time that it is asked."""

    def forward(self, weight: Tensor) -> Tensor:
        return nn.functional.dropout(weight, 0.3, self.training)


@pytest.mark.parametrize("make", [parametrizations.spectral_norm, DropConnect])
def test_the_weight_that_a_cell_computes_is_not_computed_again(
    make: Callable[..., nn.Module],
) -> None:
    torch.manual_seed(0)
    cell, x = nn.GRUCell(3, 6).double(), torch.randn(5, 2, 3).double()
    if make is DropConnect:
        parametrize.register_parametrization(cell, "weight_hh", DropConnect())
    else:
        make(cell, "weight_hh")
    twin, seed, states = copy.deepcopy(cell), torch.get_rng_state(), []
    with bptt.probe(cell, keep="full") as flow:
        h = x.new_zeros(2, 6)
        for x_t in x:
            h = cell(x_t, h)
        h.sum().backward()
    drawn = torch.get_rng_state()
    torch.set_rng_state(seed)
    for x_t in x:
        states.append(twin(x_t, states[-1] if states else None))
        states[-1].retain_grad()
    states[-1].sum().backward()
    assert torch.equal(drawn, torch.get_rng_state())
    for name, value in twin.state_dict().items():
        assert torch.equal(cell.state_dict()[name], value)
    (site,) = flow
    assert site.dh is not None
    found = site.dh.flatten(0, 1).norm(dim=-1).sort().values
    true = torch.cat([h.grad for h in states]).norm(dim=-1).sort().values
    torch.testing.assert_close(found, true, rtol=1e-11, atol=0)


def test_a_batch_of_passes_is_none_of_the_trainings() -> None:
    gru, x = nn.GRU(3, 6), torch.randn(7, 2, 3)

    def measured(before: Callable[[Tensor], object]) -> Flow:
        with bptt.probe(gru, keep="full") as flow:
            y = gru(x)[0][-1]
            before(y)
            y.sum().backward()
        return flow

    weights = list(gru.parameters())
    each = torch.eye(12).view(12, 2, 6)
    batched = measured(
        lambda y: torch.autograd.grad(y, weights, each, retain_graph=True, is_grads_batched=True)
    )
    alone = measured(lambda y: None)
    assert torch.equal(batched["l0"].grad_h, alone["l0"].grad_h)


def test_autocast_runs_are_measured() -> None:
    gru = nn.GRU(3, 6)
    with bptt.probe(gru) as flow, torch.autocast("cpu", torch.bfloat16):
        gru(torch.randn(20, 2, 3))[0][-1].float().sum().backward()
    exact = bptt.measure(gru, torch.randn(20, 2, 3), loss=lambda out: out[0][-1].sum())
    assert flow.notes == []
    assert abs((flow["l0"].horizon or 0) - (exact["l0"].horizon or 0)) <= 3


def test_steps_inside_the_block_are_measured_with_the_weights_they_ran_with() -> None:
    rnn = nn.LSTM(3, 6)
    optimizer = torch.optim.SGD(rnn.parameters(), 0.5)
    x = torch.randn(20, 2, 3)
    expected = bptt.measure(rnn, x, loss=last)["l0"].grad_h
    with bptt.probe(rnn) as flow:
        last(rnn(x)).backward()
        optimizer.step()
    assert torch.equal(flow["l0"].grad_h, expected)


def test_lbfgs_calls_its_closure_inside_the_step() -> None:
    rnn = nn.RNN(3, 6)
    optimizer = torch.optim.LBFGS(rnn.parameters(), max_iter=3)
    x = torch.randn(10, 2, 3)

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = last(rnn(x))
        loss.backward()
        return loss

    with bptt.probe(rnn) as flow:
        optimizer.step(closure)
    assert flow["l0"].batch >= 2


class Doubled(nn.LSTM):
    """A subclass whose output does not follow from its weights."""

    def forward(self, x: Tensor, hx: object = None) -> tuple[Tensor, object]:  # type: ignore[override]
        y, state = super().forward(x, hx)  # type: ignore[arg-type]
        return 2 * y, state


def test_what_cannot_be_measured_is_said() -> None:
    flow = bptt.measure(Doubled(2, 4), torch.randn(5, 1, 2), loss=last)
    assert flow.sites == []
    assert "does not follow" in flow.notes[0].reason or "differs by" in flow.notes[0].reason
    with pytest.raises(bptt.NoRecurrenceError, match="no recurrent module was called in Linear"):
        bptt.measure(nn.Linear(2, 2), torch.randn(1, 2), loss=lambda y: y.sum())
    rnn = nn.RNN(2, 3)
    with pytest.raises(bptt.NoGradientError, match="no gradient came back"), bptt.probe(rnn):
        rnn(torch.randn(4, 1, 2))
    with pytest.raises(bptt.NoGradientError, match="does not depend"):
        bptt.measure(rnn, torch.randn(4, 1, 2), loss=lambda out: out[0].detach().sum())
    with pytest.raises(bptt.BpttError, match="scalar"):
        bptt.measure(rnn, torch.randn(4, 1, 2), loss=lambda out: out[0])
    with pytest.raises(bptt.BpttError, match="no site 'l7'"):
        bptt.measure(rnn, torch.randn(4, 1, 2), loss=last)["l7"]
    with pytest.raises(bptt.BpttError, match="threshold"), bptt.probe(rnn, threshold=2.0):
        pass


def test_one_step_one_sample_and_no_sample() -> None:
    site = bptt.measure(nn.LSTM(2, 4), torch.randn(1, 1, 2), loss=last)["l0"]
    assert (site.steps, site.horizon, site.rate, site.unreached) == (1, 0, None, 0.0)
    with bptt.probe(rnn := nn.GRU(2, 4)) as flow:
        rnn(torch.randn(3, 0, 2))[0].sum().backward()
    assert flow["l0"].batch == 0
    assert flow["l0"].horizon is None


def test_non_finite_values_are_shown_not_hidden() -> None:
    x = torch.randn(6, 2, 3)
    x[2, 0] = float("nan")
    flow = bptt.measure(nn.GRU(3, 4), x, loss=last)
    assert flow["l0"].grad_h[:, 0].isnan().any()
    assert flow["l0"].grad_h[:, 1].isfinite().all()
    assert any("not finite" in note.reason for note in flow.notes)


def test_nothing_is_said_of_a_reach_through_states_that_are_not_finite() -> None:
    torch.manual_seed(0)
    model, x = nn.GRU(3, 8), torch.randn(12, 2, 3)

    x[5] = float("nan")
    flow = bptt.measure(model, x, loss=last)
    site = flow["l0"]
    assert (site.horizon, site.unreached, site.rate, site.lags) == (None, None, None, 0)
    assert site.reach() == "not measured"
    assert flow.summary().splitlines()[0] == "l0 (gru): reach not measured"
    assert flow.digest()["sites"]["l0"]["horizon"] is None
    x[5, 0] = 1.0  # one sample is enough to tell
    assert bptt.measure(model, x, loss=last)["l0"].lags == 11


# torch calls scripting deprecated; scripts that use it are still there to be measured.
@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_compiled_and_scripted_modules_are_named() -> None:
    recorder = Recorder()
    scripted = torch.jit.script(nn.Sequential(nn.GRU(2, 3)))
    recorder.start()
    try:
        scripted(torch.randn(4, 1, 2))[0].sum().backward()
    finally:
        recorder.stop()
    assert any("scripted" in note.reason for note in recorder.harvest().notes)


def test_recorder_without_a_model_finds_and_names_modules() -> None:
    class Outer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = nn.ModuleDict({"rnn": nn.GRU(2, 3)})

    outer = Outer()
    recorder = Recorder()
    recorder.start()
    outer.body["rnn"](torch.randn(4, 1, 2))[0].sum().backward()
    recorder.stop()
    flow: Flow = recorder.harvest()
    assert flow.sites == ["body.rnn.l0"]
