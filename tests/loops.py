"""Recurrences as users write them: loops over plain layers and parameters, in many styles.

Each is a module whose `forward(x, mark)` returns what a read-out sees at every step. `mark` is called with the state
where the step has made it and returns what the next step gets, and what goes upwards: the same tensors, or, for the
twin, copies that autograd can tell apart.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrizations

from bptt.flow.twin import Unrolled

I, H = 3, 5
Mark = Callable[..., tuple[Tensor, ...]]
Turn = Callable[[Tensor], Tensor]


def plain(*state: Tensor) -> tuple[Tensor, ...]:
    """The state goes on and up as it is."""
    return *state, state[0]


class Marks:
    """Keeps every state as `[B, H]`, with copies of what goes on and what goes up."""

    def __init__(self, turn: Turn, back: Turn) -> None:
        self.states, self._turn, self._back = Unrolled(), turn, back

    def __call__(self, *state: Tensor) -> tuple[Tensor, ...]:
        state = tuple(map(self._turn, state))
        on, up = [part.clone() for part in state], state[0].clone()
        self.states.h.append(state[0])
        self.states.h_on.append(on[0])
        self.states.h_out.append(up)
        if len(state) == 2:
            self.states.c.append(state[1])
            self.states.c_on.append(on[1])
        return *map(self._back, on), self._back(up)


class Loop(nn.Module):
    """Base: the input is `[B, T, I]`. `name` is the site's, `turn` makes a state `[B, H]`, `back` undoes it."""

    name: str | None = None
    late = 0
    """Steps at the beginning that do not depend on the recurrence's parameters."""

    def turn(self, state: Tensor) -> Tensor:
        """To rows."""
        return state

    def back(self, state: Tensor) -> Tensor:
        """From rows."""
        return state

    def zeros(self, x: Tensor) -> Tensor:
        """`h_0`."""
        return x.new_zeros(len(x), H)


class Linears(Loop):
    """`tanh(wx(x) + wh(h))`."""

    def __init__(self) -> None:
        super().__init__()
        self.wx, self.wh = nn.Linear(I, H), nn.Linear(H, H)

    def forward(self, x: Tensor, mark: Mark) -> list[Tensor]:
        h, ups = self.zeros(x), []
        for t in range(x.shape[1]):
            h, up = mark(torch.tanh(self.wx(x[:, t]) + self.wh(h)))
            ups.append(up)
        return ups


class Parameters(Loop):
    """Bare parameters and `@`."""

    def __init__(self) -> None:
        super().__init__()
        self.u = nn.Parameter(torch.randn(I, H))
        self.w = nn.Parameter(torch.randn(H, H) / 3)
        self.b = nn.Parameter(torch.zeros(H))

    def forward(self, x: Tensor, mark: Mark) -> list[Tensor]:
        h, ups = self.zeros(x), []
        for x_t in x.unbind(1):
            h, up = mark(torch.tanh(x_t @ self.u + h @ self.w + self.b))
            ups.append(up)
        return ups


class Columns(Parameters):
    """States as columns, `W h + U x`, as textbooks write it."""

    def forward(self, x: Tensor, mark: Mark) -> list[Tensor]:
        h, ups = x.new_zeros(H, len(x)), []
        for x_t in x.unbind(1):
            h, up = mark(torch.tanh(self.u.T @ x_t.T + self.w @ h + self.b[:, None]))
            ups.append(up.T)
        return ups

    def turn(self, state: Tensor) -> Tensor:
        return state.T

    back = turn


class BiasedColumns(Columns):
    """Columns as in the hundred lines of numpy: the bias is a column too, and it is met before the matrix."""

    def __init__(self) -> None:
        super().__init__()
        self.b = nn.Parameter(torch.zeros(H, 1))

    def forward(self, x: Tensor, mark: Mark) -> list[Tensor]:
        h, ups = x.new_zeros(H, len(x)), []
        for x_t in x.unbind(1):
            h, up = mark(torch.tanh(self.u.T @ x_t.T + self.w @ h + self.b))
            ups.append(up.T)
        return ups


