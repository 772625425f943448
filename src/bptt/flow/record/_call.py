"""What the hooks write down: one record for each call of a recurrent module."""

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.autograd.graph import Node

from bptt.cells import Weights

KINDS: dict[type[nn.Module], Callable[[nn.Module], str]] = {
    nn.RNN: lambda module: "rnn_relu" if module.mode == "RNN_RELU" else "rnn_tanh",
    nn.GRU: lambda module: "gru",
    nn.LSTM: lambda module: "lstm",
    nn.RNNCell: lambda module: f"rnn_{module.nonlinearity}",
    nn.GRUCell: lambda module: "gru",
    nn.LSTMCell: lambda module: "lstm",
}
"""Which of torch's modules is which cell."""


def kind_of(module: nn.Module) -> str | None:
    """The cell's name for a recurrent module of torch or a subclass of one; else None."""
    for cls, kind in KINDS.items():
        if isinstance(module, cls):
            return kind(module)
    return None


@dataclass(eq=False)
class Call:
    """One call of a recurrent module. Tensors are detached; `y`, `end` and the weights are copies.

    Shapes follow the module: `x` is `[T, B, I]` (or packed `[ΣB, I]` with `batch_sizes`), `start` and `end` hold
    `[L·D, B, ·]` for each part of the state. A call of a cell is a call of one step.
    """

    module: nn.Module
    name: str
    kind: str
    layers: int
    directions: int
    weights: list[Weights]
    x: Tensor
    x_version: int
    start: tuple[Tensor, ...]
    y: Tensor
    end: tuple[Tensor, ...]
    batch_sizes: Tensor | None = None
    sorted_indices: Tensor | None = None
    unsorted_indices: Tensor | None = None
    is_cell: bool = False
    c_is_total: bool = False
    dropout: float = 0.0
    rng: Tensor | None = None
    autocast: torch.dtype | None = None
    lengths: Tensor | None = None
    grads: dict[str, Tensor] = field(default_factory=dict)
    nodes: list[tuple[Node, int]] = field(default_factory=list)
    previous: "Call | None" = None
    next: "Call | None" = None
    link: str = "start"
    altered_by: str = ""
    second_order: bool = False
    fresh: bool = True

    @property
    def steps(self) -> int:
        """T of this call."""
        return len(self.x) if self.batch_sizes is None else len(self.batch_sizes)

    @property
    def batch(self) -> int:
        """B of this call."""
        return self.start[0].shape[1]

    @property
    def nbytes(self) -> int:
        """Memory that this record holds beyond the model's own."""
        return self.y.numel() * self.y.element_size() + self.x.numel() * self.x.element_size()


@dataclass(eq=False)
class StateCall:
    """One call of a user's own cell: the state before and after, and what is needed to run the step again."""

    module: nn.Module
    name: str
    before: tuple[Tensor, ...]
    after: tuple[Tensor, ...]
    declared: dict[str, int]
    args: tuple[object, ...] = ()
    kwargs: dict[str, object] = field(default_factory=dict)
    rng: Tensor | None = None
    versions: tuple[int, ...] = ()
    grads: dict[str, Tensor] = field(default_factory=dict)
    previous: "StateCall | None" = None
    next: "StateCall | None" = None
    second_order: bool = False

    @property
    def nbytes(self) -> int:
        """Memory that this record holds beyond the model's own."""
        return sum(part.numel() * part.element_size() for part in self.after)
