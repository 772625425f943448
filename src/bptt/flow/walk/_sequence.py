"""Chains of calls laid end to end as one sequence: padded, time first, in the batch's own order."""

from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.nn.utils.rnn import PackedSequence, pad_packed_sequence

from bptt._errors import UnmeasurableError
from bptt.cells import State, Weights
from bptt.flow.record._call import Call
from bptt.flow.record._names import site_name

LOW_PRECISION = (torch.float16, torch.bfloat16)


@dataclass(eq=False)
class End:
    """Gradient that reaches the state after a step from its later side: from `h_n` and `c_n`, or from a next call.

    `samples` marks whose sequence has an end here (None: all); `c_is_total` says that `c` holds `dL/dc`, `e` included.
    """

    h: Tensor
    c: Tensor | None
    samples: Tensor | None = None
    c_is_total: bool = False


@dataclass(eq=False)
class Track:
    """One layer and direction of one sequence, in processing order. All that the backward recurrence needs."""

    site: str
    kind: str
    x: Tensor
    y: Tensor
    start: State
    w: Weights
    direct: Tensor
    ends: dict[int, End]
    reverse: bool = False
    lengths: Tensor | None = None

    def in_input_time(self, per_step: Tensor) -> Tensor:
        """A `[T, B, …]` quantity of processing order, by the input's own time (and back)."""
        return flip(per_step, self.lengths) if self.reverse else per_step

    @property
    def steps(self) -> int:
        """T."""
        return len(self.y)


@dataclass(eq=False)
class Sequence:
    """A chain of calls of one module."""

    calls: list[Call]
    notes: list[str] = field(default_factory=list)

    @property
    def first(self) -> Call:
        """The call that starts the chain."""
        return self.calls[0]

    @property
    def lengths(self) -> Tensor | None:
        """Steps of each sample of packed input; the recurrence itself stops there."""
        if self.first.batch_sizes is None:
            return None
        sizes, order = self.first.batch_sizes, self.first.unsorted_indices
        lengths = (torch.arange(1, int(sizes[0]) + 1).unsqueeze(1) <= sizes).sum(1)
        return lengths if order is None else lengths[order.cpu()]

    @property
    def stated_lengths(self) -> Tensor | None:
        """The same for padded input whose lengths the probe was given; the run itself goes on into the padding."""
        return self.first.lengths if self.lengths is None else self.lengths


def site_names(call: Call) -> list[str]:
    """The sites of a call: one a layer and direction."""
    if call.is_cell:
        return [call.name]
    each = [(layer, d == 1) for layer in range(call.layers) for d in range(call.directions)]
    return [site_name(call.name, layer, reverse) for layer, reverse in each]


def chains(calls: list[Call]) -> list[Sequence]:
    """Group calls by their links; chains to which no gradient came are left out."""
    found = []
    for call in calls:
        if call.previous is not None and call.previous.next is call:
            continue
        chain, each = [], call
        while each is not None:
            chain.append(each)
            each = each.next
        while chain and not chain[-1].grads:
            chain.pop()
        if chain:
            found.append(Sequence(chain))
    return found


def compute_dtype(call: Call) -> torch.dtype:
    """Half precisions are replayed in float32; the others as they ran."""
    return torch.float32 if call.y.dtype in LOW_PRECISION else call.y.dtype


def padded(tensor: Tensor, call: Call) -> Tensor:
    """`[T, B, N]` in the batch's order, from packed or padded data."""
    if call.batch_sizes is None:
        return tensor
    packed = PackedSequence(tensor, call.batch_sizes, call.sorted_indices, call.unsorted_indices)
    return pad_packed_sequence(packed)[0]


def flip(tensor: Tensor, lengths: Tensor | None) -> Tensor:
    """Reverse each sample's own steps in `[T, B, …]`; its padding stays at the end. An involution."""
    if lengths is None:
        return tensor.flip(0)
    steps = torch.arange(len(tensor), device=tensor.device).unsqueeze(1)
    lengths = lengths.to(tensor.device)
    index = torch.where(steps < lengths, lengths - 1 - steps, steps)
    return tensor[index, torch.arange(tensor.shape[1], device=tensor.device)]


class Layer(NamedTuple):
    """One layer of a sequence, `[T, B, ·]`: its input, its output, and what dropout multiplied that output by."""

    x: Tensor
    y: Tensor
    mask: Tensor | None


def layers(sequence: Sequence) -> list[Layer]:
    """Inputs and outputs of every layer, laid end to end over the chain's calls.

    A library kernel shows only the top layer's output; the layers below are run again, with the masks that dropout
    drew.
    """
    dtype = compute_dtype(sequence.first)
    each_call = [_layers(call) for call in sequence.calls]
    joined = []
    for parts in zip(*each_call, strict=True):
        columns = zip(*parts, strict=True)
        joined.append(Layer(*(None if c[0] is None else _joined(c, dtype) for c in columns)))  # type: ignore[arg-type]
    return joined


def _joined(parts: tuple[Tensor, ...], dtype: torch.dtype) -> Tensor:
    return (parts[0] if len(parts) == 1 else torch.cat(parts)).to(dtype)


