"""The same layer as loops over `bptt.cells`: what every other engine is tested against.

Nothing is differentiated by autograd here; the backward pass is the cell's own, step by step.
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from bptt.cells import CELLS, State, Weights, at
from bptt.kernels._call import Call, Clip, Inputs


def run(call: Call, inputs: Inputs) -> tuple[Tensor, ...]:
    """`(y [N, H], h [B, H])`, and `c [B, H]` for an LSTM."""
    if torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in inputs):
        return _Layer.apply(call, *inputs)  # type: ignore[no-any-return]
    return differentiable(call, inputs)


def _start(call: Call, v: Inputs) -> State:
    zeros = v.w_hh.new_zeros(call.rows.B, v.w_hh.shape[1])
    h0 = zeros if v.h0 is None else v.h0
    if call.cell != "lstm":
        return (h0,)
    return h0, zeros if v.c0 is None else v.c0


def _inputs(call: Call, v: Inputs) -> tuple[Tensor, Weights]:
    """The input rows and the weights; looking a token up is a product with the unit matrix."""
    if not call.tokens:
        return v.x, Weights(v.w_ih, v.w_hh, v.b_ih, v.b_hh)
    rows = F.embedding(v.x, v.w_ih)
    unit = torch.eye(rows.shape[1], dtype=rows.dtype)
    return rows, Weights(unit, v.w_hh, None, v.b_hh)


def _order(call: Call) -> list[int]:
    return list(range(call.rows.T))[:: -1 if call.reverse else 1]


def _states(call: Call, v: Inputs) -> tuple[dict[int, State], State]:
    """The state of the running samples after each step, and of all samples at the end."""
    cell, (x, weights) = CELLS[call.cell], _inputs(call, v)
    state, after = _start(call, v), {}
    for t in _order(call):
        rows = call.rows.steps[t]
        n = rows.stop - rows.start
        after[t] = cell.step(x[rows], tuple(s[:n] for s in state), weights)
        state = tuple(torch.cat([new, s[n:]]) for new, s in zip(after[t], state, strict=True))
    return after, state


def differentiable(call: Call, v: Inputs) -> tuple[Tensor, ...]:
    """The layer's outputs, by operations that autograd can follow."""
    after, end = _states(call, v)
    return torch.cat([after[t][0] for t in range(call.rows.T)]), *end


class _Layer(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, call: Call, *inputs: Any) -> tuple[Tensor, ...]:
        ctx.call = call
        ctx.save_for_backward(*inputs)
        return differentiable(call, Inputs(*inputs))

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *grads: Any) -> tuple[Any, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        walk = _Walk(ctx.call, Inputs(*ctx.saved_tensors))
        found = walk.back(*grads)
        return (
            None,
            *(g if want else None for g, want in zip(found, ctx.needs_input_grad[1:], strict=True)),
        )


def _norm(values: Tensor) -> Tensor:
    """Of each row; summed in double, as a float's square may be too small for a float."""
    norm = torch.linalg.vector_norm(values, dim=1, dtype=torch.float64)
    return norm.to(values.dtype)


class _Walk:
    """The backward pass of one layer, one step at a time."""

    def __init__(self, call: Call, v: Inputs) -> None:
        self.call, self.v, self.cell = call, v, CELLS[call.cell]
        self.x, self.weights = _inputs(call, v)
        self.after, _ = _states(call, v)
        N, H = call.rows.N, v.w_hh.shape[1]
        self.d_ih = v.w_hh.new_zeros(N, call.G * H)  # gradients of W_ih x + b_ih
        self.d_hh = v.w_hh.new_zeros(N, call.G * H)  # and of W_hh h + b_hh
        self.h_before = v.w_hh.new_zeros(N, H)
        self.norms = v.w_hh.new_zeros(3, N)
        self.dh, self.e = v.w_hh.new_zeros(N, H), v.w_hh.new_zeros(N, H)
        self.clipped = 0

    def back(self, dy: Tensor, *d_end: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients of `Inputs`, from those of the outputs."""
        costate = d_end
        for t in reversed(_order(self.call)):
            rows = self.call.rows.steps[t]
            n = rows.stop - rows.start
            arrived = (costate[0][:n] + dy[rows], *(part[:n] for part in costate[1:]))
            before = self.step(t, rows, arrived)
            costate = tuple(
                torch.cat([new, old[n:]]) for new, old in zip(before, costate, strict=True)
            )
        if self.call.clip and self.call.count:
            self.call.count(self.clipped)
        values = self.call.values
        self.call.report(
            self.norms, self.dh if values else None, self.e if values and len(costate) > 1 else None
        )
        return *self.gradients(), *costate, *((None,) * (2 - len(costate)))

    def step(self, t: int, rows: slice, arrived: State) -> State:
        """One step of the cell's derivative; keeps the pre-activations' gradients."""
        n = rows.stop - rows.start
        before = self.state_before(t, n)
        gates = self.cell.gates(self.x[rows][None], before, self.after[t][0][None], self.weights)
        local = at(self.cell.local(gates), 0)
        costate = self.clip(arrived)
        self.note(rows, arrived, self.cell.total_c(local, costate, self.weights))
        d = self.cell.preactivation_grad(local, costate, self.weights)
        self.d_ih[rows], self.h_before[rows] = d, before[0]
        if self.call.cell == "gru":  # the candidate's product with h is scaled by r
            d_r, d_z, d_n = d.chunk(3, -1)
            d = torch.cat([d_r, d_z, d_n * gates.r[0]], -1)
        self.d_hh[rows] = d
        return self.cell.pull(local, costate, self.weights)

    def state_before(self, t: int, n: int) -> State:
        start = tuple(part[:n] for part in _start(self.call, self.v))
        earlier = self.after.get(t + 1 if self.call.reverse else t - 1)
        if earlier is None:
            return start
        m = min(n, len(earlier[0]))
        return tuple(torch.cat([e[:m], s[m:]]) for e, s in zip(earlier, start, strict=True))

    def note(self, rows: slice, arrived: State, total_c: Tensor | None) -> None:
        self.dh[rows], self.norms[0, rows] = arrived[0], _norm(arrived[0])
        if total_c is not None:
            self.e[rows], self.norms[1, rows] = arrived[1], _norm(arrived[1])
            self.norms[2, rows] = _norm(total_c)

    def clip(self, costate: State) -> State:
        clip: Clip | None = self.call.clip
        if clip is None:
            return costate
        dh = costate[0]
        if clip.kind == "value":
            bounded, over = dh.clamp(-clip.limit, clip.limit), (dh.abs() > clip.limit).any(1)
        else:
            norm = _norm(dh)[:, None]
            over = (norm > clip.limit).squeeze(1)
            bounded = torch.where(norm > clip.limit, dh * (clip.limit / norm), dh)
        self.clipped += int(over.sum())
        return bounded, *costate[1:]

    def gradients(self) -> tuple[Tensor | None, ...]:
        """Sums over all steps: of `x`, the weights and the biases."""
        v, call = self.v, self.call
        d_w_hh, d_b_hh = self.d_hh.t() @ self.h_before, self.d_hh.sum(0)
        if call.tokens:
            d_x, d_w_ih = None, v.w_ih.new_zeros(v.w_ih.shape).index_add_(0, v.x, self.d_ih)
        else:
            d_x, d_w_ih = self.d_ih @ v.w_ih, self.d_ih.t() @ v.x
        return (
            d_x,
            d_w_ih,
            d_w_hh,
            None if v.b_ih is None else self.d_ih.sum(0),
            None if v.b_hh is None else d_b_hh,
        )
