"""How a task is trained: a paper's sizes and settings, or such as a processor without a GPU gets through."""

from dataclasses import dataclass, field
from typing import Any, Literal

from bptt._errors import BpttError

Cell = Literal["rnn", "relu-rnn", "gru", "lstm"]
Optimizer = Literal["sgd", "adam", "adamw", "rmsprop"]


@dataclass(frozen=True)
class Variant:
    """A task's size, the model, and how it is trained.

    Attributes:
        source: the paper, or what was tried to choose these numbers.
        task: the task's own arguments, `{"length": 200}`.
        cell: `rnn` (tanh), `relu-rnn`, `gru`, `lstm`.
        hidden: units H.
        batch: sequences B of an update.
        optimizer: `rmsprop` averages with 0.9; the others as torch has them.
        lr: learning rate.
        clip: limit of the gradient; None to leave it alone.
        clip_by: `norm` of all gradients together, or each `value`.
        updates: after how many to give up.
        every: updates between evaluations.
        sequences: of the evaluation set.
    """

    source: str
    task: dict[str, Any] = field(default_factory=dict)
    cell: Cell = "lstm"
    hidden: int = 64
    batch: int = 32
    optimizer: Optimizer = "adam"
    lr: float = 1e-3
    clip: float | None = 1.0
    clip_by: Literal["norm", "value"] = "norm"
    updates: int = 4000
    every: int = 100
    sequences: int = 1000

    def __post_init__(self) -> None:
        for name in ("hidden", "batch", "lr", "clip", "updates", "every", "sequences"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise BpttError(f"{name} is {value}, expected a number above 0")