class EinsumColumns(BiasedColumns):
    """Columns, and no operation that says on which side the matrix stands."""

    def forward(self, x: Tensor, mark: Mark) -> list[Tensor]:
        h, ups = x.new_zeros(H, len(x)), []
        for x_t in x.unbind(1):
            own = torch.einsum("ij,jb->ib", self.w, h)
            h, up = mark(torch.tanh(torch.einsum("ih,bi->hb", self.u, x_t) + own + self.b))
            ups.append(up.T)
        return ups


class TurnedRows(Parameters):
    """Rows; the product alone is taken of columns."""

    def forward(self, x: Tensor, mark: Mark) -> list[Tensor]:
        h, ups = self.zeros(x), []
        for x_t in x.unbind(1):
            h, up = mark(torch.tanh(x_t @ self.u + (self.w @ h.T).T + self.b))
            ups.append(up)
        return ups


class BatchOfColumns(Parameters):
    """One column a sample: states are `[B, H, 1]`."""

    def forward(self, x: Tensor, mark: Mark) -> list[Tensor]:
        h, ups = self.zeros(x).unsqueeze(2), []
        for x_t in x.unbind(1):
            product = self.w @ h + self.u.T @ x_t.unsqueeze(2)
            h, up = mark(torch.tanh(product + self.b.unsqueeze(1)))
            ups.append(up.squeeze(2))
        return ups

    def turn(self, state: Tensor) -> Tensor:
        return state.squeeze(2)

    def back(self, state: Tensor) -> Tensor:
        return state.unsqueeze(2)


class Precomputed(Linears):
    """The input's part computed for the whole sequence at once."""

    def forward(self, x: Tensor, mark: Mark) -> list[Tensor]:
        h, ups, given = self.zeros(x), [], self.wx(x)
        for t in range(x.shape[1]):
            h, up = mark(torch.relu(given[:, t] + F.linear(h, self.wh.weight)))
            ups.append(up)
        return ups


class Concatenated(Loop):
    """One layer over `[x, h]`."""

    def __init__(self) -> None:
        super().__init__()
        self.i2h = nn.Linear(I + H, H)

    def forward(self, x: Tensor, mark: Mark) -> list[Tensor]:
        h, ups = self.zeros(x), []
        for t in range(x.shape[1]):
            h, up = mark(torch.tanh(self.i2h(torch.cat([x[:, t], h], 1))))
            ups.append(up)
        return ups


class GatesOfLSTM(Loop):
    """An LSTM with a layer for each gate; the output gate comes after the new cell state."""

    def __init__(self) -> None:
        super().__init__()
        for gate in "ifgo":
            setattr(self, f"x{gate}", nn.Linear(I, H))
            setattr(self, f"h{gate}", nn.Linear(H, H, bias=False))

    def gate(self, name: str, x: Tensor, h: Tensor) -> Tensor:
        """One gate before its activation."""
        return getattr(self, f"x{name}")(x) + getattr(self, f"h{name}")(h)

    def forward(self, x: Tensor, mark: Mark) -> list[Tensor]:
        h, c, ups = self.zeros(x), self.zeros(x), []
        for x_t in x.unbind(1):
            f, i = torch.sigmoid(self.gate("f", x_t, h)), torch.sigmoid(self.gate("i", x_t, h))
            c = f * c + i * torch.tanh(self.gate("g", x_t, h))
            h = torch.sigmoid(self.gate("o", x_t, h)) * torch.tanh(c)
            h, c, up = mark(h, c)
            ups.append(up)
        return ups


class PackedLSTM(Loop):
    """An LSTM with one layer for all gates, cut up by `chunk`."""

    def __init__(self) -> None:
        super().__init__()
        self.gates = nn.Linear(I + H, 4 * H)

    def forward(self, x: Tensor, mark: Mark) -> list[Tensor]:
        h, c, ups = self.zeros(x), self.zeros(x), []
        for t in range(x.shape[1]):
            i, f, g, o = self.gates(torch.cat((x[:, t], h), -1)).chunk(4, -1)
            c = f.sigmoid() * c + i.sigmoid() * g.tanh()
            h, c, up = mark(o.sigmoid() * c.tanh(), c)
            ups.append(up)
        return ups


