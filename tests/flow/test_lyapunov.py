"""Lyapunov exponents: closed forms, dense twins, a second package, known networks, bad input."""

import math
from typing import Any

import lyapynov
import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence

import bptt
from bptt.flow import Exponents
from bptt.flow.explain import _frame, _lyapunov
from bptt.flow.explain._frame import frame
from bptt.flow.twin_jacobian import exponents, stack_jacobians
from dynamics import MODULES, lively, steady

# torch's own remark on a set-up that the tests use on purpose.
pytestmark = pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")


def twins(dense: np.ndarray, k: int, warmup: int) -> Tensor:
    """`[B, k]` each sample's exponents by a QR after every dense step."""
    start = frame(dense.shape[-1], k).numpy().T
    samples = [exponents(dense[:, b], start, warmup) for b in range(dense.shape[1])]
    return torch.as_tensor(np.array(samples))


@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize("kind", [kind for kind in MODULES if kind != "rnn_relu"])
def test_every_system_equals_its_dense_twin(kind: str, layers: int) -> None:
    module, x = lively(kind, layers), torch.randn(60, 2, 3).double()
    dense = stack_jacobians(module, x)
    for k in (1, 4, dense.shape[-1]):
        found = bptt.lyapunov(module, x, k, warmup=10)
        system = found["l0"]
        assert list(found) == [f"l0-l{layers - 1}" if layers > 1 else "l0"]
        assert found[f"l{layers - 1}"] is system
        assert system.size == dense.shape[-1]
        true = twins(dense, k, 10)
        mean, order = true.mean(0).sort(descending=True)
        torch.testing.assert_close(system.exponents, mean, rtol=1e-10, atol=1e-10)
        torch.testing.assert_close(system.per_sample, true[:, order], rtol=1e-10, atol=1e-10)
        error = true[:, order].std(0) / math.sqrt(2)
        torch.testing.assert_close(system.error, error, rtol=1e-8, atol=1e-10)


def test_relu_units_that_are_off_have_no_exponent() -> None:
    module, x = lively("rnn_relu"), torch.randn(60, 1, 3).double()
    dense = stack_jacobians(module, x)
    rank = min(np.linalg.matrix_rank(each[0]) for each in dense)
    found = bptt.lyapunov(module, x, warmup=0)["l0"].exponents
    assert rank < 6
    assert int(found.isfinite().sum()) <= rank
    assert bool(found[rank:].isinf().all())
    alive = bptt.lyapunov(module, x, 1, warmup=0)["l0"].exponents
    torch.testing.assert_close(alive, twins(dense, 1, 0)[0], rtol=1e-10, atol=1e-10)


def test_exponents_of_a_linear_recurrence_are_its_eigenvalues() -> None:
    w = torch.diag(torch.tensor([0.95, 0.7, 0.4, 0.1]).double()) + torch.triu(
        torch.rand(4, 4).double(), 1
    )
    module, ones = steady(w)
    x = torch.zeros(4000, 1, 1).double()
    found = bptt.lyapunov(module, (x, ones.view(1, 1, -1)))["l0"]
    logs = torch.linalg.eigvals(w).abs().log().sort(descending=True).values
    torch.testing.assert_close(found.exponents, logs, rtol=0, atol=2e-3)


@pytest.mark.parametrize("scale", [0.8, 1.0])
def test_exponents_of_a_scaled_orthogonal_recurrence_are_all_equal(scale: float) -> None:
    q = torch.linalg.qr(torch.randn(12, 12).double())[0]
    module, ones = steady(scale * q)
    start = ones.view(1, 1, -1).expand(1, 2, -1)
    found = bptt.lyapunov(module, (torch.zeros(600, 2, 1).double(), start))["l0"]
    torch.testing.assert_close(
        found.exponents, torch.full((12,), math.log(scale)).double(), rtol=0, atol=1e-8
    )
    assert found.every == 64


def test_a_second_package_agrees_on_a_tanh_rnn() -> None:
    module = nn.RNN(1, 20).double()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.zero_()
        module.get_parameter("weight_hh_l0").normal_(0, 1.8 / math.sqrt(20))
    w, steps, warmup = module.get_parameter("weight_hh_l0").detach().numpy(), 20_000, 2_000
    found = bptt.lyapunov(module, noise=0.0, steps=steps, warmup=warmup, samples=1, seed=3)["l0"]
    generator = torch.Generator().manual_seed(3)
    h = (2 * torch.rand(1, 1, 20, dtype=torch.float64, generator=generator) - 1).numpy().ravel()

    def step(h: np.ndarray, _: float) -> np.ndarray:
        return np.tanh(w @ h)

    def jacobian(h: np.ndarray, _: float) -> np.ndarray:
        return (1 - np.tanh(w @ h) ** 2)[:, None] * w

    system: Any = lyapynov.DiscreteDS(h, 0, step, jacobian)
    true = np.sort(np.asarray(lyapynov.LCE(system, 20, warmup, steps - warmup, False)))[::-1]
    assert np.abs(found.exponents.numpy() - true).max() < 1e-3


