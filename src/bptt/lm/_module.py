"""The model in training, as Lightning runs it: a chunk an update, the state carried, the learning rate on a curve."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import lightning.pytorch as L
import torch
from jaxtyping import Float
from torch import Tensor
from torch.optim import Optimizer

from bptt.lm._config import Config, LmError
from bptt.lm._model import LanguageModel, draw, nats
from bptt.lm._stream import IGNORED, Batch
from bptt.lm._vocabulary import UNKNOWN_BITS, Vocabulary
from bptt.remedies import ClipNorm, Clipper

LEAST_RATE = 0.01
"""Where the cosine ends, as a share of the largest learning rate."""


@dataclass(frozen=True)
class Point:
    """One validation.

    Attributes:
        update: updates made.
        seconds: time of training so far, resumed runs together.
        training: mean bits per symbol of the training text since the point before.
        bits: bits per character of the validation text.
        perplexity: per symbol of it.
    """

    update: int
    seconds: float
    training: float
    bits: float
    perplexity: float


@dataclass
class Tally:
    """Sums over a text: nats, symbols, characters, and symbols that stand for an unknown character."""

    nats: float = 0.0
    symbols: int = 0
    characters: int = 0
    unknown: int = 0

    @property
    def bits(self) -> float:
        """Per character; what an unknown one is, is paid for too."""
        return (self.nats / math.log(2) + self.unknown * UNKNOWN_BITS) / max(self.characters, 1)

    @property
    def perplexity(self) -> float:
        """Per symbol."""
        return math.exp(min(self.nats / max(self.symbols, 1), 700.0))

    def add(self, loss: float, targets: Tensor, lengths: Tensor, unknown: int | None) -> None:
        """One chunk."""
        counted = targets[targets != IGNORED]
        self.nats += loss
        self.symbols += counted.numel()
        self.characters += int(lengths[counted].sum())
        self.unknown += 0 if unknown is None else int((counted == unknown).sum())


@dataclass
class Progress:
    """How far a training has come; travels in the checkpoint.

    Attributes:
        seconds: time of training so far.
        points: validations.
        losses: sum of the training bits per symbol since the last of them, and how many.
        best: fewest bits per character so far.
        waited: validations since then.
    """

    seconds: float = 0.0
    points: list[Point] = field(default_factory=list)
    losses: tuple[float, int] = (0.0, 0)
    best: float = math.inf
    waited: int = 0


class Training(L.LightningModule):
    """The loop's own part of a training; everything that a resumed run needs is in its checkpoint.

    Args:
        config: settings.
        vocabulary: symbols of the text.
        updates: how many in all, which the learning rate's curve spans; 0 where time does (`config.minutes`).
    """

    def __init__(self, config: Config, vocabulary: Vocabulary, updates: int) -> None:
        super().__init__()
        self.config, self.updates = config, updates
        self.model = LanguageModel(config, vocabulary.size)
        self.lengths = torch.from_numpy(vocabulary.lengths())
        self.unknown = vocabulary.unknown
        self.clipper = Clipper(ClipNorm(config.clip)) if config.clip else None
        self.progress = Progress()
        self.tally = Tally()
        self._lanes: Tensor | None = None  # carried states of all lanes, as a checkpoint has them
        self._carried = self._evaluated = self.model.start(0)

    # Which lanes are this process's.

    @property
    def own(self) -> slice:
        """The lanes of this process."""
        return slice(self.global_rank, None, self.trainer.world_size)

    # One update.

    def on_train_start(self) -> None:
        """Take up the state where a checkpoint left it."""
        lanes = self.model.start(self.config.batch) if self._lanes is None else self._lanes
        self._carried = lanes[:, :, self.own].to(self.device).contiguous()

    def training_step(self, batch: Batch, index: int) -> Tensor:
        """`Σ nats · W / count`: its mean over W processes, which is what they share, is the mean over all targets."""
        masks = draw(self.model, self.config.batch, self.own, batch.step)
        logits, end = self.model(batch.ids, unless(batch, self._carried), masks)
        self._carried = end.detach()
        return nats(logits, batch.targets) * (self.trainer.world_size / batch.counted)

    def optimizer_step(
        self,
        epoch: int,
        batch_idx: int,
        optimizer: Any,
        optimizer_closure: Callable[[], Any] | None = None,
    ) -> None:
        """Forward and backward first, then clip, then step: whoever watches the step sees whole gradients."""
        for group in optimizer.param_groups:
            group["lr"] = self.config.rate * self.factor(self.global_step)
        loss = float(optimizer_closure()) if optimizer_closure is not None else math.nan
        finite = math.isfinite(loss)
        if self.clipper is not None and finite:
            finite = math.isfinite(self.clipper.clip(self.model.parameters()).norm)
        if not finite:
            raise LmError(
                f"loss or gradient were not finite at update {self.global_step + 1:,}; the last checkpoint is intact. "
                "Give a smaller --lr or --clip"
            )
        optimizer.step()
        total, many = self.progress.losses
        self.progress.losses = (total + loss / math.log(2), many + 1)

    def factor(self, update: int) -> float:
        """Share of the largest learning rate: up a line, down a cosine over what is left of updates or time."""
        by_clock = self.progress.seconds / (60 * (self.config.minutes or 1))
        done = update / self.updates if self.updates else by_clock
        fall = (1 + math.cos(math.pi * min(done, 1.0))) / 2
        rise = min(1.0, (update + 1) / (self.config.warmup + 1))
        return rise * (LEAST_RATE + (1 - LEAST_RATE) * fall)

    def configure_optimizers(self) -> Optimizer:
        """Matrices decay; biases and the embedding, whose rows are rarely all seen, do not."""
        config = self.config
        free = [self.model.embedding.weight] + [p for p in self.model.parameters() if p.dim() < 2]
        known = {id(p) for p in free}
        groups = [
            {
                "params": [p for p in self.model.parameters() if id(p) not in known],
                "weight_decay": config.weight_decay,
            },
            {"params": free, "weight_decay": 0.0},
        ]
        groups = [group for group in groups if group["params"]]
        if config.optimizer == "sgd":
            return torch.optim.SGD(groups, lr=config.rate)
        return torch.optim.AdamW(groups, lr=config.rate, fused=True)

    # Validation.

    def on_validation_epoch_start(self) -> None:
        """Begin a pass over the validation text."""
        self.tally = Tally()

    def validation_step(self, batch: Batch, index: int) -> None:
        """One chunk."""
        if index == 0:
            self._evaluated = self.model.start(batch.ids.shape[1])
        logits, self._evaluated = self.model(batch.ids, unless(batch, self._evaluated))
        loss = float(nats(logits, batch.targets))
        self.tally.add(loss, batch.targets.cpu(), self.lengths, self.unknown)

    def on_validation_epoch_end(self) -> None:
        """Add up over processes, and keep the point."""
        tally, progress = self.tally, self.progress
        training, many = progress.losses
        sums = [tally.nats, tally.symbols, tally.characters, tally.unknown, training]
        if self.trainer.world_size > 1:
            shared = torch.tensor(sums, dtype=torch.float64, device=self.device)
            sums = self.trainer.strategy.reduce(shared, reduce_op="sum").tolist()  # pyright: ignore[reportAttributeAccessIssue]
        tally = Tally(sums[0], *map(int, sums[1:4]))
        point = Point(
            self.global_step,
            round(progress.seconds, 1),
            sums[4] / max(many, 1) / self.trainer.world_size,
            tally.bits,
            tally.perplexity,
        )
        progress.points.append(point)
        progress.losses = (0.0, 0)
        better = point.bits < progress.best
        progress.best = min(point.bits, progress.best)
        progress.waited = 0 if better else progress.waited + 1

    # What a checkpoint holds besides weights and optimizer.

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """The states of all lanes, whichever process has them, and the progress."""
        progress = self.progress
        checkpoint["bptt"] = {
            "version": 1,
            "config": self.config.to_json(),
            "lanes": self._all_lanes().cpu(),
            "seconds": progress.seconds,
            "points": [vars(point) for point in progress.points],
            "losses": list(progress.losses),
            "best": progress.best,
            "waited": progress.waited,
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take it up again."""
        kept = checkpoint["bptt"]
        self._lanes = kept["lanes"]
        self.progress = Progress(
            kept["seconds"],
            [Point(**point) for point in kept["points"]],
            (float(kept["losses"][0]), int(kept["losses"][1])),
            kept["best"],
            kept["waited"],
        )

    def _all_lanes(self) -> Float[Tensor, "L parts B H"]:
        W, B = self.trainer.world_size, self.config.batch
        if W == 1:
            return self._carried
        room = -(
            -B // W
        )  # processes may have one lane more or less, and what they exchange has one shape
        own = self._carried
        padded = torch.cat(
            [own, own.new_zeros(*own.shape[:2], room - own.shape[2], own.shape[3])], 2
        )
        each = [torch.empty_like(padded) for _ in range(W)]
        torch.distributed.all_gather(each, padded)
        every = torch.stack(each)
        return every.permute(1, 2, 3, 0, 4).flatten(2, 3)[:, :, :B]


def unless(batch: Batch, state: Float[Tensor, "L parts b H"]) -> Float[Tensor, "L parts b H"]:
    """The carried state, zero where a lane begins a segment.

    A lane's own arithmetic must not see what others do, so an infinite state is cut too: a product with 0 is not.
    """
    return state.masked_fill(batch.fresh[None, None, :, None], 0.0)
