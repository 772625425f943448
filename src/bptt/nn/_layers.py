"""RNN, GRU and LSTM in torch.nn's place."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import PackedSequence

from bptt._errors import BpttError
from bptt.nn._recurrent import Recurrent
from bptt.nn._sequence import sequence_of, state_of


class _Layer(Recurrent):
    """The call of a layer: bptt's engines where they can run it, else torch's own, with torch's own errors."""

    def __init__(
        self,
        *args: Any,
        grad_clip: Any = None,
        backend: str = "auto",
        bf16: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.grad_clip = grad_clip
        self.backend = backend
        self.bf16 = bf16

    def forward(
        self, input: Tensor | PackedSequence, hx: Any = None, *, embedding: Tensor | None = None
    ) -> tuple[Any, Any]:
        """torch.nn's call. With `embedding` `[V, I]`, `input` is symbols' numbers in the place of vectors.

        A symbol's share of the first layer's gates is then looked up, not multiplied out for every step.
        """
        if embedding is not None:
            _check_tokens(input, embedding)
        packed = isinstance(input, PackedSequence)
        weights = self.weights()
        sequence = sequence_of(self, weights[0].dtype, input, embedding)
        if sequence is None:
            return self._by_torch(input, hx, embedding)
        batched = packed or input.dim() == (2 if embedding is not None else 3)
        sort = input.sorted_indices if packed else None
        state = state_of(self, hx, sequence, batched, sort)
        engine = None if state is None else self.engine(sequence, state, weights)
        if state is None or engine is None:
            return self._by_torch(input, hx, embedding)
        data, ends = self.run(sequence, state, weights, engine)
        rows, order = sequence.rows, sequence.order
        if packed:
            output: Any = PackedSequence(data, input.batch_sizes, input.sorted_indices, order)
            ends = tuple(e if order is None else e.index_select(1, order) for e in ends)
        else:
            output = data.view(rows.T, rows.B, -1)
            output = output.transpose(0, 1) if self.batch_first and batched else output
        if not batched:
            output, ends = output.squeeze(1), tuple(e.squeeze(1) for e in ends)
        return output, ends if len(ends) == 2 else ends[0]

    def _by_torch(self, input: Any, hx: Any, embedding: Tensor | None) -> tuple[Any, Any]:
        """torch's own layer; it also has the sentence for whatever does not fit."""
        if embedding is not None:
            input = (
                input._replace(data=F.embedding(input.data, embedding))
                if isinstance(input, PackedSequence)
                else F.embedding(input, embedding)
            )
        if isinstance(input, PackedSequence) and self.mode == "LSTM":
            # torch.nn.LSTM takes what is packed as it comes: of another width, or with a c_0 of too few layers, it
            # reads and writes beyond the end of its memory.
            self.check_input(input.data, input.batch_sizes)
            if hx is not None:
                self.check_forward_args(input.data, hx, input.batch_sizes)
        return super().forward(input, hx)  # type: ignore[no-any-return]


def _check_tokens(input: Any, embedding: Tensor) -> None:
    ids = input.data if isinstance(input, PackedSequence) else input
    if ids.dtype not in (torch.int64, torch.int32):
        raise BpttError(
            f"embedding was given, so the input must be symbols' numbers (int64); its dtype is {ids.dtype}. Leave "
            "embedding out to pass vectors."
        )
    if embedding.dim() != 2:
        raise BpttError(
            f"embedding has shape {tuple(embedding.shape)}; expected [symbols, input_size]."
        )


class RNN(_Layer, nn.RNN):
    """Elman network, `h_t = tanh(W_ih x_t + b_ih + W_hh h_{t-1} + b_hh)`, or ReLU: torch.nn.RNN, faster on a CPU.

    Arguments, shapes, state dict and numbers are torch.nn.RNN's. Besides:

    - `grad_clip`: clips `dL/dh_t` at every step of the backward pass. A number bounds each value; `("norm", limit)`
      bounds each sample's norm; `clipped_steps` counts. Source: Graves, arXiv 1308.0850 (2013).
    - `backend`: `"auto"` takes the fastest engine; `"native"`, `"reference"`, `"torch"` are obeyed or raise.
    - `bf16`: rounds the operands of all matrix products to bfloat16, 8 bits, for speed; sums stay float32. Outputs and
      gradients then differ by about 0.5 % of their largest value.

    Errors: torch's own for shapes and dtypes; `BpttError` (a ValueError) where an option cannot be had.

    >>> import torch
    >>> from bptt.nn import RNN
    >>> rnn = RNN(4, 3, grad_clip=("norm", 0.1))
    >>> y, h = rnn(torch.ones(5, 2, 4))
    >>> y.sum().backward()
    >>> y.shape, rnn.clipped_steps
    (torch.Size([5, 2, 3]), 10)
    """


class GRU(_Layer, nn.GRU):
    """Gated recurrent unit: torch.nn.GRU, faster on a CPU. What is added to torch's: see `RNN`.

    >>> import torch
    >>> from bptt.nn import GRU
    >>> y, h = GRU(4, 3, num_layers=2, bidirectional=True)(torch.ones(5, 2, 4))
    >>> y.shape, h.shape
    (torch.Size([5, 2, 6]), torch.Size([4, 2, 3]))
    """


class LSTM(_Layer, nn.LSTM):
    """Long short-term memory: torch.nn.LSTM, faster on a CPU. What is added to torch's: see `RNN`.

    With `embedding` the input is symbols' numbers, and the first layer's product with `W_ih` becomes a look-up.
    `proj_size` runs on torch's own kernels.

    >>> import torch
    >>> from bptt.nn import LSTM
    >>> ids, embedding = torch.zeros(5, 2, dtype=torch.long), torch.nn.Embedding(7, 4)
    >>> y, (h, c) = LSTM(4, 3)(ids, embedding=embedding.weight)
    >>> y.shape, c.shape
    (torch.Size([5, 2, 3]), torch.Size([1, 2, 3]))
    """
