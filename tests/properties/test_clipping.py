"""Clipping: bounds that hold, directions that stay, values that are not touched, histories that are remembered."""

import itertools
import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

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
from clippers import nothing_is_left
from properties.drawn import laid, layouts, times

__all__ = ["nothing_is_left"]  # a fixture that every test here uses

DTYPES = [torch.float32, torch.float64, torch.bfloat16]
DIGITS = {torch.float32: 1e-5, torch.float64: 1e-11, torch.bfloat16: 2e-2}
limits = st.floats(1e-6, 1e6) | st.sampled_from([1e-18, 1.0, 1e30])
norms = st.lists(st.floats(1e-3, 1e3) | st.floats(0, 1e308) | st.just(0.0), min_size=1, max_size=30)
some = times(60)


@st.composite
def gradients(draw: st.DrawFn, dtypes: list[torch.dtype] = DTYPES) -> list[nn.Parameter]:
    """Parameters of any shape whose gradients lie in any layout, large, small and zero; some have none."""
    dtype, generator = (
        draw(st.sampled_from(dtypes)),
        torch.Generator().manual_seed(draw(st.integers(0, 99))),
    )
    shape = st.lists(st.integers(0, 4), max_size=3).map(tuple)
    found = []
    for size in draw(st.lists(shape, min_size=1, max_size=4)):
        parameter = nn.Parameter(
            torch.randn(size, generator=generator, dtype=torch.float64).to(dtype)
        )
        if draw(st.integers(0, 4)):
            scale = draw(st.sampled_from([0.0, 1e-12, 0.1, 1.0, 50.0, 1e12]))
            grad = (scale * torch.randn(size, generator=generator, dtype=torch.float64)).to(dtype)
            parameter.grad = (
                laid(grad, draw(layouts.filter(lambda each: "row" not in each))) if size else grad
            )
        found.append(parameter)
    return found


def vector(parameters: list[nn.Parameter]) -> Tensor:
    """All gradients, one after the other, in float64."""
    parts = [p.grad.detach().double().flatten() for p in parameters if p.grad is not None]
    return torch.cat([*parts, torch.zeros(0, dtype=torch.float64)])


@some
@given(gradients(), limits)
def test_a_norm_is_bounded_and_its_direction_stays(held: list[nn.Parameter], limit: float) -> None:
    before, digits = vector(held), DIGITS[held[0].dtype]
    done = Clipper(ClipNorm(limit)).clip(held)
    after, size = vector(held), float(before.norm())
    assert done.norm == pytest.approx(size, rel=digits)
    assert float(after.norm()) <= limit * (1 + digits)
    if size <= limit * (1 - digits) - 1e-6:
        assert torch.equal(after, before)
        assert done.factor == 1.0
    elif held[0].dtype is not torch.bfloat16 and size < 1e30:
        room = max(size, 1e-30) * 10 * digits
        torch.testing.assert_close(
            after, done.factor * before, rtol=10 * digits, atol=room * done.factor + 1e-44
        )
    assert 0 <= done.factor <= 1


@some
@given(gradients(), limits)
def test_values_are_cut_and_no_others(held: list[nn.Parameter], limit: float) -> None:
    before = vector(held)
    done = Clipper(ClipValue(limit)).clip(held)
    after, digits = vector(held), DIGITS[held[0].dtype]
    bound = float(torch.tensor(limit, dtype=held[0].dtype))
    assert torch.equal(after, before.clamp(-bound, bound))
    if (size := float(before.norm())) > 0:
        assert done.factor == pytest.approx(float(after.norm()) / size, rel=digits, abs=1e-30)


@some
@given(gradients(), st.floats(1e-3, 10), st.floats(1e-4, 1))
def test_every_unit_is_bounded_by_its_weights(
    held: list[nn.Parameter], factor: float, least: float
) -> None:
    before = [None if p.grad is None else p.grad.detach().clone() for p in held]
    Clipper(AGC(factor, least)).clip(held)
    digits = DIGITS[held[0].dtype]
    for weight, was in zip(held, before, strict=True):
        if was is None or weight.grad is None:
            assert was is weight.grad
            continue
        units = range(len(was)) if was.dim() > 1 else [slice(None)]
        for unit in units:
            rows = (t.detach().double() for t in (weight, was, weight.grad))
            w, g, now = (row[unit] if row.dim() else row for row in rows)
            limit = factor * max(float(w.norm()), least)
            size = float(g.norm())
            assert float(now.norm()) <= limit * (1 + digits)
            if size <= limit * (1 - digits):
                assert torch.equal(now, g)
            else:
                torch.testing.assert_close(
                    now, g * (limit / size), rtol=2 * digits, atol=limit * digits
                )


