"""What bptt's RNN, GRU and LSTM share: which engine runs a call, and how layers and directions are stacked."""

from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bptt._errors import BpttError
from bptt.kernels import (
    Backend,
    Call,
    Clip,
    Inputs,
    StepGradients,
    as_backend,
    available,
    layer,
    obstacle,
    require,
    torch_is_faster,
)
from bptt.nn._sequence import Sequence

Engine = Literal["native", "reference"]
Sink = Callable[[int, bool, StepGradients], None]
CELLS = {"RNN_TANH": "rnn_tanh", "RNN_RELU": "rnn_relu", "GRU": "gru", "LSTM": "lstm"}


def as_clip(grad_clip: Any) -> Clip | None:
    """`grad_clip=` as given: a number clips values, a pair names the kind."""
    if grad_clip is None or isinstance(grad_clip, Clip):
        return grad_clip
    if isinstance(grad_clip, tuple) and len(grad_clip) == 2:
        kind, limit = grad_clip
    else:
        kind, limit = "value", grad_clip
    if isinstance(limit, bool) or not isinstance(limit, int | float):
        raise BpttError(
            f"grad_clip is {grad_clip!r}; expected None, a positive number (clips each value), or a pair of 'value' or "
            "'norm' and a positive number."
        )
    return Clip(kind, float(limit))  # type: ignore[arg-type]


