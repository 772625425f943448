"""Lyapunov exponents that autograd can differentiate: the reference cell unrolled, its tangents kept apart by QR."""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from bptt.cells import CELLS, Cell, State, Weights, at
from bptt.flow.explain._frame import frame
from bptt.remedies._target import Layer, RemedyError, Target

NAMES = ("weight_ih", "weight_hh", "bias_ih", "bias_hh", "weight_hr")


class Weighted(NamedTuple):
    """A cell with the parameters of one layer, live ones."""

    cell: Cell
    w: Weights

    @property
    def sizes(self) -> list[int]:
        """Entries of each part of the state: H; for an LSTM P and H."""
        outputs = self.w.w_hh.shape[1]
        return [outputs, self.w.w_hh.shape[0] // 4] if self.cell.parts == 2 else [outputs]

    def parameters(self) -> list[Tensor]:
        """Those that are there."""
        return [p for p in self.w if p is not None]

    def to(self, dtype: torch.dtype) -> "Weighted":
        """The same in another precision; gradients go back to the parameters themselves."""
        return Weighted(self.cell, Weights(*(None if p is None else p.to(dtype) for p in self.w)))  # type: ignore[arg-type]


def weights_of(layer: Layer) -> Weighted:
    """A layer's cell and its parameters."""
    return Weighted(CELLS[layer.kind], Weights(*(layer.parameter(name) for name in NAMES)))  # type: ignore[arg-type]


def exponents_of(
    weighted: Weighted, x: Float[Tensor, "T B I"], start: State, *, k: int, warmup: int, every: int
) -> tuple[Float[Tensor, "B k"], Float[Tensor, "T B P"]]:
    """`λ_j = 1/(T - warmup) Σ log |R_t[j, j]|` of each sample, and the outputs; differentiable in weights and input."""
    cell, w = weighted
    state, outputs = start, []
    for x_t in x:
        state = cell.step(x_t, state, w)
        outputs.append(state[0])
    y = torch.stack(outputs)
    local = cell.local(cell.gates(x, start, y, w))
    q = frame(sum(weighted.sizes), k).to(x).expand(x.shape[1], -1, -1)
    grown = x.new_zeros(x.shape[1], k)
    for t in range(len(x)):
        here = at(local, t)
        one = type(here)(*(field.unsqueeze(1) for field in here))
        q = torch.cat(cell.push(one, tuple(q.split(weighted.sizes, -1)), w), -1)
        if (t + 1 - warmup) % every == 0 or t + 1 in (warmup, len(x)):
            columns, r = torch.linalg.qr(q.mT)
            q = columns.mT
            if t >= warmup:
                grown = grown + r.diagonal(dim1=-2, dim2=-1).abs().log()
    return grown / (len(x) - warmup), y


def penalty_of(
    weighted: Weighted, x: Tensor, start: State, *, k: int | None, warmup: int, every: int
) -> tuple[Tensor, Tensor]:
    """The mean of `λ²` over exponents and samples, and the exponents `[B, k]`; k None: half of the state."""
    k = max(1, sum(weighted.sizes) // 2) if k is None else k
    exponents, _ = exponents_of(weighted, x, start, k=k, warmup=warmup, every=every)
    return exponents.square().mean(), exponents


def lyapunov_penalty(
    module: nn.RNNBase,
    x: Float[Tensor, "T B I"],
    *,
    k: int | None = None,
    target: int | float = 0.0,
    warmup: int | None = None,
    every: int = 1,
) -> Tensor:
    """Mean of `(λ_j - target)²` over the first k Lyapunov exponents of each layer: a term to add to a loss.

        loss = criterion(model(x), y) + 0.1 * lyapunov_penalty(model.rnn, x[:60, :1])

    Differentiable in the module's parameters and in `x`, whatever kernel the module itself runs on: the cells are
    unrolled here. Dropout takes no part. Cost: T steps and T/every QRs of `[B, S, k]` a layer, forward and backward.

    Args:
        module: `nn.RNN` with tanh, `nn.GRU` or `nn.LSTM`, in one direction.
        x: `[T, B, I]` whatever `batch_first` says; start states are 0.
        k: how many exponents; half of the state's size if None.
        target: where to push them.
        warmup: steps before the mean begins; a tenth if None.
        every: steps between two QRs.

    Raises:
        RemedyError: a module of another kind, or a k or warm-up that does not fit.

    Example:
        >>> from bptt.remedies.regularisers import lyapunov_penalty
        >>> rnn = nn.RNN(2, 8)
        >>> value = lyapunov_penalty(rnn, torch.ones(30, 1, 2), k=4)
        >>> value.backward()
        >>> bool(value > 0), rnn.weight_hh_l0.grad.shape
        (True, torch.Size([8, 8]))

    Source: Engelken (2023), arXiv 2312.17306, equations 4 and 5.
    """
    if module.bidirectional or module.mode == "RNN_RELU":
        what = "is bidirectional" if module.bidirectional else "has ReLU units, which may have none"
        raise RemedyError(
            f"the module {what}; expected exponents of a tanh RNN, GRU or LSTM in one direction"
        )
    steps = len(x)
    warmup = steps // 10 if warmup is None else warmup
    terms = []
    for layer in Target(module).layers():
        weighted = weights_of(layer)
        size = sum(weighted.sizes)
        wanted = max(1, size // 2) if k is None else k
        if not (1 <= wanted <= size and 0 <= warmup < steps and every >= 1):
            raise RemedyError(
                f"k={wanted}, warmup={warmup}, every={every} for a state of {size}, {steps} steps: expected k from 1 "
                "to the size of the state, a warm-up shorter than the sequence, at least 1 step between two QRs"
            )
        start = tuple(x.new_zeros(x.shape[1], n) for n in weighted.sizes)
        found, x = exponents_of(weighted, x, start, k=wanted, warmup=warmup, every=every)
        terms.append((found - target).square().mean())
    return torch.stack(terms).mean()