@some
@given(norms, st.floats(0.1, 100), st.none() | st.integers(1, 9))
def test_autoclip_is_the_percentile_of_what_was_seen(
    seen: list[float], percentile: float, window: int | None
) -> None:
    method = AutoClip(percentile, window)
    kept: list[float] = []
    for norm in seen:
        kept = [*kept, norm][-window if window else 0 :] if norm > 0 else kept
        expected = np.percentile(kept, percentile) if kept else norm
        assert method.limit(norm) == pytest.approx(expected, rel=1e-9, abs=1e-300)


@some
@given(norms, st.floats(0.1, 5), st.floats(0.1, 0.99), st.integers(2, 6))
def test_zclip_lets_the_usual_pass_and_bounds_the_rest(
    seen: list[float], z: float, alpha: float, warmup: int
) -> None:
    method = ZClip(z, alpha, warmup)
    for n, norm in enumerate(seen):
        mean = method.mean
        limit = method.limit(norm)
        assert not math.isnan(limit)
        assert limit >= 0
        if n < warmup or norm <= mean:
            assert limit == math.inf
        elif limit < norm:
            assert limit >= mean
    assert math.isnan(method.mean) == (len(seen) < warmup)
    if len(seen) >= warmup:
        assert 0 <= method.variance < math.inf


METHODS = st.sampled_from([
    lambda: ClipNorm(0.5), lambda: ClipValue(0.05), lambda: AGC(0.1), lambda: AutoClip(50),
    lambda: AutoClip(20, 3), lambda: ZClip(warmup=3),
])  # fmt: skip


@some
@given(METHODS, st.lists(gradients([torch.float64]), min_size=2, max_size=6), st.integers(1, 5))
def test_a_clipper_goes_on_where_its_state_was_taken(
    make: Any, updates: list[list[nn.Parameter]], cut: int
) -> None:
    """And counts what it did."""
    method: Method = make()
    whole, first = Clipper(method), Clipper(make())
    for parameter in itertools.chain(*updates):  # laid out as copies of them are
        parameter.grad = None if parameter.grad is None else parameter.grad.clone()
    copies = [[p.grad.clone() if p.grad is not None else None for p in held] for held in updates]
    done = [whole.clip(held) for held in updates]
    assert whole.clipped == sum(each.factor < 1 for each in done)
    assert whole.updates == sum(
        any(p.grad is not None and p.grad.numel() for p in held) for held in updates
    )
    after = [vector(held) for held in updates]
    for held, grads in zip(updates, copies, strict=True):
        for parameter, grad in zip(held, grads, strict=True):
            parameter.grad = grad
    again = [first.clip(held) for held in updates[:cut]]
    second = first.again()
    second.load_state_dict(first.state_dict())
    again += [second.clip(held) for held in updates[cut:]]
    assert again == done
    assert all(torch.equal(vector(held), was) for held, was in zip(updates, after, strict=True))
    assert str(second.state_dict()) == str(whole.state_dict())


@some
@given(
    st.lists(
        st.floats(0, 1e300) | st.floats(1e-3, 10) | st.sampled_from([math.inf, math.nan, 5e-324]),
        max_size=40,
    )
)
def test_a_proposal_is_a_threshold_near_the_usual(seen: list[float]) -> None:
    usable = [norm for norm in seen if 0 < norm < math.inf]
    if len(usable) < 8:
        with pytest.raises(RemedyError, match="expected 8"):
            propose(seen)
        return
    found = propose(seen)
    assert 0 < found.max_norm < math.inf
    assert min(usable) <= found.usual <= max(usable)
    assert 0 <= found.share <= 0.5
    ClipNorm(found.max_norm)
    if 1e-300 < found.usual < 1e300:
        assert 1.4 * found.usual <= found.max_norm <= 10.6 * found.usual
