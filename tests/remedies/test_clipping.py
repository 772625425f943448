"""Clipping: each method against its formula written out, gradients of every kind, and a proposed threshold."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from bptt.remedies import (
    AGC,
    AutoClip,
    ClipNorm,
    Clipper,
    ClipValue,
    Method,
    RemedyError,
    ZClip,
    propose,
)
from clippers import (
    METHODS,
    each_method,
    grads,
    model_with_gradients,
    nothing_is_left,
    same,
    total,
)

__all__ = ["nothing_is_left"]  # a fixture that every test here uses


# Each method is its formula.


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("limit", [1e-3, 2.0, 1e6])
def test_norm_and_value_are_torchs_to_the_bit(dtype: torch.dtype, limit: float) -> None:
    for method, torchs in (
        (ClipNorm(limit), nn.utils.clip_grad_norm_),
        (ClipValue(limit), nn.utils.clip_grad_value_),
    ):
        model = model_with_gradients(dtype)
        before = grads(model)
        done = Clipper(method).clip(model.parameters())
        ours = grads(model)
        for parameter, grad in zip(model.parameters(), before, strict=True):
            parameter.grad = grad.clone()
        torchs(model.parameters(), limit)
        assert same(ours, grads(model))
        digits = 1e-2 if dtype is torch.bfloat16 else 1e-5
        assert done.norm == pytest.approx(total(before), rel=digits)
        assert done.factor == pytest.approx(total(ours) / total(before), rel=digits)
        assert done.limit == limit


@pytest.mark.parametrize(
    ("dtype", "digits"), [(torch.float64, 1e-12), (torch.float32, 1e-5), (torch.bfloat16, 1e-2)]
)
@pytest.mark.parametrize("compiled", [True, False])
def test_agc_bounds_each_row_by_its_weights(
    dtype: torch.dtype, digits: float, compiled: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not compiled:
        monkeypatch.setattr("bptt.kernels._units.present", lambda: False)
    model = model_with_gradients(dtype, 0.02)
    with torch.no_grad():
        model[2].weight.zero_()  # type: ignore[operator, union-attr]  units without weights count as `least`
    before, factor, least = grads(model), 0.1, 1e-3
    expected = []
    for weight, grad in zip(model.parameters(), before, strict=True):
        w, g = weight.detach().double(), grad.double().clone()
        for unit in range(len(g)) if g.dim() > 1 else [slice(None)]:
            limit = factor * max(float(w[unit].norm()), least)
            if (size := float(g[unit].norm())) > limit:
                g[unit] *= limit / size
        expected.append(g)
    done = Clipper(AGC(factor)).clip(model.parameters())
    for found, g in zip(grads(model), expected, strict=True):
        torch.testing.assert_close(found.double(), g, rtol=digits, atol=0)
    assert done.norm == pytest.approx(total(before), rel=digits)
    assert done.factor == pytest.approx(total(expected) / total(before), rel=digits)
    assert 0 < done.factor < 1


@pytest.mark.parametrize("window", [None, 7])
def test_autoclip_is_numpys_percentile_of_the_history(window: int | None) -> None:
    method, norms = AutoClip(23.0, window), torch.rand(40).double().exp().tolist()
    for n, norm in enumerate(norms):
        seen = norms[: n + 1] if window is None else norms[: n + 1][-window:]
        assert method.limit(norm) == pytest.approx(np.percentile(seen, 23.0), rel=1e-12)


def test_zclip_is_the_papers_algorithm() -> None:
    norms = (1 + 0.1 * torch.randn(60)).tolist()
    norms[30:32] = [30.0, 3.0]
    method, clipped = ZClip(z=2.0, alpha=0.9, warmup=10), 0
    mean, var = float(np.mean(norms[:10])), float(np.var(norms[:10]))
    for n, norm in enumerate(norms):
        limit = method.limit(norm)
        if n < 10:
            assert limit == math.inf
            continue
        score = (norm - mean) / (math.sqrt(var) + 1e-6)
        used = mean + 2.0 * math.sqrt(var) / (score / 2.0) if score > 2.0 else norm
        clipped += score > 2.0
        assert min(limit, norm) == pytest.approx(used, rel=1e-12)
        mean = 0.9 * mean + 0.1 * used
        var = 0.9 * var + 0.1 * (used - mean) ** 2
    assert clipped >= 2


def test_what_finds_its_threshold_does_not_depend_on_the_losss_scale() -> None:
    for scale in (1e-9, 1e6):
        clipper, factors = Clipper(AutoClip(50)), []
        for size in (1.0, 3.0, 2.0):
            torch.manual_seed(1)
            factors.append(
                clipper.clip(model_with_gradients(size=size * scale).parameters()).factor
            )
        assert factors == pytest.approx([1.0, 2 / 3, 1.0], rel=1e-4)


# Gradients of every kind.


@each_method
def test_sparse_gradients_are_clipped_as_dense_ones(name: str) -> None:
    ids, found = torch.tensor([1, 3, 3, 0]), []
    for sparse in (False, True):
        torch.manual_seed(0)
        layer, clipper = nn.Embedding(6, 4, sparse=sparse), Clipper(METHODS[name]())
        for scale in (1.0, 1.1, 50.0):
            layer.zero_grad()
            (scale * layer(ids).square()).sum().backward()
            done = clipper.clip(layer.parameters())
        assert layer.weight.grad is not None
        grad = layer.weight.grad
        found.append((done, grad.to_dense() if sparse else grad))
    assert found[0][0].factor < 1
    assert found[0][0] == pytest.approx(found[1][0], rel=1e-6)
    torch.testing.assert_close(found[0][1], found[1][1])


def test_a_sparse_gradient_of_another_kind_is_refused() -> None:
    weight = nn.Parameter(torch.ones(2, 2))
    weight.grad = torch.eye(2).to_sparse()
    with pytest.raises(RemedyError, match="expected a dense one, or rows"):
        Clipper(ClipNorm(1.0)).clip(weight)


@each_method
def test_nothing_to_clip(name: str) -> None:
    clipper, model = Clipper(METHODS[name]()), nn.Linear(2, 2)
    state = clipper.method.state()
    assert clipper.clip(model.parameters()) == (0.0, math.inf, 1.0)
    empty = nn.Parameter(torch.zeros(0, 3))
    empty.grad = torch.zeros(0, 3)
    assert clipper.clip([empty]) == (0.0, math.inf, 1.0)
    assert clipper.updates == 0
    model.weight.grad = torch.zeros(2, 2)
    assert clipper.clip([empty, *model.parameters()]).factor == 1.0
    assert str(clipper.method.state()) == str(state) or name == "zclip"
    assert torch.equal(model.weight.grad, torch.zeros(2, 2))


@each_method
@pytest.mark.parametrize("wrong", [math.inf, math.nan])
def test_what_is_not_finite_is_left_alone_and_enters_no_history(name: str, wrong: float) -> None:
    clipper = Clipper(METHODS[name]())
    for _ in range(3):
        clipper.clip(model_with_gradients().parameters())
    model, state = model_with_gradients(), str(clipper.method.state())
    model[0].weight_hh_l0.grad[2, 1] = wrong  # type: ignore[index, union-attr]
    before = grads(model)
    done = clipper.clip(model.parameters())
    assert not math.isfinite(done.norm)
    assert (clipper.updates, clipper.skipped, str(clipper.method.state())) == (4, 1, state)
    for a, b in zip(grads(model), before, strict=True):
        assert torch.equal(a.nan_to_num(7.0), b.nan_to_num(7.0))


@pytest.mark.parametrize("method", [ClipNorm(0.5), AGC(0.1)])
def test_finite_values_whose_norm_overflows_are_clipped(method: Method) -> None:
    model = model_with_gradients(size=1e30)
    done = Clipper(method).clip(model.parameters())
    assert 1e30 < done.norm < math.inf
    assert 0 < total(grads(model)) < 10


# A threshold from the norms.


def test_the_proposal_follows_the_usual_norm_and_not_the_spikes() -> None:
    usual = (0.2 * torch.randn(200)).exp().tolist()
    plain = propose(usual)
    spiked = propose([norm * (300 if n % 5 == 0 else 1) for n, norm in enumerate(usual)])
    assert plain.max_norm / 2 < spiked.max_norm < plain.max_norm * 2
    assert spiked.share == pytest.approx(0.2, abs=0.01)
    assert plain.share < 0.02
    scaled = propose([1e-6 * norm for norm in usual])
    assert scaled.max_norm == pytest.approx(1e-6 * plain.max_norm, rel=0.05)


def test_the_proposal_shows_its_reasons() -> None:
    usual = (0.2 * torch.randn(50)).exp().tolist()
    fallen = propose([20 * norm for norm in usual] + usual + [math.nan])
    assert fallen.max_norm == propose(usual).max_norm
    assert "norms have moved from" in fallen.reasoning
    assert "without 1 that were zero or not finite" in fallen.reasoning
    equal = propose([3.0] * 20)
    assert (equal.max_norm, equal.share) == (4.5, 0.0)
    assert "1.5 times the median, 4.5" in equal.reasoning
    wild = propose((3 * torch.randn(100)).exp().tolist())
    assert wild.max_norm == pytest.approx(10 * wild.usual, rel=0.05)
    assert str(wild).startswith(f"clip the norm at {wild.max_norm:g}: the median of 100 norms is")


def test_too_few_norms_are_refused() -> None:
    with pytest.raises(RemedyError, match="7 of 9 norms are positive and finite, expected 8"):
        propose([1.0] * 7 + [0.0, math.inf])
