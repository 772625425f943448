"""Runs one layer in one direction on the engine that was chosen."""

from typing import Literal

from torch import Tensor

from bptt.kernels import _native, _reference
from bptt.kernels._call import Call, Inputs

ENGINES = {"native": _native.run, "reference": _reference.run}


def layer(call: Call, inputs: Inputs, engine: Literal["native", "reference"]) -> tuple[Tensor, ...]:
    """States of one layer in one direction, differentiable in every field of `inputs`.

    `(y, h)`, and `(y, h, c)` for an LSTM: `y` `[N, H]` holds `h_t` of every row, `h` and `c` `[B, H]` the last state of
    each sample. The caller has asked `obstacle` whether the native engine can take these tensors.

    >>> import torch
    >>> from bptt.kernels import Call, Inputs, Rows, layer
    >>> x, w_ih, w_hh = torch.ones(6, 2), torch.eye(3, 2), torch.zeros(3, 3)
    >>> call = Call("rnn_relu", Rows(T=3, B=2))
    >>> y, h = layer(call, Inputs(x, w_ih, w_hh), "reference")
    >>> y.shape, h.tolist()
    (torch.Size([6, 3]), [[1.0, 1.0, 0.0], [1.0, 1.0, 0.0]])
    """
    return ENGINES[engine](call, inputs)
