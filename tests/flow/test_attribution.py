"""Attribution: the factors sum to the gain that dense Jacobians give, move with their causes, and are kept."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import bptt
from bptt.flow import Attribution, Theory
from bptt.flow._files import from_dict
from bptt.flow.twin_jacobian import gains, stack_jacobians
from dynamics import MODULES, lively

# torch's own remark on a set-up that the tests use on purpose.
pytestmark = pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")


def attributed(module: nn.RNNBase, x: Tensor) -> tuple[Attribution, bptt.Site]:
    """Of the first layer, with a loss that reads the last step of the output."""
    site = bptt.measure(module, x, loss=lambda out: out[0][-1].pow(2).sum())["l0"]
    assert site.attribution is not None
    return site.attribution, site


@pytest.mark.parametrize("kind", MODULES)
def test_factors_sum_to_the_gain_of_dense_jacobians(kind: str) -> None:
    module, x = lively(kind), torch.randn(20, 2, 3).double()
    found, _ = attributed(module, x)
    dense = stack_jacobians(module, x)[1:]
    output = module(x)[0][-1].detach().numpy()
    true = []
    for sample in range(2):
        v = np.zeros(dense.shape[-1])
        v[: output.shape[-1]] = 2 * output[sample]
        true.append(gains(dense[:, sample], v))
    expected = torch.as_tensor(np.mean(true, 0))
    torch.testing.assert_close(found.total, expected, rtol=1e-10, atol=1e-10)
    parts = found.weights + found.slope + found.gates
    torch.testing.assert_close(found.total, parts, rtol=0, atol=0)
    assert (len(found.by_gate) == 0) == kind.startswith("rnn")


@pytest.mark.parametrize("kind", MODULES)
def test_factors_sum_along_the_way_to_the_credit_curve(kind: str) -> None:
    module, x = lively(kind), torch.randn(25, 1, 3).double()
    found, site = attributed(module, x)
    assert site.log_credit is not None
    torch.testing.assert_close(
        found.total.flip(0).cumsum(0), site.log_credit[1:], rtol=1e-9, atol=1e-9
    )


def test_a_layer_below_is_attributed_from_where_its_last_gradient_enters() -> None:
    module, x = lively("gru", 2), torch.randn(20, 1, 3).double()
    found, _ = attributed(module, x)
    states = module(x)[
        0
    ]  # the top layer's; what enters below is its input gradient at the last step
    lower, upper = nn.GRU(3, 6).double(), nn.GRU(6, 6).double()
    for layer, alone in enumerate((lower, upper)):
        for name, value in alone.named_parameters():
            value.data = getattr(module, name.replace("_l0", f"_l{layer}")).data
    middle = lower(x)[0]
    torch.testing.assert_close(upper(middle)[0], states)
    (entering,) = torch.autograd.grad(upper(middle)[0][-1].pow(2).sum(), middle)
    true = gains(stack_jacobians(lower, x)[1:, 0], entering[-1, 0].numpy())
    torch.testing.assert_close(found.total, torch.as_tensor(true), rtol=1e-9, atol=1e-9)


def test_the_factors_of_an_lstm_are_the_issues_own_words() -> None:
    lstm = nn.LSTM(8, 64)
    found, site = attributed(lstm, torch.randn(100, 8, 8))
    mean = found.per_step()
    assert 0.45 < mean["f"] < 0.55
    assert 0.9 < mean["slope"] <= 1
    assert mean["weights"] >= 1
    assert mean["total"] == pytest.approx(mean["gates"] * mean["slope"] * mean["weights"], rel=1e-9)
    assert site.rate is not None
    assert math.log(mean["total"]) == pytest.approx(site.rate, abs=0.05)
    text = f"{mean['total']:.2f} per step: output gates at {mean['o']:.2f}, forget gates at {mean['f']:.2f}"
    assert str(found).startswith(text)


def test_each_factor_moves_with_its_own_cause() -> None:
    x = torch.randn(60, 2, 3)
    rnn = nn.RNN(3, 32)
    plain, _ = attributed(rnn, x)
    with torch.no_grad():
        rnn.get_parameter("weight_hh_l0").mul_(1.5)
    larger, _ = attributed(rnn, x)
    assert larger.per_step()["weights"] > 1.3 * plain.per_step()["weights"]
    saturated, _ = attributed(rnn, 5 * x)
    assert saturated.per_step()["slope"] < 0.75 * larger.per_step()["slope"]
    orthogonal = nn.RNN(3, 32)
    nn.init.orthogonal_(orthogonal.get_parameter("weight_hh_l0"))
    torch.testing.assert_close(
        attributed(orthogonal, x)[0].weights, torch.zeros(59).double(), rtol=0, atol=1e-5
    )
    gru = nn.GRU(3, 32)
    half, _ = attributed(gru, x)
    with torch.no_grad():
        gru.get_parameter("bias_ih_l0")[32:64] = 5
    kept, _ = attributed(gru, x)
    assert half.per_step()["gates"] < 0.65
    assert 0.95 < kept.per_step()["gates"] <= 1


def test_dead_units_are_the_slopes_doing() -> None:
    rnn = nn.RNN(3, 4, nonlinearity="relu")
    with torch.no_grad():
        rnn.get_parameter("bias_ih_l0").fill_(-100)
    x = torch.randn(10, 2, 3)
    site = bptt.measure(rnn, x, loss=lambda out: (out[0][-1] * torch.ones(4)).sum())["l0"]
    found = site.attribution
    assert found is not None
    assert float(found.slope[-1]) == -math.inf
    assert float(found.weights[-1]) == 0
    assert bool(found.total[:-1].isnan().all())
    assert str(found) == "no gradient passes from step to step"


def test_it_survives_a_round_trip_and_changes_no_measurement() -> None:
    flow = bptt.measure(nn.LSTM(3, 5, 2), torch.randn(9, 6, 3), loss=lambda out: out[0].sum())
    again = from_dict(flow.to_dict())
    for site in flow:
        ours, theirs = site.attribution, again[site.name].attribution
        assert ours is not None
        assert theirs is not None
        for name in ("weights", "slope", "gates", "total"):
            torch.testing.assert_close(getattr(ours, name), getattr(theirs, name), rtol=0, atol=0)
        assert ours.total.shape == (8,)
    assert again.summary() == flow.summary()


def test_theory_stands_beside_the_measured_curve() -> None:
    rnn, x = nn.RNN(4, 32), torch.randn(60, 3, 4)
    with torch.no_grad():
        rnn.get_parameter("weight_hh_l0").mul_(
            0.8 / torch.linalg.matrix_norm(rnn.get_parameter("weight_hh_l0"), 2)
        )
    site = bptt.measure(rnn, x, loss=lambda out: out[0][-1].sum())["l0"]
    theory = site.theory
    assert theory is not None
    assert theory.norm == pytest.approx(0.8, rel=1e-5)
    assert theory.bound is not None
    assert site.credit is not None
    assert bool((site.credit <= theory.bound * (1 + 1e-5)).all())
    assert theory.radius == pytest.approx(
        float(torch.linalg.eigvals(rnn.get_parameter("weight_hh_l0").detach()).abs().max()),
        rel=1e-5,
    )
    farthest = theory.farthest(1e-3)
    assert farthest == int(math.log(1e-3) / math.log(theory.norm)) == 30
    assert site.horizon is not None
    assert farthest is not None
    assert site.horizon <= farthest
    assert "the gradient reaches at most 30 steps" in site_text(rnn, x)


def test_theory_says_where_it_says_nothing() -> None:
    x = torch.randn(60, 3, 4)
    assert "its bound says nothing" in site_text(nn.RNN(4, 32), x)
    assert "theory" not in site_text(nn.GRU(4, 32), x)
    # Nilpotent: every eigenvalue is 0, and yet the gradient grows tenfold a step until it is gone.
    shift = Theory.of(torch.diag(torch.full((5,), 10.0), 1), 6)
    assert shift.radius == 0
    assert shift.norm == pytest.approx(10)
    assert shift.bound is None


def site_text(module: nn.RNNBase, x: Tensor) -> str:
    """What the summary says of a module."""
    return bptt.measure(module, x, loss=lambda out: out[0][-1].sum()).summary()
