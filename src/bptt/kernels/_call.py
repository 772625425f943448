"""What every engine is told about one layer in one direction."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor

from bptt._errors import BpttError

GATES = {"rnn_tanh": 1, "rnn_relu": 1, "gru": 3, "lstm": 4}
"""G of each cell; the order is the native library's numbering."""


@dataclass(frozen=True)
class Rows:
    """Where the steps lie in arrays of N rows, a row being one sample at one step.

    Rows are ordered by step. `batch_sizes` is None where all B samples have T steps, so that N = T·B; else it is
    PackedSequence's: the number of samples that still run at each step, samples sorted by falling length.
    """

    T: int
    B: int
    batch_sizes: Tensor | None = None

    @cached_property
    def N(self) -> int:
        """Rows in all."""
        return self.T * self.B if self.batch_sizes is None else int(self.batch_sizes.sum())

    @cached_property
    def offset(self) -> Tensor | None:
        """`[T + 1]`, the first row of each step; None where it is `t B`."""
        if self.batch_sizes is None:
            return None
        return torch.cat([self.batch_sizes.new_zeros(1), self.batch_sizes.cumsum(0)])

    @cached_property
    def steps(self) -> list[slice]:
        """The rows of each step."""
        if self.offset is None:
            return [slice(t * self.B, (t + 1) * self.B) for t in range(self.T)]
        return [slice(a, b) for a, b in pairwise(self.offset.tolist())]

    def spread(self, rows: Tensor) -> Tensor:
        """`[N, …]` as `[T, B, …]`, zero where a sample has ended."""
        if self.offset is None:
            return rows.view(self.T, self.B, *rows.shape[1:])
        full = rows.new_zeros(self.T, self.B, *rows.shape[1:])
        for t, step in enumerate(self.steps):
            full[t, : step.stop - step.start] = rows[step]
        return full


@dataclass(frozen=True)
class Clip:
    """Clip `dL/dh_t` at every step of the backward pass (Graves, arXiv 1308.0850, 2013).

    `kind="value"` forces each value into `[-limit, limit]`; `kind="norm"` scales each sample's gradient to a norm of at
    most `limit`.
    """

    kind: str
    limit: float

    def __post_init__(self) -> None:
        if self.kind not in ("value", "norm"):
            raise BpttError(
                f"grad_clip's kind is {self.kind!r}; expected 'value' (each value into ±limit) or 'norm' (each "
                "sample's gradient scaled to a norm of at most limit)."
            )
        if not 0 < self.limit < float("inf"):
            raise BpttError(
                f"grad_clip's limit is {self.limit!r}; expected a positive, finite number. For no clipping give "
                "grad_clip=None."
            )


class StepGradients(NamedTuple):
    """Gradients at every step, as one backward pass met them. Samples are in the kernel's order.

    Where `dL/dh_t` is clipped, it is told from before its own step's clip; all else follows from clipped ones. Norms
    are `[T, B]`, `dh` and `e` are `[T, B, H]` or None, all zero where a sample has ended.
    """

    grad_h: Tensor
    """`‖dL/dh_t‖`"""
    grad_e: Tensor | None
    """`‖e_t‖`, the costate's second part: what reaches `c_t` not through `h_t`. LSTM only."""
    grad_c: Tensor | None
    """`‖dL/dc_t‖`, both parts together. LSTM only."""
    dh: Tensor | None
    e: Tensor | None


class Inputs(NamedTuple):
    """What the layer is differentiated by. `x` is `[N, I]`, states are `[B, H]`; None where there is none.

    With `Call.tokens`, `x` is ids `[N]` and `w_ih` a table of pre-activations `[V, G·H]`, the input's bias included.
    """

    x: Tensor
    w_ih: Tensor
    w_hh: Tensor
    b_ih: Tensor | None = None
    b_hh: Tensor | None = None
    h0: Tensor | None = None
    c0: Tensor | None = None


@dataclass(frozen=True)
class Call:
    """One layer in one direction.

    `tokens`: the input is ids `[N]` and the input weights are a table of pre-activations `[V, G·H]`, one row a symbol.
    `sink` receives the step gradients in the backward pass, values too if `values`. `count` receives the number of rows
    that the clip changed. `bf16`: all products on operands rounded to bfloat16; native only.
    """

    cell: str
    rows: Rows
    reverse: bool = False
    clip: Clip | None = None
    sink: Callable[[StepGradients], None] | None = None
    values: bool = False
    count: Callable[[int], None] | None = None
    tokens: bool = False
    bf16: bool = False

    @property
    def G(self) -> int:
        """Gates."""
        return GATES[self.cell]

    def report(self, norms: Tensor, dh: Tensor | None, e: Tensor | None) -> None:
        """Hand `norms` `[3, N]` and values `[N, H]` to the sink."""
        if self.sink is None:
            return
        lstm, rows, spread = self.cell == "lstm", self.rows, self.rows.spread
        if rows.batch_sizes is None:
            h, e_norm, c = norms.view(3, rows.T, rows.B).unbind()
        else:
            h, e_norm, c = map(spread, norms)
        self.sink(
            StepGradients(
                h,
                e_norm if lstm else None,
                c if lstm else None,
                None if dh is None else spread(dh),
                None if e is None else spread(e),
            )
        )
