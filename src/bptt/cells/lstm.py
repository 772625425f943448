"""LSTM, with the optional projection of its output.

    i, f, o = σ(W x + b + W' h + b')              input, forget, output gates
    g = tanh(W_g x + b_g + W'_g h + b'_g)         candidate
    c' = f ∘ c + i ∘ g
    m = o ∘ tanh(c'),   h' = m  or  W_hr m

Source: Hochreiter & Schmidhuber (1997), forget gate by Gers et al. (2000); torch.nn.LSTM (gate order i, f, g, o);
projection by Sak et al., arXiv 1402.1128 (2014).
"""

from typing import NamedTuple

import torch
from torch import Tensor

from bptt.cells._cell import Cell, State, Weights, before, diag_times, linear


class Gates(NamedTuple):
    """Gate values, the cell before and after the step, and its squashed value."""

    i: Tensor
    f: Tensor
    g: Tensor
    o: Tensor
    c_before: Tensor
    c: Tensor
    tanh_c: Tensor


class Local(NamedTuple):
    """Derivatives per unit of `dc` or `dm`.

    `gain` `[…, 3, H]` of the gate inputs i, f, g per unit of `dc`; `gain_o`, `dc_dm` per unit of `dm`; `f`.
    """

    gain: Tensor
    gain_o: Tensor
    dc_dm: Tensor
    f: Tensor


def _activate(a: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    i, f, g, o = a.chunk(4, -1)
    return torch.sigmoid(i), torch.sigmoid(f), torch.tanh(g), torch.sigmoid(o)


def _dm(dh: Tensor, w: Weights) -> Tensor:
    """Gradient of the unprojected output."""
    return dh if w.w_hr is None else dh @ w.w_hr


class LSTM(Cell):
    """Long short-term memory. The state is `(h, c)`, the costate `(dh, e)`."""

    name = "lstm"
    gate_names = ("i", "f", "g", "o")
    parts = 2
    factors = ("weights", "o", "f", "slope", "weights")

    def step(self, x: Tensor, state: State, w: Weights) -> State:
        """One step of the four equations."""
        h, c = state
        i, f, g, o = _activate(linear(x, w.w_ih, w.b_ih) + linear(h, w.w_hh, w.b_hh))
        new = f * c + i * g
        return self.states(Gates(i, f, g, o, c, new, torch.tanh(new)), w)

    def gates(self, x: Tensor, start: State, h: Tensor, w: Weights) -> Gates:
        """All gates from one product each with x and h; `c` by an elementwise scan."""
        a = linear(x, w.w_ih, w.b_ih) + linear(before(start[0], h), w.w_hh, w.b_hh)
        i, f, g, o = _activate(a)
        new, cells = i * g, [start[1].expand_as(i[0])]
        for t in range(len(a)):
            cells.append(torch.addcmul(new[t], f[t], cells[-1]))
        c = torch.stack(cells)
        return Gates(i, f, g, o, c[:-1], c[1:], torch.tanh(c[1:]))

    def states(self, gates: Gates, w: Weights) -> State:
        """`h = o ∘ tanh(c)`, projected where the layer projects."""
        m = gates.o * gates.tanh_c
        return (m if w.w_hr is None else linear(m, w.w_hr, None), gates.c)

    def local(self, gates: Gates) -> Local:
        """Chain rule through each gate; `dc = e + dc_dm ∘ dm` carries i, f, g; `dm` carries o."""
        i, f, g, o, c_before, _, tanh_c = gates
        gain = torch.stack([g * i * (1 - i), c_before * f * (1 - f), i * (1 - g * g)], -2)
        return Local(gain, tanh_c * o * (1 - o), o * (1 - tanh_c * tanh_c), f)

    def pull(self, local: Local, costate: State, w: Weights) -> State:
        """`dh_{t-1} = W_hhᵀ da`, `e_{t-1} = f ∘ dc`; the product is split by where `da` comes from."""
        dm = _dm(costate[0], w)
        dc = costate[1] + local.dc_dm * dm
        through_c = (local.gain * dc.unsqueeze(-2)).flatten(-2) @ w.w_hh[: -dc.shape[-1]]
        return through_c + (local.gain_o * dm) @ w.w_hh[-dc.shape[-1] :], local.f * dc

    def preactivation_grad(self, local: Local, costate: State, w: Weights) -> Tensor:
        """`da = [gain ∘ (dc, dc, dc), gain_o ∘ dm]`."""
        dm = _dm(costate[0], w)
        dc = costate[1] + local.dc_dm * dm
        return torch.cat([(local.gain * dc.unsqueeze(-2)).flatten(-2), local.gain_o * dm], -1)

    def total_c(self, local: Local, costate: State, w: Weights) -> Tensor:
        """`dc = e + o (1 - tanh² c) ∘ dm`."""
        return costate[1] + local.dc_dm * _dm(costate[0], w)

    def jacobian(self, local: Local, w: Weights) -> Tensor:
        """`[[∂h'/∂h, ∂h'/∂c], [∂c'/∂h, diag(f)]]` with `∂c'/∂h = Σ diag(gain) W` over i, f, g."""
        w_i, w_f, w_g, w_o = w.w_hh.chunk(4)
        gains = local.gain.unbind(-2)
        c_h = sum(diag_times(a, m) for a, m in zip(gains, (w_i, w_f, w_g), strict=True))
        c_c = torch.diag_embed(local.f)
        h_h = diag_times(local.gain_o, w_o) + diag_times(local.dc_dm, torch.as_tensor(c_h))
        h_c = torch.diag_embed(local.dc_dm * local.f)
        if w.w_hr is not None:
            h_h, h_c = w.w_hr @ h_h, w.w_hr @ h_c
        top, bottom = torch.cat([h_h, h_c], -1), torch.cat([torch.as_tensor(c_h), c_c], -1)
        return torch.cat([top, bottom], -2)

    def push(self, local: Local, tangent: State, w: Weights, dx: Tensor | None = None) -> State:
        """`δc' = f ∘ δc + Σ gain ∘ δa` over i, f, g; `δm = o (1 - tanh² c') ∘ δc' + gain_o ∘ δa_o`."""
        dh, dc = tangent
        a = linear(dh, w.w_hh, None)
        a = (a if dx is None else a + linear(dx, w.w_ih, None)).unflatten(-1, (4, -1))
        new = local.f * dc + (local.gain * a[..., :3, :]).sum(-2)
        dm = local.dc_dm * new + local.gain_o * a[..., 3, :]
        return dm if w.w_hr is None else linear(dm, w.w_hr, None), new

    def stages(self, gates: Gates, costate: State, w: Weights) -> tuple[Tensor, ...]:
        """The cell's way first: projection, output gate, forget gate, slope of tanh; then what the weights' ways add.

        Both ways end in different halves of the costate, so the last factor is never below 1.
        """
        dh, e = costate
        dm, local = _dm(dh, w), self.local(gates)
        opened = e + gates.o * dm
        kept, sloped = gates.f * opened, gates.f * (e + local.dc_dm * dm)
        projected, pulled = torch.cat([dm, e], -1), torch.cat(self.pull(local, costate, w), -1)
        return projected, opened, kept, sloped, pulled