class Recurrent(nn.RNNBase):
    """Mixed into torch.nn's layers, before them. Class attributes are what a converted torch layer starts with."""

    _backend: Backend = "auto"
    _grad_clip: Clip | None = None
    _grad_sink: Sink | None = None
    _grad_values: bool = False
    _bf16: bool = False
    clipped_steps: int = 0
    """Steps and samples that `grad_clip` changed, over all layers and directions, since the last call that recorded."""

    @property
    def backend(self) -> Backend:
        """`"auto"`, `"native"`, `"reference"` or `"torch"`."""
        return self._backend

    @backend.setter
    def backend(self, backend: str) -> None:
        self._backend = as_backend(backend)

    @property
    def grad_clip(self) -> Clip | None:
        """How `dL/dh_t` is clipped at every step of the backward pass, or None."""
        return self._grad_clip

    @grad_clip.setter
    def grad_clip(self, grad_clip: Any) -> None:
        self._grad_clip = as_clip(grad_clip)

    @property
    def bf16(self) -> bool:
        """Whether all matrix products take operands rounded to bfloat16; sums and everything else stay float32."""
        return self._bf16

    @bf16.setter
    def bf16(self, bf16: bool) -> None:
        self._bf16 = bool(bf16)

    def read_gradients(self, sink: Sink | None, *, values: bool = False) -> None:
        """Have each backward pass call `sink(layer, reverse, gradients)` with its `StepGradients`; None ends it.

        The norms of `dL/dh_t` come out of the backward recurrence itself. `values=True` adds the gradients themselves.
        Samples are in the order of the batch.

        >>> import torch
        >>> from bptt.nn import LSTM
        >>> lstm, found = LSTM(2, 3), []
        >>> lstm.read_gradients(lambda layer, reverse, gradients: found.append(gradients.grad_h))
        >>> lstm(torch.ones(5, 1, 2))[0][-1].sum().backward()
        >>> found[0].shape, bool(found[0][0] < found[0][-1])
        (torch.Size([5, 1]), True)
        """
        self._grad_sink, self._grad_values = sink, values

    def weights(self) -> list[Tensor]:
        """What stands under the parameters' names now: functional_call and parametrizations put other tensors there."""
        own = self._parameters
        return [own[n] if n in own else getattr(self, n) for n in self._flat_weights_names]  # type: ignore[misc]

    def engine(
        self, sequence: Sequence, state: tuple[Tensor, ...], weights: list[Tensor]
    ) -> Engine | None:
        """Which of bptt's engines runs this call; None for torch's own layer. Raises if what was asked cannot be."""
        backend, special = self._backend, self._special()
        tensors = (sequence.data, sequence.embedding, *state, *weights)
        why = "proj_size is set" if self.proj_size else obstacle(tensors)
        if backend == "torch" and special:
            raise BpttError(f"backend='torch' cannot do {special}. Give backend='auto'.")
        if backend == "native" or self._bf16:
            require()
        if self._bf16 and (backend == "reference" or weights[0].dtype != torch.float32):
            raise BpttError(
                f"bf16 was asked for with backend={backend!r} and weights of {weights[0].dtype}; it needs float32 "
                "weights and backend 'auto' or 'native'."
            )
        if torch.is_autocast_enabled("cpu") and not special:
            return (
                None  # autocast is a promise about torch's own operators, whatever else was asked
            )
        if why and (special or backend in ("native", "reference")):
            asked = special or f"backend={backend!r}"
            raise BpttError(
                f"{asked} was asked for, but {why}. Change that, or give backend='auto' without it."
            )
        if backend in ("native", "reference"):
            return backend
        if backend == "torch" or why:
            return None
        if not available():
            return "reference" if special else None
        first, packed = sequence.data, sequence.rows.batch_sizes is not None
        dtype = first.dtype if sequence.embedding is None else sequence.embedding.dtype
        skips = special or sequence.embedding is not None
        backward = torch.is_grad_enabled() and any(
            t.requires_grad for t in tensors if t is not None
        )
        slow = torch_is_faster(
            CELLS[self.mode],
            self.hidden_size,
            sequence.rows.B,
            dtype,
            packed=packed,
            backward=backward,
        )
        return None if slow and not skips else "native"

    def _special(self) -> str:
        """What was asked for that only bptt's engines do."""
        if self._grad_clip is not None:
            return "grad_clip"
        if self._grad_sink is not None:
            return "read_gradients"
        return "bf16" if self._bf16 else ""

    def run(
        self,
        sequence: Sequence,
        state: tuple[Tensor, ...],
        weights: list[Tensor],
        engine: Engine,
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Output `[N, D·H]` and final states `[L·D, B, H]`."""
        if self.clipped_steps and torch.is_grad_enabled():
            vars(self)["clipped_steps"] = 0
        data, embedding, ends = sequence.data, sequence.embedding, []
        for number in range(self.num_layers):
            if number and self.dropout and self.training:
                data = F.dropout(data, self.dropout)
            outputs = []
            for direction in range(2 if self.bidirectional else 1):
                start = (*(part[len(ends)] for part in state), None, None)[:2]
                inputs = self._inputs(data, embedding, weights, len(ends), start)
                call = self._call(sequence, number, direction == 1, embedding is not None)
                y, *end = layer(call, inputs, engine)
                outputs.append(y)
                ends.append(end)
            data = outputs[0] if len(outputs) == 1 else torch.cat(outputs, -1)
            embedding = None
        if len(ends) == 1:
            return data, tuple(part.unsqueeze(0) for part in ends[0])
        return data, tuple(torch.stack(part) for part in zip(*ends, strict=True))

    def _inputs(
        self,
        data: Tensor,
        embedding: Tensor | None,
        weights: list[Tensor],
        place: int,
        start: tuple[Tensor | None, ...],
    ) -> Inputs:
        """What one layer and direction, the `place`-th, is differentiated by."""
        each = 4 if self.bias else 2
        w_ih, w_hh, *biases = weights[place * each : (place + 1) * each]
        b_ih, b_hh = biases or (None, None)
        if embedding is not None:
            w_ih, b_ih = F.linear(embedding, w_ih, b_ih), None
        return Inputs(data, w_ih, w_hh, b_ih, b_hh, *start)  # type: ignore[arg-type]

    def _call(self, sequence: Sequence, number: int, reverse: bool, tokens: bool) -> Call:
        sink = None
        if self._grad_sink is not None:
            sink = _in_batch_order(self._grad_sink, number, reverse, sequence.order)
        return Call(
            CELLS[self.mode],
            sequence.rows,
            reverse,
            self._grad_clip,
            sink,
            self._grad_values,
            self._count,
            tokens,
            self._bf16,
        )

    def _count(self, clipped: int) -> None:
        # Past Module's __setattr__, which takes longer than a step of a small layer.
        vars(self)["clipped_steps"] = self.clipped_steps + clipped

    def extra_repr(self) -> str:
        """torch's, with what bptt adds."""
        clip, backend = self._grad_clip, self._backend
        added = f", grad_clip={(clip.kind, clip.limit)}" if clip else ""
        return (
            super().extra_repr() + added + (f", backend={backend!r}" if backend != "auto" else "")
        )


def _in_batch_order(
    sink: Sink, number: int, reverse: bool, order: Tensor | None
) -> Callable[[StepGradients], None]:
    def receive(gradients: StepGradients) -> None:
        if order is not None:
            gradients = StepGradients(
                *(None if part is None else part.index_select(1, order) for part in gradients)  # type: ignore[arg-type]
            )
        sink(number, reverse, gradients)

    return receive