@pytest.mark.parametrize(("gain", "chaotic"), [(0.9, False), (1.5, True)])
def test_random_tanh_networks_become_chaotic_with_gain(gain: float, chaotic: bool) -> None:
    module = nn.RNN(1, 200, bias=False)
    nn.init.normal_(module.get_parameter("weight_hh_l0"), 0, gain / math.sqrt(200))
    found = bptt.lyapunov(module, k=30, noise=0.0, steps=600, warmup=200, samples=4)["l0"]
    assert (found.largest - 3 * float(found.error[0]) > 0) == chaotic
    assert (found.largest + 3 * float(found.error[0]) < 0) == (not chaotic)
    assert found.entropy_rate is not None
    assert (found.entropy_rate > 0) == chaotic
    assert (found.dimension == 0) != chaotic


@pytest.mark.parametrize(("bias", "expected"), [(None, -0.46), (1.0, -0.20), (5.0, 0.00)])
def test_a_forget_bias_brings_the_exponent_of_an_lstm_to_zero(
    bias: float | None, expected: float
) -> None:
    largest = []
    for seed in range(5):
        torch.manual_seed(seed)
        module = nn.LSTM(8, 32)
        if bias is not None:
            with torch.no_grad():
                module.get_parameter("bias_ih_l0")[32:64] = bias
                module.get_parameter("bias_hh_l0")[32:64] = 0
        largest.append(bptt.lyapunov(module, torch.randn(400, 4, 8), k=1)["l0"].largest)
    assert sum(largest) / 5 == pytest.approx(expected, abs=0.03)


def test_exponents_of_a_stack_are_those_of_its_layers() -> None:
    module, x = nn.GRU(3, 4, 2).double(), torch.randn(3000, 1, 3).double()
    lower, upper = nn.GRU(3, 4).double(), nn.GRU(4, 4).double()
    for layer, alone in enumerate((lower, upper)):
        for name, value in alone.named_parameters():
            value.data = getattr(module, name.replace("_l0", f"_l{layer}")).data
    first = bptt.lyapunov(lower, x)["l0"].exponents
    with torch.no_grad():
        second = bptt.lyapunov(upper, lower(x)[0])["l0"].exponents
    union = torch.cat([first, second]).sort(descending=True).values
    torch.testing.assert_close(bptt.lyapunov(module, x)["l0"].exponents, union, rtol=0, atol=5e-3)


def test_the_interval_follows_from_the_growth(monkeypatch: pytest.MonkeyPatch) -> None:
    module, x = lively("lstm", 2), torch.randn(300, 2, 3).double()
    chosen = bptt.lyapunov(module, x)["l0"]
    each = bptt.lyapunov(module, x, every=1)["l0"]
    torch.testing.assert_close(chosen.exponents, each.exponents, rtol=1e-9, atol=1e-9)
    assert 1 < chosen.every < 30
    assert bptt.lyapunov(module, x, k=1)["l0"].every == _frame.LONGEST
    with pytest.raises(bptt.UnmeasurableError, match=r"\(every=200\) the tangents fall together"):
        bptt.lyapunov(module, x, every=200)
    # An interval that turns out too long is taken back, unseen.
    monkeypatch.setattr(_frame, "KEPT", 1e-40)
    monkeypatch.setattr(_frame, "FLOOR", 0.0)
    again = bptt.lyapunov(module, x)["l0"]
    torch.testing.assert_close(again.exponents, each.exponents, rtol=1e-3, atol=1e-3)


def test_chunks_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    module, x = lively("lstm", 2), torch.randn(100, 2, 3).double()
    whole = bptt.lyapunov(module, x)["l0"].exponents
    monkeypatch.setattr(_lyapunov, "CHUNK_BYTES", 1)
    torch.testing.assert_close(bptt.lyapunov(module, x)["l0"].exponents, whole, rtol=1e-8, atol=0)