class HandGRU(Loop):
    """A GRU whose candidate reads `r * h`."""

    def __init__(self) -> None:
        super().__init__()
        self.candidate, self.update = nn.Linear(I + H, H), nn.Linear(I + H, H)
        self.reset = nn.Linear(I + H, H)

    def forward(self, x: Tensor, mark: Mark) -> list[Tensor]:
        h, ups = self.zeros(x), []
        for x_t in x.unbind(1):
            both = torch.cat([x_t, h], 1)
            z, r = torch.sigmoid(self.update(both)), torch.sigmoid(self.reset(both))
            n = torch.tanh(self.candidate(torch.cat([x_t, r * h], 1)))
            h, up = mark((1 - z) * h + z * n)
            ups.append(up)
        return ups


class OwnCell(nn.Module):
    """The cell of the classic names tutorial; its output is read from the state before the step."""

    def __init__(self) -> None:
        super().__init__()
        self.i2h, self.norm = nn.Linear(I + H, H), nn.LayerNorm(H)

    def forward(self, x: Tensor, hidden: Tensor) -> tuple[Tensor, Tensor]:
        hidden = torch.tanh(self.norm(self.i2h(torch.cat((x, hidden), 1))))
        return 2 * hidden, hidden


class CallsOwnCell(Loop):
    """A cell of the user's own that declares nothing."""

    name = "cell"

    def __init__(self) -> None:
        super().__init__()
        self.cell = OwnCell()

    def forward(self, x: Tensor, mark: Mark) -> list[Tensor]:
        h, ups = self.zeros(x), []
        for x_t in x.unbind(1):
            h, up = mark(self.cell(x_t, h)[1])
            ups.append(up)
        return ups


class MaskedGRUCell(Loop):
    """`nn.GRUCell`; finished samples keep their state."""

    name = "cell"

    def __init__(self) -> None:
        super().__init__()
        self.cell = nn.GRUCell(I, H)

    def forward(self, x: Tensor, mark: Mark) -> list[Tensor]:
        h, ups = self.zeros(x), []
        for t, x_t in enumerate(x.unbind(1)):
            keep = (torch.arange(len(x)) * 3 + 4 > t).to(x.dtype).unsqueeze(1)
            h, up = mark(keep * self.cell(x_t, h) + (1 - keep) * h)
            ups.append(up)
        return ups


class NormedRNNCell(MaskedGRUCell):
    """`nn.RNNCell`; the state passes through layer norm between its calls."""

    def __init__(self) -> None:
        super().__init__()
        self.cell, self.norm = nn.RNNCell(I, H), nn.LayerNorm(H)
        nn.init.uniform_(self.norm.weight)

    def forward(self, x: Tensor, mark: Mark) -> list[Tensor]:
        h, ups = self.zeros(x), []
        for x_t in x.unbind(1):
            h, up = mark(self.norm(self.cell(x_t, h)))
            ups.append(up)
        return ups


class MaskedLSTMCell(MaskedGRUCell):
    """`nn.LSTMCell`; both parts of the state are masked."""

    def __init__(self) -> None:
        super().__init__()
        self.cell = nn.LSTMCell(I, H)

    def forward(self, x: Tensor, mark: Mark) -> list[Tensor]:
        h, c, ups = self.zeros(x), self.zeros(x), []
        for t, x_t in enumerate(x.unbind(1)):
            keep = (torch.arange(len(x)) * 3 + 4 > t).unsqueeze(1)
            new, new_c = self.cell(x_t, (h, c))
            h, c, up = mark(torch.where(keep, new, h), torch.where(keep, new_c, c))
            ups.append(up)
        return ups


class ScaledGRU(Loop):
    """`nn.GRU` called with one step at a time; its state `[1, B, H]` is scaled between the calls."""

    name = "gru"

    def __init__(self) -> None:
        super().__init__()
        self.gru = nn.GRU(I, H)

    def forward(self, x: Tensor, mark: Mark) -> list[Tensor]:
        h, ups = x.new_zeros(1, len(x), H), []
        for x_t in x.unbind(1):
            _, h = self.gru(x_t.unsqueeze(0), h)
            h, up = mark(0.9 * h)
            ups.append(up[0])
        return ups

    def turn(self, state: Tensor) -> Tensor:
        return state[0]

    def back(self, state: Tensor) -> Tensor:
        return state.unsqueeze(0)


class Independent(Loop):
    """IndRNN: every unit hears only of itself, through a vector; at the first step, of nothing."""

    late = 1

    def __init__(self) -> None:
        super().__init__()
        self.wx, self.u = nn.Linear(I, H), nn.Parameter(torch.rand(H))

    def forward(self, x: Tensor, mark: Mark) -> list[Tensor]:
        h, ups = self.zeros(x), []
        for x_t in x.unbind(1):
            h, up = mark(torch.relu(self.wx(x_t) + self.u * h))
            ups.append(up)
        return ups


