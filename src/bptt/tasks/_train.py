"""A recurrent layer trained on a task: the model, the loop, the curve."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.optim import Optimizer

from bptt.nn import GRU, LSTM, RNN
from bptt.tasks._task import Task, TaskError
from bptt.tasks._variant import Variant

CELLS: dict[str, Callable[[int, int], nn.RNNBase]] = {
    "rnn": lambda inputs, hidden: RNN(inputs, hidden),
    "relu-rnn": lambda inputs, hidden: RNN(inputs, hidden, nonlinearity="relu"),
    "gru": lambda inputs, hidden: GRU(inputs, hidden),
    "lstm": lambda inputs, hidden: LSTM(inputs, hidden),
}
"""The layers by the name of their cell, `[T, B, I]` to `[T, B, H]`, initialised as torch does."""

OPTIMIZERS: dict[str, Callable[[Any, float], Optimizer]] = {
    "sgd": lambda parameters, lr: torch.optim.SGD(parameters, lr),
    "adam": lambda parameters, lr: torch.optim.Adam(parameters, lr, fused=True),
    "adamw": lambda parameters, lr: torch.optim.AdamW(parameters, lr, fused=True),
    "rmsprop": lambda parameters, lr: torch.optim.RMSprop(parameters, lr, alpha=0.9),
}

Remedy = Callable[[nn.Module, Optimizer], Any]


class Learner(nn.Module):
    """A recurrent layer and a linear read-out of the last R steps.

    Args:
        cell: a name of `CELLS`.
        task: says how many inputs and outputs.
        hidden: units H.

    Raises:
        TaskError: there is no such cell.
    """

    def __init__(self, cell: str, task: Task, hidden: int) -> None:
        super().__init__()
        if cell not in CELLS:
            raise TaskError(f"there is no cell {cell!r}, expected one of {', '.join(CELLS)}")
        self.rnn = CELLS[cell](task.inputs, hidden)
        self.readout = nn.Linear(hidden, task.outputs)

    def forward(self, x: Float[Tensor, "T B I"], read: int) -> Float[Tensor, "R B O"]:
        """The last `read` outputs."""
        return self.readout(self.rnn(x)[0][-read:])


class Point(NamedTuple):
    """One point of a learning curve.

    Attributes:
        update: how many updates were made.
        training: mean training loss since the point before.
        loss: on the evaluation set.
        errors: share of wrong answers on the evaluation set.
    """

    update: int
    training: float
    loss: float
    errors: float


@dataclass
class Run:
    """What came of a training.

    Attributes:
        task: its name.
        chance: the loss of an answer without memory.
        seed: of weights and data.
        curve: a point for every evaluation.
        solved: the update at whose evaluation the success criterion was met, None if it never was.
        diverged: the update whose loss or gradient was not finite, None if all were.
        seconds: time of training and evaluation.
    """

    task: str
    chance: float
    seed: int
    curve: list[Point] = field(default_factory=list)
    solved: int | None = None
    diverged: int | None = None
    seconds: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        """For a JSON file; numbers rounded to five digits."""
        curve = [[p.update, *(_rounded(v) for v in p[1:])] for p in self.curve]
        return vars(self) | {"curve": curve, "seconds": round(self.seconds, 1)}


def _rounded(value: float) -> float | None:
    return float(f"{value:.5g}") if math.isfinite(value) else None


class Trial:
    """A model in training on a task, one update after another; it can be stopped and taken up again.

    Weights come from the seed, batch n from the seed and n. Random numbers of the caller are left alone. A run of 2 n
    updates equals n, `state_dict`, a new trial, `load_state_dict`, n, bit for bit on a CPU.

    Args:
        task: what to learn.
        variant: model, optimizer, clipping, batch.
        seed: of weights and data.
        remedy: changes the model or the optimizer before the first update.

    Example:
        >>> from bptt.tasks import Variant, adding
        >>> trial = Trial(adding(length=20), Variant(source="", cell="gru", hidden=8))
        >>> losses = [trial.update() for _ in range(3)]
        >>> trial.updates
        3
    """

    def __init__(
        self, task: Task, variant: Variant, *, seed: int = 0, remedy: Remedy | None = None
    ) -> None:
        self.task, self.variant, self.seed = task, variant, seed
        self.updates = 0
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.model = Learner(variant.cell, task, variant.hidden)
            self.optimizer = OPTIMIZERS[variant.optimizer](self.model.parameters(), variant.lr)
            self.change = None if remedy is None else remedy(self.model, self.optimizer)

    def update(self) -> float:
        """One batch, one step; the batch's loss. If loss or gradients are not finite, no step is made and it is NaN."""
        x, target = self.task.batch(self.updates, size=self.variant.batch, seed=self.seed)
        self.optimizer.zero_grad()
        loss = self.task.score.loss(self.model(x, len(target)), target)
        loss.backward()
        self.updates += 1
        if not (math.isfinite(value := loss.item()) and self._clip()):
            return math.nan
        self.optimizer.step()
        return value

    def _clip(self) -> bool:
        """Clip as the variant says; whether the gradient's norm was finite before."""
        parameters, limit = list(self.model.parameters()), self.variant.clip
        by_norm = self.variant.clip_by == "norm"
        bound = limit if by_norm and limit is not None else math.inf
        norm = nn.utils.clip_grad_norm_(parameters, bound)
        if not by_norm and limit is not None:
            nn.utils.clip_grad_value_(parameters, limit)
        return bool(norm.isfinite())

    def evaluate(self, training: float = math.nan) -> Point:
        """Try the model on the evaluation set."""
        self.model.eval()
        found = self.task.evaluate(self.model, self.variant.sequences, seed=self.seed)
        self.model.train()
        return Point(self.updates, training, found.loss, found.errors)

    def state_dict(self) -> dict[str, Any]:
        """Model, optimizer and the number of updates."""
        return {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "updates": self.updates,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where `state_dict` was taken; task, variant, seed and remedy have to be the same."""
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.updates = state["updates"]


def train(
    task: Task,
    variant: Variant,
    *,
    seed: int = 0,
    remedy: Remedy | None = None,
    watch: Callable[[Point], None] | None = None,
) -> Run:
    """Train until the task is solved, the run diverges, or the variant's number of updates is reached.

    Args:
        task: what to learn; `variant.task` is not looked at.
        variant: model, optimizer, clipping, batch, when to evaluate and when to give up.
        seed: of weights, data and evaluation set.
        remedy: called with model and optimizer before the first update.
        watch: called with every point of the curve.

    Raises:
        TaskError: a cell that does not exist, or data that is not installed.

    Example:
        >>> from bptt.tasks import Variant, adding
        >>> variant = Variant(source="", cell="gru", hidden=8, updates=20, every=10, sequences=50)
        >>> [point.update for point in train(adding(length=10), variant).curve]
        [10, 20]
    """
    run = Run(task.name, task.chance_loss(), seed)
    began = time.perf_counter()
    trial = Trial(task, variant, seed=seed, remedy=remedy)
    losses: list[float] = []
    while trial.updates < variant.updates and run.solved is None and run.diverged is None:
        losses.append(trial.update())
        if math.isnan(losses[-1]):
            run.diverged = trial.updates
        elif trial.updates % variant.every == 0 or trial.updates == variant.updates:
            point = trial.evaluate(sum(losses) / len(losses))
            losses.clear()
            run.curve.append(point)
            if watch is not None:
                watch(point)
            if point.errors < task.allowed:
                run.solved = point.update
    run.seconds = time.perf_counter() - began
    return run