def _layers(call: Call) -> list[Layer]:
    if call.x._version != call.x_version:
        raise UnmeasurableError("its input was changed in place after the call")
    x, found = call.x, []
    for layer, mask in enumerate(_dropout_masks(call)):
        y = _run_layer(call, layer, x)
        found.append(
            Layer(padded(x, call), padded(y, call), None if mask is None else padded(mask, call))
        )
        x = y if mask is None else y * mask
    return [*found, Layer(padded(x, call), padded(call.y, call), None)]


def _dropout_masks(call: Call) -> list[Tensor] | list[None]:
    """For each layer but the top one the mask that the run drew, drawn again from the generator's state."""
    if call.rng is None:
        return [None] * (call.layers - 1)
    width = call.y.shape[-1]
    ones = torch.ones(*call.x.shape[:-1], width, dtype=call.y.dtype, device=call.y.device)
    with torch.random.fork_rng(devices=[ones.device] if ones.is_cuda else []):
        if ones.is_cuda:
            torch.cuda.set_rng_state(call.rng, ones.device)
        else:
            torch.set_rng_state(call.rng)
        return [F.dropout(ones, call.dropout, True) for _ in range(call.layers - 1)]


def _run_layer(call: Call, layer: int, x: Tensor) -> Tensor:
    """One layer forward, by the library kernel that the run used."""
    run = getattr(torch._VF, call.kind)
    d = call.directions
    params = [
        w for group in call.weights[layer * d : (layer + 1) * d] for w in group if w is not None
    ]
    start = [part[layer * d : (layer + 1) * d] for part in call.start]
    if call.sorted_indices is not None:
        start = [part.index_select(1, call.sorted_indices) for part in start]
    hx = start if call.kind == "lstm" else start[0]
    bias = call.weights[0].b_ih is not None
    device = x.device.type
    with torch.autocast(device, call.autocast, enabled=call.autocast is not None):
        if call.batch_sizes is not None:
            return run(x, call.batch_sizes, hx, params, bias, 1, 0.0, False, d == 2)[0]
        return run(x, hx, params, bias, 1, 0.0, False, d == 2, False)[0]


def tracks(sequence: Sequence, layer: int, own: Layer, direct: Tensor) -> list[Track]:
    """The layer's directions, from its input, its output and the gradient on its output."""
    first, lengths = sequence.first, sequence.lengths
    dtype = compute_dtype(first)
    found = []
    for d in range(first.directions):
        index, reverse = layer * first.directions + d, d == 1
        width = own.y.shape[-1] // first.directions
        mine = slice(d * width, (d + 1) * width)
        seen = [own.x, own.y[..., mine], direct[..., mine]]
        if reverse:
            seen = [flip(each, lengths) for each in seen]
        elif first.directions > 1:
            seen[2] = seen[2].clone()
        found.append(
            Track(
                site=first.name if first.is_cell else site_name(first.name, layer, reverse),
                kind=first.kind,
                x=seen[0],
                y=seen[1],
                start=tuple(part[index].to(dtype) for part in first.start),
                w=first.weights[index].to(dtype),
                direct=seen[2],
                ends=_ends(sequence, index, lengths, dtype),
                reverse=reverse,
                lengths=lengths,
            )
        )
    return found


def _ends(
    sequence: Sequence, index: int, lengths: Tensor | None, dtype: torch.dtype
) -> dict[int, End]:
    ends: dict[int, End] = {}
    t = -1
    for call in sequence.calls:
        t += call.steps
        seen = [_end_grad(call, part, index, dtype) for part in range(len(call.end))]
        h, c = seen[0], seen[1] if len(seen) > 1 else None
        if lengths is None:
            ends[t] = End(h, c, None, call.c_is_total)
            continue
        for length in lengths.unique().tolist():
            ends[length - 1] = End(h, c, (lengths == length).to(h.device))
    return ends


def _end_grad(call: Call, part: int, index: int, dtype: torch.dtype) -> Tensor:
    """Gradient that arrived at one layer's final state, `[B, ·]`; zero where none did."""
    grad, state = call.grads.get("hc"[part]), call.end[part]
    return (torch.zeros_like(state) if grad is None else grad.reshape(state.shape))[index].to(dtype)


def output_grad(sequence: Sequence) -> Tensor:
    """The gradient that enters the top layer's output at each step, `[T, B, ·]`; zero where none came."""
    parts, dtype = [], compute_dtype(sequence.first)
    for call in sequence.calls:
        grad = call.grads.get("y")
        y = padded(call.y, call)
        if grad is None:
            parts.append(torch.zeros_like(y, dtype=dtype))
            continue
        if call.batch_sizes is None:
            grad = _as_shape(grad, call, y)
        parts.append(padded(grad, call).to(dtype, copy=True))
    return torch.cat(parts) if len(parts) > 1 else parts[0]


def _as_shape(grad: Tensor, call: Call, y: Tensor) -> Tensor:
    """The module's output gradient, time first and batched as `y` is kept."""
    if grad.dim() == 2:
        return grad.unsqueeze(1)
    batch_first = getattr(call.module, "batch_first", False)
    grad = grad.transpose(0, 1) if batch_first else grad
    return grad.reshape(y.shape)
