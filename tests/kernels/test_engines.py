"""The compiled layer against the reference: the laws over cells, shapes, directions and precisions."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bptt.kernels import Clip, available
from layers import CELLS, Case, run, worst

pytestmark = pytest.mark.skipif(not available(), reason="the compiled recurrence is not built here")

# Largest error relative to the largest value of each tensor; sums of up to some hundred terms.
TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-12}


@st.composite
def cases(draw: st.DrawFn) -> Case:
    lengths = draw(st.none() | st.lists(st.integers(1, 9), min_size=1, max_size=9))
    return Case(
        draw(st.sampled_from(CELLS)),
        T=draw(st.integers(1, 17)),
        B=draw(st.integers(1, 19)),
        I=draw(st.integers(1, 40)),
        H=draw(st.one_of(st.integers(1, 40), st.sampled_from([63, 64, 65, 96, 130]))),
        lengths=None if lengths is None else tuple(sorted(lengths, reverse=True)),
        reverse=draw(st.booleans()),
        bias=draw(st.booleans()),
        start=draw(st.booleans()),
        tokens=draw(st.booleans()),
        clip=draw(
            st.none() | st.builds(Clip, st.sampled_from(["value", "norm"]), st.floats(0.01, 3))
        ),
        seed=draw(st.integers(0, 1000)),
    )


@settings(max_examples=150)
@given(cases())
def test_native_equals_reference_in_float64(case: Case) -> None:
    error, name = worst(run(case, "native"), run(case, "reference"))
    assert error < TOLERANCE[torch.float64], (name, case)


@settings(max_examples=60)
@given(cases())
def test_float32_is_close_to_float64(case: Case) -> None:
    found = run(case, "native", torch.float32)
    expected = run(case, "reference")
    if case.clip:  # whether a value near the limit is clipped may differ between precisions
        found.pop("clipped")
        expected.pop("clipped")
    error, name = worst(found, expected)
    assert error < (1e-4 if case.cell == "rnn_relu" else TOLERANCE[torch.float32]), (name, case)


SHAPES = [
    Case("rnn_tanh", T=1, B=1, I=1, H=1),
    Case("rnn_tanh", T=63, B=3, I=4, H=64),
    Case("gru", T=15, B=8, I=33, H=48),
    Case("lstm", T=5, B=37, I=16, H=31),
    Case("lstm", T=9, B=2, I=3, H=260),  # both threads share each step
    Case("gru", T=9, B=1, I=3, H=300, lengths=(9, 4, 4)),
    Case("rnn_relu", T=4, B=70, I=9, H=128, reverse=True),
]


@pytest.mark.parametrize("case", SHAPES, ids=str)
def test_awkward_sizes(case: Case) -> None:
    error, name = worst(run(case, "native"), run(case, "reference"))
    assert error < TOLERANCE[torch.float64], name


@pytest.mark.parametrize("case", SHAPES, ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_thread_count_changes_no_bit(case: Case, dtype: torch.dtype) -> None:
    threads = torch.get_num_threads()
    try:
        found = []
        for count in (1, 2, 3):
            torch.set_num_threads(count)
            found.append(run(case, "native", dtype))
    finally:
        torch.set_num_threads(threads)
    for other in found[1:]:
        for name, value in found[0].items():
            if name.startswith("grad_"):  # norms: members of a team add their shares up
                torch.testing.assert_close(other[name], value)
            else:
                assert torch.equal(other[name], value), name


@pytest.mark.parametrize("isa", ["baseline", "avx2", "avx512", "avx512bf16"])
@pytest.mark.parametrize("products", ["own", "torch"])
def test_every_instruction_set(isa: str, products: str) -> None:
    """Every compiled variant, in a process of its own, against the reference."""
    script = Path(__file__).with_name("compare.py")
    environment = {**os.environ, "BPTT_ISA": isa, "BPTT_PRODUCTS": products}
    environment["PYTHONPATH"] = str(script.parent.parent)
    done = subprocess.run(
        [sys.executable, script], env=environment, capture_output=True, text=True, check=False
    )
    if "is not to be had here" in done.stderr:
        pytest.skip(f"this processor has no {isa}")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith(f"{isa} ")


def test_unknown_instruction_set_is_refused() -> None:
    done = subprocess.run(
        [sys.executable, Path(__file__).with_name("compare.py")],
        env={**os.environ, "BPTT_ISA": "sse9", "PYTHONPATH": str(Path(__file__).parents[1])},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode != 0
    assert "expected baseline, avx2, avx512 or avx512bf16" in done.stderr


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_nan_and_infinity_are_kept(cell: str, bad: float) -> None:
    """A sample with a NaN stays NaN from there on; the others are untouched."""
    case = Case(cell, T=5, B=3, H=20)
    from bptt.kernels import Call, layer

    inputs = case.inputs(torch.float32)
    x = inputs.x.detach().clone()
    x[2 * 3 + 1] = bad  # step 2, sample 1
    found = [
        layer(Call(cell, case.rows()), inputs._replace(x=x), engine)[0].detach().view(5, 3, 20)
        for engine in ("native", "reference")
    ]
    torch.testing.assert_close(found[0], found[1], equal_nan=True, rtol=1e-5, atol=1e-5)
    assert not found[0][:, [0, 2]].isnan().any()
    if bad != bad:
        assert found[0][2:, 1].isnan().all()


def test_denormals_are_flushed_inside_only() -> None:
    """The kernel's arithmetic flushes them; the caller's keeps them afterwards."""
    tiny = torch.tensor(1e-40)
    run(Case("lstm", T=3), "native", torch.float32)
    assert float(tiny * 0.5) > 0
    found = torch.ops.bptt.activation(torch.full((4,), 1e-40), False)
    assert torch.equal(found, torch.zeros(4))


@pytest.mark.parametrize(("dtype", "limit"), [(torch.float32, 3.0), (torch.float64, 3.0)])
@pytest.mark.parametrize("sigmoid", [False, True])
def test_activations_within_three_ulp(dtype: torch.dtype, limit: float, sigmoid: bool) -> None:
    mpmath = pytest.importorskip("mpmath")
    x = torch.cat([torch.logspace(-20, 4.4, 1500, base=2, dtype=dtype)] * 2)
    x[:1500] *= -1
    found = torch.ops.bptt.activation(x, sigmoid)
    with mpmath.workdps(40):
        function = (lambda v: 1 / (1 + mpmath.exp(-v))) if sigmoid else mpmath.tanh
        for value, got in zip(x.tolist(), found, strict=True):
            exact = function(mpmath.mpf(value))
            nearest = torch.tensor(float(exact), dtype=dtype)
            ulp = float(
                torch.nextafter(nearest.abs(), torch.tensor(10.0, dtype=dtype)) - nearest.abs()
            )
            assert abs(mpmath.mpf(float(got)) - exact) <= limit * ulp, value


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("case", [Case("", T=9, B=5, I=7, H=33), Case("", T=40, B=8, I=64, H=128)])
def test_bfloat16_stays_within_two_percent(cell: str, case: Case) -> None:
    """Operands have 8 bits. Errors are measured against the largest value of their tensor."""
    case = replace(case, cell=cell, tokens=False)
    found = run(case, "native", torch.float32, bf16=True)
    expected = run(case, "reference")
    names = ("y", "h") if cell == "rnn_relu" else expected  # rounding may flip a ReLU's slope
    for name in names:
        exact = expected[name]
        assert (found[name] - exact).abs().max() < 0.02 * exact.abs().max(), name
    plain = run(case, "native", torch.float32)
    assert not torch.equal(plain["y"], found["y"])


@settings(max_examples=40)
@given(st.integers(1, 150), st.integers(1, 150), st.integers(1, 600), st.booleans(), st.booleans())
def test_own_product(M: int, N: int, K: int, a_turned: bool, b_turned: bool) -> None:
    a = (
        torch.randn(K, M, dtype=torch.float64).t()
        if a_turned
        else torch.randn(M, K, dtype=torch.float64)
    )
    b = (
        torch.randn(N, K, dtype=torch.float64).t()
        if b_turned
        else torch.randn(K, N, dtype=torch.float64)
    )
    torch.testing.assert_close(torch.ops.bptt.product(a, b), a @ b, rtol=1e-12, atol=1e-11)
