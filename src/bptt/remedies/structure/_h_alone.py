"""LSTMs that are called as a simple RNN or a GRU is: they take and return `h`, and keep `c` to themselves."""

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

import bptt.nn

RECENT = 8
"""Calls whose `c` is remembered: a loop may carry several streams of states in turn."""


class Handed(NamedTuple):
    """A state that was returned: a copy of `h` as it was, and its `c`."""

    h: Tensor
    c: Tensor

    def fits(self, hx: Tensor) -> bool:
        """Whether the given state may come from this one."""
        return self.h.shape == hx.shape and self.h.dtype == hx.dtype

    def cell(self, hx: Tensor) -> Tensor:
        """`c`, with its gradient if the state that was given carries one."""
        return self.c if hx.requires_grad else self.c.detach()


class HAlone(nn.Module):
    """Mixed in before an LSTM: `y, h = rnn(x, h)` goes on working where the layer has a cell state besides.

    The caller's code carries `h` from call to call, detaches it, masks it, hands it to another layer. `c` is found
    again by `h`: for each sample whose `h` is bit for bit the one that was returned, `c` goes on; for every other (a
    state set to zero at the start of an episode, one learned, one of an encoder) `c` starts as `h`, so zeros start from
    zeros. A state that carries gradient carries it through `c`, too, and a detached one is detached in both.

    What does not survive: `c` of a batch whose samples were reordered between two calls, and of states older than eight
    calls.

    The LSTM below is called with `(h, c)` as torch's is, by way of `nn.Module.__call__`: hooks, and bptt's probe, see a
    plain LSTM.
    """

    def __call__(self, input: Any, hx: Any = None, **options: Any) -> Any:
        """`y, h` of a layer, `h` of a cell."""
        state = hx if hx is None or isinstance(hx, tuple) else (hx, self._cell_of(hx))
        output = super().__call__(input, state, **options)
        one_step = isinstance(self, nn.RNNCellBase)
        h, c = output if one_step else output[1]
        self._remember(h, c)
        return h if one_step else (output[0], h)

    def _cell_of(self, hx: Tensor) -> Tensor:
        own = getattr(hx, "_bptt_handed", None)
        known = [own] if own is not None else []
        known = [each for each in [*known, *vars(self).get("_handed", ())] if each.fits(hx)]
        for handed in known:
            if torch.equal(handed.h, hx.detach()):
                return handed.cell(hx)
        c = hx
        for handed in reversed(known):
            same = (handed.h == hx.detach()).all(-1, keepdim=True)
            if same.any():
                c = torch.where(same, handed.cell(hx), c)
        return c

    def _remember(self, h: Tensor, c: Tensor) -> None:
        """The newest is held with its graph, older ones without; a tensor that still lives carries its own."""
        handed = Handed(h.detach().clone(), c)
        h._bptt_handed = handed  # type: ignore[attr-defined]
        older = [Handed(each.h, each.c.detach()) for each in vars(self).get("_handed", ())]
        vars(self)["_handed"] = [handed, *older[: RECENT - 1]]

    def __getstate__(self) -> dict[str, Any]:
        """A copied or saved model starts without remembered states: they may hold a graph, which cannot be copied."""
        state = dict(super().__getstate__())  # of a layer: without torch's weak references
        state.pop("_handed", None)
        return state


class LSTM(HAlone, nn.LSTM):
    """torch.nn.LSTM, called as torch.nn.GRU is."""


class FastLSTM(HAlone, bptt.nn.LSTM):
    """bptt.nn.LSTM, called as bptt.nn.GRU is."""


class LSTMCell(HAlone, nn.LSTMCell):
    """torch.nn.LSTMCell, called as torch.nn.GRUCell is."""
