"""What a layer was given, as the kernels take it: time first, samples in the kernel's order."""

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from bptt.kernels import Rows


class Sequence(NamedTuple):
    """A call's input, time first: `data` `[N, I]`, or ids `[N]` with `embedding` `[V, I]`."""

    data: Tensor
    rows: Rows
    embedding: Tensor | None
    order: Tensor | None  # a PackedSequence's unsorted_indices


def sequence_of(
    module: nn.RNNBase,
    dtype: torch.dtype,
    given: Tensor | PackedSequence,
    embedding: Tensor | None,
) -> Sequence | None:
    """The input, time first; None if it does not have the shape or dtype that the layer expects."""
    tokens = embedding is not None
    if isinstance(given, PackedSequence):
        data, sizes = given.data, given.batch_sizes
        rows, order = Rows(len(sizes), int(sizes[0]), sizes), given.unsorted_indices
        fits = data.dim() == (1 if tokens else 2)
    else:
        data, order = given, None
        fits = data.dim() in ((1, 2) if tokens else (2, 3))
        batched = data.dim() == (2 if tokens else 3)
        if fits and not batched:
            data = data.unsqueeze(1)
        elif fits and module.batch_first:
            data = data.transpose(0, 1)
        rows = Rows(data.shape[0], data.shape[1]) if fits else Rows(1, 1)
        data = data.flatten(0, 1) if fits else data
    values = data if embedding is None else embedding
    fits = fits and values.dim() == 2 and values.shape[1] == module.input_size
    fits = fits and values.dtype == dtype
    if not fits:
        return None
    return Sequence(data.long() if tokens else data, rows, embedding, order)


def state_of(
    module: nn.RNNBase, given: Any, sequence: Sequence, batched: bool, sort: Tensor | None
) -> tuple[Tensor, ...] | None:
    """The first states `[L·D, B, H]` in the kernel's order, `()` if none were given; None if they do not fit."""
    if given is None:
        return ()
    lstm = module.mode == "LSTM"
    parts = tuple(given) if lstm and isinstance(given, tuple | list) else (given,)
    layers = module.num_layers * (2 if module.bidirectional else 1)
    sizes = [module.proj_size or module.hidden_size, module.hidden_size]
    if len(parts) != (2 if lstm else 1):
        return None
    found = []
    for part, size in zip(parts, sizes, strict=False):
        if not isinstance(part, Tensor) or part.dim() != (3 if batched else 2):
            return None
        part = part if batched else part.unsqueeze(1)
        if part.shape != (layers, sequence.rows.B, size):
            return None
        found.append(part if sort is None else part.index_select(1, sort))
    return tuple(found)