class Buffer(Linears):
    """States written into a tensor, and read from there."""

    def forward(self, x: Tensor, mark: Mark) -> list[Tensor]:
        steps = x.shape[1]
        on, up = x.new_zeros(steps + 1, len(x), H), x.new_zeros(steps, len(x), H)
        for t in range(steps):
            on[t + 1], up[t] = mark(torch.tanh(self.wx(x[:, t]) + self.wh(on[t].clone())))
        return list(up)


class RecurrentDropout(Linears):
    """Dropout on what the next step reads, not on what goes upwards; `mark` sees the state without it."""

    def forward(self, x: Tensor, mark: Mark) -> list[Tensor]:
        h, ups = self.zeros(x), []
        for t in range(x.shape[1]):
            h, up = mark(torch.tanh(self.wx(x[:, t]) + self.wh(F.dropout(h, 0.3))))
            ups.append(up)
        return ups


class Orthogonal(Linears):
    """A parametrised weight, computed anew at every step."""

    def __init__(self) -> None:
        super().__init__()
        parametrizations.orthogonal(self.wh, "weight")


class Leaky(Linears):
    """A leaky integrator with residual connection, as in neuroscience and neural ODEs."""

    def forward(self, x: Tensor, mark: Mark) -> list[Tensor]:
        h, ups = self.zeros(x), []
        for x_t in x.unbind(1):
            h, up = mark(h + 0.2 * (-h + self.wh(torch.relu(h)) + self.wx(x_t)))
            ups.append(up)
        return ups


class Network(Loop):
    """A small network as the step: its input is `[x, h]`."""

    name = "step"

    def __init__(self) -> None:
        super().__init__()
        self.step = nn.Sequential(nn.Linear(I + H, 7), nn.Tanh(), nn.Linear(7, H), nn.Tanh())

    def forward(self, x: Tensor, mark: Mark) -> list[Tensor]:
        h, ups = self.zeros(x), []
        for x_t in x.unbind(1):
            h, up = mark(self.step(torch.cat((x_t, h), 1)))
            ups.append(up)
        return ups


class Feedback(Linears):
    """The read-out of a step is the next step's input too."""

    def __init__(self) -> None:
        super().__init__()
        self.out, self.again = nn.Linear(H, 2), nn.Linear(2, H)

    def forward(self, x: Tensor, mark: Mark) -> list[Tensor]:
        h, y, ups = self.zeros(x), x.new_zeros(len(x), 2), []
        for x_t in x.unbind(1):
            h, up = mark(torch.tanh(self.wx(x_t) + self.wh(h) + self.again(y)))
            y = self.out(h)
            ups.append(up)
        return ups


class Spiking(Linears):
    """A `torch.autograd.Function` of the user's in the loop: a step with a surrogate gradient."""

    class Spike(torch.autograd.Function):
        """Heaviside forward, a smooth slope backward."""

        @staticmethod
        def forward(ctx: Any, v: Tensor) -> Tensor:
            ctx.save_for_backward(v)
            return (v > 0).to(v.dtype)

        @staticmethod
        def backward(ctx: Any, grad: Tensor) -> Tensor:  # type: ignore[override]
            (v,) = ctx.saved_tensors
            return grad / (1 + v.abs()) ** 2

    def forward(self, x: Tensor, mark: Mark) -> list[Tensor]:
        v, ups = self.zeros(x), []
        for x_t in x.unbind(1):
            v, up = mark(0.8 * v + self.wx(x_t) + self.wh(self.Spike.apply(v)))
            ups.append(up)
        return ups


LOOPS = [
    Linears, Parameters, Columns, BiasedColumns, EinsumColumns, TurnedRows, BatchOfColumns, Precomputed, Concatenated,
    GatesOfLSTM, PackedLSTM, HandGRU, CallsOwnCell, MaskedGRUCell, NormedRNNCell, MaskedLSTMCell, ScaledGRU,
    Independent, Buffer, RecurrentDropout, Orthogonal, Leaky, Network, Feedback, Spiking,
]  # fmt: skip
