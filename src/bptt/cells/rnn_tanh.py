"""tanh RNN: `h_t = tanh(W_ih x_t + b_ih + W_hh h_{t-1} + b_hh)`.

Source: Elman, "Finding structure in time", Cognitive Science 14 (1990); torch.nn.RNN(nonlinearity="tanh").
"""

import torch
from torch import Tensor

from bptt.cells import _elman
from bptt.cells._cell import Cell, State, Weights


class TanhRNN(Cell):
    """The simple recurrent network with tanh units."""

    name = "rnn_tanh"
    gate_names = ("h",)
    factors = _elman.FACTORS

    def step(self, x: Tensor, state: State, w: Weights) -> State:
        """`h_t = tanh(a_t)`."""
        return (torch.tanh(_elman.preactivation(x, state[0], w)),)

    def gates(self, x: Tensor, start: State, h: Tensor, w: Weights) -> _elman.Gates:
        """The known states themselves; no product is needed."""
        return _elman.Gates(h)

    def states(self, gates: _elman.Gates, w: Weights) -> State:
        """The only gate is the state itself."""
        return (gates.h,)

    def local(self, gates: _elman.Gates) -> _elman.Local:
        """tanh' = 1 - tanh²."""
        return _elman.Local(1 - gates.h * gates.h)

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
