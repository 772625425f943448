"""The compiled clipping of units against its formula, and where it leaves everything as it was."""

import math

import pytest
import torch
from torch import Tensor

from bptt.kernels import available, clip_units

pytestmark = pytest.mark.skipif(not available(), reason="the compiled recurrence is not built here")

SHAPES = [(1,), (7,), (3, 1), (5, 16), (4, 17), (2, 3, 4), (28, 7)]


def drawn(dtype: torch.dtype, size: float = 1.0) -> tuple[list[Tensor], list[Tensor]]:
    torch.manual_seed(0)
    weights = [torch.randn(shape, dtype=dtype) for shape in SHAPES]
    weights[-1][3] = 0.0  # such a unit counts as `least`
    return weights, [size * torch.randn(shape, dtype=dtype) for shape in SHAPES]


@pytest.mark.parametrize(("dtype", "digits"), [(torch.float32, 1e-6), (torch.float64, 1e-14)])
@pytest.mark.parametrize("size", [0.0, 1e-3, 1.0, 1e8])
def test_it_is_the_formula(dtype: torch.dtype, digits: float, size: float) -> None:
    weights, grads = drawn(dtype, size)
    before = [grad.double().clone() for grad in grads]
    expected = []
    for w, g in zip(weights, before, strict=True):
        rows = (len(g), -1) if g.dim() > 1 else (1, -1)
        limit = 0.1 * w.double().reshape(rows).norm(dim=1).clamp_min(1e-3)
        factor = (limit / g.reshape(rows).norm(dim=1).clamp_min(1e-6)).clamp_max(1.0)
        expected.append((g.reshape(rows) * factor[:, None]).view_as(g))
    norms = clip_units(weights, grads, 0.1, 1e-3)
    assert norms is not None
    for found, wanted in zip(grads, expected, strict=True):
        torch.testing.assert_close(found.double(), wanted, rtol=digits, atol=0)
    for norm, of in zip(norms, (before, expected), strict=True):
        assert norm == pytest.approx(float(torch.cat([g.flatten() for g in of]).norm()), rel=1e-6)


def test_a_gradient_within_its_bound_keeps_every_bit() -> None:
    weights, grads = drawn(torch.float32, 1e-6)
    before = [grad.clone() for grad in grads]
    assert clip_units(weights, grads, 1.0, 1e-3) is not None
    assert all(map(torch.equal, grads, before))


def test_tensors_without_numbers_are_passed_over() -> None:
    empty = [torch.zeros(0, 4), torch.zeros(3, 0), torch.ones(2)]
    assert clip_units(empty, [each.clone() for each in empty], 1.0, 1e-3) == pytest.approx(
        (2**0.5,) * 2
    )


@pytest.mark.parametrize(
    "odd", ["nan", "inf", "huge", "strided", "half", "mixed", "sparse", "meta", "large", "none"]
)
def test_what_it_is_not_for_is_left_alone(odd: str) -> None:
    weight, grad = torch.ones(4, 8), torch.full((4, 8), 3.0)
    if odd in ("nan", "inf"):
        grad[1, 2] = float(odd)
    elif odd == "huge":
        grad[1, 2] = 1e20
    elif odd == "strided":
        grad = torch.full((8, 4), 3.0).t()
    elif odd == "half":
        weight, grad = weight.bfloat16(), grad.bfloat16()
    elif odd == "mixed":
        grad = grad.double()
    elif odd == "sparse":
        grad = grad.to_sparse()
    elif odd == "meta":
        weight, grad = weight.to("meta"), grad.to("meta")
    elif odd == "large":
        weight, grad = torch.ones(512, 1024), torch.full((512, 1024), 3.0)
    pair = ([], []) if odd == "none" else ([weight], [grad])
    before = None if odd == "meta" else grad.clone()
    assert clip_units(*pair, 0.1, 1e-3) is None
    assert before is None or torch.equal(
        grad.to_dense().nan_to_num(7.0), before.to_dense().nan_to_num(7.0)
    )


def test_the_operator_refuses_what_does_not_fit() -> None:
    clip = torch.ops.bptt.clip_units
    with pytest.raises(RuntimeError, match="another shape"):
        clip(torch.ones(2, 3), torch.ones(3, 2), 0.1, 1e-3, 1e-6)
    with pytest.raises(RuntimeError, match="contiguous on the CPU and of one dtype"):
        clip(torch.ones(2, 3), torch.ones(2, 3, dtype=torch.float64), 0.1, 1e-3, 1e-6)
    with pytest.raises(RuntimeError, match="expected float32 or float64"):
        clip(torch.ones(2, 3).half(), torch.ones(2, 3).half(), 0.1, 1e-3, 1e-6)
    assert clip(torch.tensor(2.0), torch.tensor(8.0), 0.5, 1e-3, 1e-6) == (64.0, 1.0)
    assert math.isnan(clip(torch.ones(2), torch.full((2,), math.nan), 0.5, 1e-3, 1e-6)[0])