def test_it_stops_when_the_errors_are_small() -> None:
    module = nn.GRU(4, 16)
    found = bptt.lyapunov(module, torch.randn(4000, 8, 4), k=2, warmup=100, tolerance=5e-3)["l0"]
    assert found.stopped == "tolerance reached"
    assert 64 < float(found.steps[0]) < 3900
    assert float(found.error.max()) < 5e-3
    longer = bptt.lyapunov(module, torch.randn(4000, 8, 4), k=2, warmup=100)["l0"]
    assert longer.stopped == "end of data"
    torch.testing.assert_close(found.exponents, longer.exponents, rtol=0, atol=0.02)


def test_packed_samples_end_where_they_end() -> None:
    module, x = lively("lstm"), torch.randn(60, 2, 3).double()
    packed = pack_padded_sequence(x, torch.tensor([60, 35]))
    found = bptt.lyapunov(module, packed, warmup=5)["l0"]
    alone = bptt.lyapunov(module, x[:35, 1:], warmup=5)["l0"]
    assert found.steps.tolist() == [55, 30]
    mine = found.per_sample[1].sort().values
    torch.testing.assert_close(mine, alone.per_sample[0].sort().values, rtol=1e-9, atol=1e-9)


def test_starts_add_samples_and_noise_needs_no_data() -> None:
    module = nn.LSTM(4, 8)
    random = torch.get_rng_state()
    found = bptt.lyapunov(module, torch.ones(200, 2, 4), starts=3)["l0"]
    assert found.per_sample.shape == (6, 16)
    own = bptt.lyapunov(module, torch.ones(200, 2, 4))["l0"]
    torch.testing.assert_close(found.per_sample[0].sort().values, own.per_sample[0].sort().values)
    noisy = bptt.lyapunov(nn.Sequential(module), steps=100, samples=3)
    assert list(noisy) == ["0.l0"]
    assert noisy["0.l0"].per_sample.shape == (3, 16)
    assert torch.equal(torch.get_rng_state(), random)


def test_dimension_and_entropy_rate() -> None:
    def made(values: list[float], size: int) -> Exponents:
        each = torch.tensor([values]).double()
        return Exponents(["l0"], each[0], each[0], each, torch.ones(1).double(), 0, 1, size, "")

    henon = made([0.419, -1.623], 2)
    assert henon.dimension == pytest.approx(1 + 0.419 / 1.623)
    assert henon.entropy_rate == pytest.approx(0.419)
    assert made([-0.1, -0.2], 2).dimension == 0
    assert made([-0.1, -0.2], 2).entropy_rate == 0
    assert made([0.3, 0.1], 2).dimension == 2
    assert made([0.3, 0.1], 5).dimension is None
    assert made([0.3, 0.1], 5).entropy_rate is None


def test_bad_input_is_named() -> None:
    lstm, x = nn.LSTM(3, 4), torch.randn(60, 2, 3)
    cases: list[tuple[dict[str, Any], str]] = [
        ({"k": 9}, "k=9: the joint state of l0 has 8 entries"),
        ({"k": 0}, "k=0: expected at least 1"),
        ({"every": 0}, "every=0: expected at least 1"),
        ({"warmup": 55}, "the shortest sample has 60 steps, of which 55 are warm-up"),
        ({"tolerance": 0.0}, "tolerance=0.0: expected a number above 0"),
    ]
    for options, message in cases:
        with pytest.raises(bptt.BpttError, match=message):
            bptt.lyapunov(lstm, x, **options)
    with pytest.raises(bptt.BpttError, match="needs at least two samples"):
        bptt.lyapunov(lstm, x[:, :1], tolerance=0.1)
    with pytest.raises(bptt.BpttError, match="the shortest sample has 8 steps"):
        bptt.lyapunov(lstm, x[:8])
    with pytest.raises(
        bptt.UnmeasurableError, match="l0: the state of 1 of 2 samples is not finite"
    ):
        bptt.lyapunov(lstm, _broken(x))
    with pytest.raises(bptt.UnmeasurableError, match="is bidirectional"):
        bptt.lyapunov(nn.LSTM(3, 4, bidirectional=True), x)
    with pytest.raises(bptt.NoRecurrenceError, match="no recurrent module in Linear"):
        bptt.lyapunov(nn.Linear(3, 4))
    with pytest.raises(bptt.BpttError, match="samples=0"):
        bptt.lyapunov(lstm, samples=0)


def _broken(x: Tensor) -> Tensor:
    """One sample that is not a number from step 30 on."""
    x = x.clone()
    x[30, 1] = math.nan
    return x
