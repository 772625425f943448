"""Spectra, exponents and attributions of any small stack are their definitions, by another way of computing them."""

import math

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from torch import Tensor, nn

import bptt
from bptt.flow import BySite, Exponents, Theory
from bptt.flow.twin_jacobian import stack_jacobians
from properties.drawn import Draft, Net, drafts, laid, layouts, squared, times

pytestmark = pytest.mark.filterwarnings("ignore:dropout option adds dropout after all but last")

stacks = drafts(
    made_of=st.just("torch"), bidirectional=st.just(False), dropout=st.just(0.0), batch_first=st.just(False),
    gain=st.sampled_from([1.0, 2.0]),
)  # fmt: skip
batches = st.integers(1, 3)
few = times(20)


def stack(draft: Draft) -> nn.RNNBase:
    """The recurrent layers alone."""
    module = Net(draft).rnn
    assert isinstance(module, nn.RNNBase)
    return module


def inputs(draft: Draft, steps: int, batch: int, layout: str = "plain") -> Tensor:
    """What they are given."""
    return Net(draft).x(steps, batch, layout)


def blocks(module: nn.RNNBase) -> list[slice]:
    """Each layer's place in the joint state."""
    size = module.hidden_size * (2 if isinstance(module, nn.LSTM) else 1)
    return [slice(n * size, (n + 1) * size) for n in range(module.num_layers)]


@few
@given(stacks, st.integers(1, 5), batches, layouts)
def test_singular_values_are_those_of_the_dense_jacobians(
    draft: Draft, steps: int, batch: int, layout: str
) -> None:
    module, x = stack(draft), inputs(draft, steps, batch, layout)
    found, dense = bptt.spectrum(module, x), stack_jacobians(module, x)
    digits = 1e-9 if draft.dtype is torch.float64 else 1e-4
    assert len(found) == draft.layers
    for site, block in zip(found.values(), blocks(module), strict=True):
        own = dense[..., block, block]
        true = np.linalg.svd(own, compute_uv=False)
        np.testing.assert_allclose(
            site.singular.double(), true, rtol=digits, atol=digits * max(1.0, true.max())
        )
        assert bool((site.jacobian_radius <= site.singular[..., 0] * (1 + digits) + digits).all())
        assert bool((site.singular[..., :-1] >= site.singular[..., 1:]).all())
        for gate, radius in site.radius.items():
            assert radius <= site.norm[gate] * (1 + 1e-6)
        lengths = site.product(0, steps)
        assert lengths.shape == (batch, true.shape[-1])
        with np.errstate(divide="ignore"):
            bound = np.log(true[..., 0]).sum(0)
        assert bool((lengths[:, 0].numpy() <= bound + 1e-3).all())


@few
@given(stacks, st.integers(1, 6), batches, st.data())
def test_a_long_window_is_no_wider_than_its_halves(
    draft: Draft, steps: int, batch: int, data: st.DataObject
) -> None:
    """`σ_max(AB) ≤ σ_max(A) σ_max(B)`, and `det AB = det A det B`."""
    draft.dtype = torch.float64
    assume(draft.kind != "relu")
    module, x = stack(draft), inputs(draft, steps + 1, batch)
    cut = data.draw(st.integers(1, steps))
    for site in bptt.spectrum(module, x).values():
        whole, first, second = (
            site.product(*window) for window in ((0, steps + 1), (0, cut), (cut, steps + 1))
        )
        assert bool((whole[:, 0] <= first[:, 0] + second[:, 0] + 1e-9).all())
        torch.testing.assert_close(whole.sum(1), first.sum(1) + second.sum(1), rtol=1e-7, atol=1e-7)


@few
@given(stacks, st.integers(12, 20), batches, layouts, st.integers(0, 2), st.data())
def test_exponents_are_those_of_a_qr_after_every_step(
    draft: Draft, steps: int, batch: int, layout: str, warmup: int, data: st.DataObject
) -> None:
    """Their sum is the mean of `log |det J|`, whatever the frame; those asked for are the first of all."""
    assume(draft.kind != "relu")  # a unit that is off sends a direction to zero
    module, x = stack(draft), inputs(draft, steps, batch, layout)
    (found,) = bptt.lyapunov(module, x, warmup=warmup).values()
    dense = stack_jacobians(module, x)
    assert found.size == dense.shape[-1] == len(found.exponents)
    determinants = np.linalg.slogdet(dense[warmup:])[1].mean(0)
    assume(np.isfinite(determinants).all() and determinants.min() > -60)
    np.testing.assert_allclose(found.per_sample.sum(1), determinants, rtol=1e-7, atol=1e-7)
    assert bool((found.exponents[:-1] >= found.exponents[1:]).all())
    k = data.draw(st.integers(1, found.size))
    (few,) = bptt.lyapunov(module, x, k, warmup=warmup).values()
    assert len(few.exponents) == k
    assert few.steps.tolist() == [steps - warmup] * batch
    with pytest.raises(bptt.BpttError, match="ask for at most"):
        bptt.lyapunov(module, x, found.size + 1)


