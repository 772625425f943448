"""The registered operators by themselves: torch's own checks, and what they refuse."""

from typing import Any

import pytest
import torch
from torch import library

from bptt.kernels import Call, Inputs, Rows, available, layer
from layers import CELLS, Case

pytestmark = pytest.mark.skipif(not available(), reason="the compiled recurrence is not built here")


def forward_arguments(case: Case, dtype: torch.dtype) -> list[Any]:
    v = [None if t is None else t.detach() for t in case.inputs(dtype)]
    rows = case.rows()
    return [
        CELLS.index(case.cell),
        *v,
        rows.T,
        rows.B,
        rows.offset,
        case.reverse,
        case.tokens,
        True,
        False,
    ]


def backward_arguments(case: Case, dtype: torch.dtype) -> list[Any]:
    cell, x, w_ih, w_hh, _, _, h0, c0, T, B, offset, reverse, tokens, *_ = forward_arguments(
        case, dtype
    )
    y, h, c, *kept = torch.ops.bptt.layer(*forward_arguments(case, dtype))
    dc = torch.randn_like(c) if case.cell == "lstm" else None
    return [
        cell, x, w_ih, w_hh, h0, c0, y, *kept, torch.randn_like(y), torch.randn_like(h), dc, T, B, offset,
        reverse, tokens, 2, 0.5, True, True, False, 30 if tokens else 31,
    ]  # fmt: skip


CASES = [
    *(Case(cell) for cell in CELLS),
    Case("gru", lengths=(5, 3, 3), reverse=True),
    Case("lstm", tokens=True),
    Case("rnn_tanh", bias=False, start=False),
]


@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_opcheck(case: Case, dtype: torch.dtype) -> None:
    """Schema, fake tensors and tracing, as torch checks them; the gradient is a Function's, not the operator's."""
    utilities = ("test_schema", "test_faketensor", "test_aot_dispatch_dynamic")
    library.opcheck(
        torch.ops.bptt.layer.default, tuple(forward_arguments(case, dtype)), test_utils=utilities
    )
    library.opcheck(
        torch.ops.bptt.layer_backward.default,
        tuple(backward_arguments(case, dtype)),
        test_utils=utilities,
    )


@pytest.mark.parametrize("case", CASES, ids=str)
def test_gradcheck(case: Case) -> None:
    inputs = case.inputs(torch.float64)
    call = Call(case.cell, case.rows(), case.reverse, tokens=case.tokens)
    wanted = [t for t in inputs if t is not None and t.requires_grad]

    def run(*given: torch.Tensor) -> tuple[torch.Tensor, ...]:
        rest = iter(given)
        filled: list[Any] = [next(rest) if t is not None and t.requires_grad else t for t in inputs]
        return layer(call, Inputs(*filled), "native")

    assert torch.autograd.gradcheck(run, wanted)


@pytest.mark.parametrize("cell", CELLS)
def test_gradgradcheck(cell: str) -> None:
    """A gradient of a gradient is that of the formula."""
    case = Case(cell, T=3, B=2, I=2, H=3)
    inputs = case.inputs(torch.float64)
    filled = [t for t in inputs if t is not None]
    call = Call(cell, case.rows())

    def run(*given: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return layer(call, Inputs(*given, *(None,) * (7 - len(given))), "native")

    assert torch.autograd.gradgradcheck(run, filled, atol=1e-4)


Change = dict[int, Any]
WRONG: list[tuple[Change, str]] = [
    ({0: 4}, "cell must be"),
    ({1: torch.zeros(17, 5)}, "x has 85 elements, expected 90"),
    ({1: torch.zeros(18, 5, dtype=torch.float64)}, "x has another dtype"),
    ({1: torch.zeros(5, 18).t()}, "x must be contiguous"),
    ({2: torch.zeros(28, 5, dtype=torch.float16), 3: torch.zeros(28, 7, dtype=torch.float16)}, "expected float32"),
    ({3: torch.zeros(28)}, "weights must be matrices"),
    ({4: torch.zeros(27)}, "b_ih has 27 elements, expected 28"),
    ({6: torch.zeros(2, 7)}, "h0 has 14 elements, expected 21"),
    ({8: 0}, "expected T > 0"),
    ({9: 0}, "expected T > 0 and B > 0"),
    ({10: torch.tensor([0, 3, 6])}, "offset has 3 elements, expected 7"),
    ({10: torch.tensor([0, 3, 4, 6, 9, 12, 18])}, "rows must not rise"),
    ({10: torch.tensor([0, 3, 3, 3, 3, 3, 3])}, "every step needs a row"),
    ({10: torch.tensor([1, 4, 7, 10, 13, 16, 19])}, "offset must start 0, B"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "message"), WRONG)
def test_bad_arguments_are_refused(change: Change, message: str) -> None:
    """Whatever reaches the operator, memory beyond an array is never touched."""
    arguments = forward_arguments(Case("lstm"), torch.float32)
    for place, value in change.items():
        arguments[place] = value
    with pytest.raises(RuntimeError, match=message):
        torch.ops.bptt.layer(*arguments)


@pytest.mark.parametrize("symbol", [-1, 5])
def test_symbols_beyond_the_table_are_refused(symbol: int) -> None:
    arguments = forward_arguments(Case("gru", tokens=True), torch.float32)
    arguments[1] = torch.full_like(arguments[1], symbol)
    with pytest.raises(RuntimeError, match=r"is not in 0 \.\. 4"):
        torch.ops.bptt.layer(*arguments)


def test_overlapping_and_strided_inputs() -> None:
    """Every layout of memory gives what a copy gives."""
    w_ih, w_hh = torch.randn(7, 4), torch.randn(7, 7) / 3
    base = torch.randn(1, 4).expand(12, 4)
    call = Call("rnn_tanh", Rows(4, 3))
    turned = w_hh.t().contiguous().t()
    expected = layer(call, Inputs(base.contiguous(), w_ih, w_hh), "native")[0]
    assert torch.equal(layer(call, Inputs(base, w_ih, turned), "native")[0], expected)
