"""The brute-force twin of spectrum, Lyapunov exponents and attribution: dense Jacobians by autograd, one at a time.

Slow, float64, and readable in a minute; linear algebra is numpy's. Tests compare the fast ways with it.
"""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bptt.cells import CELLS, State, Weights
from bptt.flow.record._call import kind_of

Array = NDArray[Any]


def stack_jacobians(
    module: nn.RNNBase, x: Tensor, start: State | None = None, rows: list[int] | None = None
) -> Array:
    """`[T, B, S, S]` Jacobians of all layers' joint state, `∂s_t/∂s_{t-1}`, from one autograd pass for each row.

    The joint state is layer by layer, `(h, c)` for an LSTM. The diagonal block of a layer is its own step Jacobian:
    what the layer below hands up at the same step does not depend on it.

    Args:
        module: unidirectional layers, in any precision.
        x: `[T, B, I]`.
        start: `(h_0,)` or `(h_0, c_0)`, each `[L, B, ·]`; zeros if None.
        rows: of the joint state, all if None.
    """
    cell, w = CELLS[kind_of(module) or ""], _weights(module)
    state, found = _first(module, x, start), []
    for x_t in x.double():
        before = tuple(part.detach().requires_grad_() for part in state)
        after, below = [], x_t
        for layer in range(module.num_layers):
            own = before[layer * cell.parts : (layer + 1) * cell.parts]
            after += cell.step(below, own, w[layer])
            below = after[layer * cell.parts]
        joint = torch.cat(after, -1).sum(
            0
        )  # samples do not mix: one pass gives the row of every sample
        each = range(len(joint)) if rows is None else rows
        passes = [_row(joint[n], before) for n in each]
        found.append(torch.stack(passes, 1))
        state = tuple(after)
    return torch.stack(found).numpy()


def _row(out: Tensor, before: State) -> Tensor:
    return torch.cat(
        torch.autograd.grad(out, before, retain_graph=True, materialize_grads=True), -1
    )


def _weights(module: nn.RNNBase) -> list[Weights]:
    names = ["weight_ih", "weight_hh", "bias_ih", "bias_hh", "weight_hr"]
    layers = []
    for n in range(module.num_layers):
        tensors = [getattr(module, f"{name}_l{n}", None) for name in names]
        layers.append(Weights(*(None if w is None else w.detach().double() for w in tensors)))  # type: ignore[arg-type]
    return layers


def _first(module: nn.RNNBase, x: Tensor, start: State | None) -> State:
    """Each layer's parts of the first state, one after the other."""
    sizes = [module.proj_size or module.hidden_size]
    if kind_of(module) == "lstm":
        sizes.append(module.hidden_size)
    if start is None:
        start = tuple(torch.zeros(module.num_layers, x.shape[1], size) for size in sizes)
    return tuple(part[n].double() for n in range(module.num_layers) for part in start)


def exponents(jacobians: Array, frame: Array, warmup: int = 0) -> Array:
    """Mean of `log |R_jj|` with a QR after every step; `jacobians` `[T, S, S]` of one sample, `frame` `[S, k]`."""
    q, grown = frame, np.zeros(frame.shape[1])
    for t, jacobian in enumerate(jacobians):
        q, r = np.linalg.qr(jacobian @ q)
        grown += np.log(np.abs(np.diag(r))) * (t >= warmup)
    return grown / (len(jacobians) - warmup)


def gains(jacobians: Array, v: Array) -> Array:
    """`log ‖J_tᵀ v‖/‖v‖` of every step, for a gradient `v` that enters after the last of the Jacobians `[T, S, S]`."""
    found = []
    for jacobian in jacobians[::-1]:
        pulled = jacobian.T @ v
        found.append(np.log(np.linalg.norm(pulled) / np.linalg.norm(v)))
        v = pulled / np.linalg.norm(pulled)
    return np.array(found[::-1])