@few
@given(stacks, st.floats(0, 2), st.integers(12, 30), st.integers(1, 4), st.integers(0, 9))
def test_exponents_under_noise_are_a_function_of_the_seed(
    draft: Draft, noise: float, steps: int, samples: int, seed: int
) -> None:
    module = stack(draft)
    random = torch.get_rng_state()
    one, other = (
        bptt.lyapunov(module, k=1, noise=noise, steps=steps, samples=samples, seed=seed) for _ in range(2)
    )  # fmt: skip
    assert torch.equal(torch.get_rng_state(), random)
    for a, b in zip(one.values(), other.values(), strict=True):
        assert torch.equal(a.per_sample, b.per_sample)
        assert a.per_sample.shape == (samples, 1)


def described(exponents: list[float], size: int) -> Exponents:
    """Exponents as they may come out."""
    mean = torch.tensor(sorted(exponents, reverse=True), dtype=torch.float64)
    return Exponents(
        ["l0"],
        mean,
        mean * math.nan,
        mean.unsqueeze(0),
        torch.tensor([9.0]),
        0,
        1,
        size,
        "end of data",
    )


@times(100)
@given(st.lists(st.floats(-50, 50) | st.just(-math.inf), min_size=1, max_size=6), st.integers(0, 2))
def test_dimension_and_entropy_are_their_definitions(values: list[float], missing: int) -> None:
    found = described(values, len(values) + missing)
    ordered = sorted(values, reverse=True)
    sums = np.cumsum(ordered)
    below = next((j for j in range(len(sums)) if sums[j] < 0), None)
    if below is None:
        assert found.dimension == (None if missing else len(values))
    else:
        expected = below + (sums[below - 1] / -ordered[below] if below else 0.0)
        assert found.dimension == pytest.approx(expected)
        assert below <= expected <= below + 1
    above = [value for value in values if value > 0]
    if len(above) == len(values) and missing:
        assert found.entropy_rate is None
    else:
        assert found.entropy_rate == pytest.approx(sum(above))
    assert found.largest == ordered[0]


@times(25)
@given(drafts(gain=st.sampled_from([1.0, 0.3, 2.0])), st.integers(1, 9), batches, layouts)
def test_factors_sum_to_the_whole(draft: Draft, steps: int, batch: int, layout: str) -> None:
    """And, with a loss at the last step alone and one sample, along the way to the credit curve."""
    draft.last = True
    net = Net(draft)
    flow = bptt.measure(net, net.x(steps, batch, layout), loss=squared)
    for site in flow:
        found = site.attribution
        if found is None:
            continue
        assert found.total.shape == (max(steps - 1, 0),)
        assert torch.equal(
            (found.weights + found.slope + found.gates).nan_to_num(7.0), found.total.nan_to_num(7.0)
        )
        if found.by_gate:
            together = torch.stack(list(found.by_gate.values())).sum(0)
            torch.testing.assert_close(
                together, found.gates, rtol=1e-12, atol=1e-12, equal_nan=True
            )
        if site.kind.startswith("rnn"):  # with gates it is the whole candidate's stage
            assert bool((found.slope.nan_to_num(0.0) <= 1e-6).all())
        mean = found.per_step()
        if not math.isnan(mean["total"]):
            assert mean["total"] == pytest.approx(
                mean["weights"] * mean["slope"] * mean["gates"], rel=1e-9
            )
        alone = batch == 1 and not draft.bidirectional and draft.layers == 1
        if alone and site.log_credit is not None and bool(found.total.isfinite().all()):
            digits = 1e-8 if draft.dtype is torch.float64 else 1e-3
            torch.testing.assert_close(
                found.total.flip(0).cumsum(0), site.log_credit[1:], rtol=digits, atol=digits * steps
            )


@times(60)
@given(
    st.integers(1, 6), st.floats(0.05, 2), st.integers(1, 60), st.floats(1e-9, 1), st.integers(0, 99), layouts
)  # fmt: skip
def test_theory_bounds_what_powers_of_the_weights_do(
    size: int, scale: float, steps: int, threshold: float, seed: int, layout: str
) -> None:
    w = torch.randn(size, size, generator=torch.Generator().manual_seed(seed)) * scale
    w = laid(w, "plain" if "row" in layout else layout)
    found = Theory.of(w, steps)
    assert found.radius <= found.norm * (1 + 1e-6)
    assert len(found.linear) == steps
    assert (found.bound is None) == (found.norm >= 1)
    if found.bound is None:
        assert found.farthest(threshold) is None
        return
    power = torch.eye(size, dtype=torch.float64)
    for bound in found.bound.tolist():
        assert float(torch.linalg.matrix_norm(power, 2)) <= bound * (1 + 1e-6) + 1e-300
        power = power @ w.double()
    lag = found.farthest(threshold)
    assert lag is not None
    assert found.norm ** (lag + 1) <= threshold * (1 + 1e-9)
    assert lag == 0 or found.norm**lag >= threshold * (1 - 1e-9)


@times(60)
@given(
    st.dictionaries(st.text(max_size=5), st.integers(), max_size=5),
    st.dictionaries(st.text(max_size=5), st.text(max_size=5)),
)
def test_results_by_site_are_a_mapping(found: dict[str, int], aliases: dict[str, str]) -> None:
    aliases = {name: to for name, to in aliases.items() if to in found and name not in found}
    by_site = BySite(found, aliases)
    assert dict(by_site) == found
    assert by_site.sites == list(found)
    for name in {*found, *aliases, "", "l0"}:
        if name in by_site:
            assert by_site[name] == found[aliases.get(name, name)]
        else:
            with pytest.raises(bptt.BpttError, match="the sites are"):
                by_site[name]
