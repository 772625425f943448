"""GRU with the reset gate after the product, as torch and cuDNN have it.

    r = σ(W_ir x + b_ir + W_hr h + b_hr)          reset
    z = σ(W_iz x + b_iz + W_hz h + b_hz)          update (1 keeps the old state)
    q = W_hn h + b_hn                             candidate's recurrent part
    n = tanh(W_in x + b_in + r ∘ q)               candidate
    h' = (1 - z) ∘ n + z ∘ h

Source: Cho et al., arXiv 1406.1078 (2014), in the variant of torch.nn.GRU (gate order r, z, n).
"""

from typing import NamedTuple

import torch
from torch import Tensor

from bptt.cells._cell import Cell, State, Weights, before, diag_times, linear


class Gates(NamedTuple):
    """Gate values, the candidate's recurrent part, and the state before the step."""

    r: Tensor
    z: Tensor
    n: Tensor
    q: Tensor
    h_before: Tensor


class Local(NamedTuple):
    """Derivatives per unit of `dh`.

    `gain` `[…, 3, H]` of the recurrent gate inputs r, z, q; `gain_n` of the candidate's; `z`.
    """

    gain: Tensor
    gain_n: Tensor
    z: Tensor


def _gates(x: Tensor, h: Tensor, w: Weights) -> Gates:
    x_r, x_z, x_n = linear(x, w.w_ih, w.b_ih).chunk(3, -1)
    h_r, h_z, q = linear(h, w.w_hh, w.b_hh).chunk(3, -1)
    r = torch.sigmoid(x_r + h_r)
    z = torch.sigmoid(x_z + h_z)
    return Gates(r, z, torch.tanh(x_n + r * q), q, h)


class GRU(Cell):
    """Gated recurrent unit."""

    name = "gru"
    gate_names = ("r", "z", "n")
    factors = ("z r", "slope", "weights")

    def step(self, x: Tensor, state: State, w: Weights) -> State:
        """`h' = (1 - z) ∘ n + z ∘ h`."""
        return self.states(_gates(x, state[0], w), w)

    def gates(self, x: Tensor, start: State, h: Tensor, w: Weights) -> Gates:
        """All gates of all steps from one product each with x and h."""
        return _gates(x, before(start[0], h), w)

    def states(self, gates: Gates, w: Weights) -> State:
        """`(1 - z) ∘ n + z ∘ h`, in torch's order of operations: `n + z ∘ (h - n)`."""
        return (gates.n + gates.z * (gates.h_before - gates.n),)

    def local(self, gates: Gates) -> Local:
        """Chain rule through each gate; every gate input's gradient is `dh` times an elementwise gain."""
        r, z, n, q, h = gates
        gain_n = (1 - z) * (1 - n * n)
        gain_r = gain_n * q * r * (1 - r)
        gain_z = (h - n) * z * (1 - z)
        return Local(torch.stack([gain_r, gain_z, gain_n * r], -2), gain_n, z)

    def pull(self, local: Local, costate: State, w: Weights) -> State:
        """`dh_{t-1} = z ∘ dh + W_hhᵀ (gain ∘ [dh, dh, dh])`."""
        (dh,) = costate
        return (local.z * dh + (local.gain * dh.unsqueeze(-2)).flatten(-2) @ w.w_hh,)

    def preactivation_grad(self, local: Local, costate: State, w: Weights) -> Tensor:
        """Gate inputs on the side of x: `q` is replaced by the candidate's own input."""
        (dh,) = costate
        gain_r, gain_z, _ = local.gain.unbind(-2)
        return torch.cat([gain_r * dh, gain_z * dh, local.gain_n * dh], -1)

    def jacobian(self, local: Local, w: Weights) -> Tensor:
        """`diag(z) + Σ_gate diag(gain_gate) W_gate`."""
        product = sum(
            diag_times(gain, weight)
            for gain, weight in zip(local.gain.unbind(-2), w.w_hh.chunk(3), strict=True)
        )
        return torch.diag_embed(local.z) + product

    def push(self, local: Local, tangent: State, w: Weights, dx: Tensor | None = None) -> State:
        """`z ∘ δh + Σ_gate gain_gate ∘ (W_gate δh)`; the input enters the candidate outside the reset gate."""
        (dh,) = tangent
        a = linear(dh, w.w_hh, None).unflatten(-1, (3, -1))
        new = local.z * dh + (local.gain * a).sum(-2)
        if dx is not None:
            gain = torch.stack([*local.gain.unbind(-2)[:2], local.gain_n], -2)
            new = new + (gain * linear(dx, w.w_ih, None).unflatten(-1, (3, -1))).sum(-2)
        return (new,)

    def stages(self, gates: Gates, costate: State, w: Weights) -> tuple[Tensor, ...]:
        """What the gates let through on both ways (leak `z`, candidate `(1 - z) r`); with slopes; through the weights.

        The slopes are tanh's, and those of the gates themselves, through which the state acts on r and z.
        """
        (dh,) = costate
        local, leak = self.local(gates), gates.z * dh
        gated = torch.cat([leak, (1 - gates.z) * gates.r * dh], -1)
        sloped = torch.cat([leak, (local.gain * dh.unsqueeze(-2)).flatten(-2)], -1)
        return gated, sloped, self.pull(local, costate, w)[0]
