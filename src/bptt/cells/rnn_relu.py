"""ReLU RNN: `h_t = relu(W_ih x_t + b_ih + W_hh h_{t-1} + b_hh)`.

Source: Le, Jaitly, Hinton, arXiv 1504.00941 (2015); torch.nn.RNN(nonlinearity="relu").
"""

import torch
from torch import Tensor

from bptt.cells import _elman
from bptt.cells._cell import Cell, State, Weights


class ReLURNN(Cell):
    """The simple recurrent network with ReLU units."""

    name = "rnn_relu"
    gate_names = ("h",)
    factors = _elman.FACTORS

    def step(self, x: Tensor, state: State, w: Weights) -> State:
        """`h_t = relu(a_t)`."""
        return (torch.relu(_elman.preactivation(x, state[0], w)),)

    def gates(self, x: Tensor, start: State, h: Tensor, w: Weights) -> _elman.Gates:
        """The known states themselves; no product is needed."""
        return _elman.Gates(h)

    def states(self, gates: _elman.Gates, w: Weights) -> State:
        """The only gate is the state itself."""
        return (gates.h,)

    def local(self, gates: _elman.Gates) -> _elman.Local:
        """the slope is 1 where the unit is on, else 0."""
        return _elman.Local((gates.h > 0).to(gates.h.dtype))

    def pull(self, local: _elman.Local, costate: State, w: Weights) -> State:
        """`dh_{t-1} = W_hhᵀ (slope ∘ dh_t)`."""
        return _elman.pull(local, costate, w)

    def preactivation_grad(self, local: _elman.Local, costate: State, w: Weights) -> Tensor:
        """`da_t = slope ∘ dh_t`."""
        return local.slope * costate[0]

    def jacobian(self, local: _elman.Local, w: Weights) -> Tensor:
        """`diag(slope) W_hh`."""
        return _elman.jacobian(local, w)

    def push(
        self, local: _elman.Local, tangent: State, w: Weights, dx: Tensor | None = None
    ) -> State:
        """`δh_t = slope ∘ (W_hh δh_{t-1} + W_ih δx_t)`."""
        return _elman.push(local, tangent, w, dx)

    def stages(self, gates: _elman.Gates, costate: State, w: Weights) -> tuple[Tensor, ...]:
        """After the slope, after the weights."""
        return _elman.stages(self.local(gates), costate, w)
