"""What a training of a language model is told, and what it is called with when told nothing."""

import json
import math
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from bptt._errors import BpttError

CELLS = ("rnn", "relu-rnn", "gru", "lstm")
TOKENS = ("chars", "bytes", "bpe")
OPTIMIZERS = ("adamw", "sgd")
BACKENDS = ("auto", "native", "reference", "torch")
KINDS = {
    int: "a whole number", float: "a number", bool: "true or false", str: "a word", tuple: "a list of words",
}  # fmt: skip
"""What a setting of each type is called."""
LEARNING_RATE = {"rnn": 1e-3, "relu-rnn": 5e-4, "gru": 2e-3, "lstm": 3e-3}
"""Where AdamW starts from, by cell: ungated recurrences survive smaller steps only."""


class LmError(BpttError):
    """A text, a setting or a saved model that a language model cannot be trained on or read from."""


@dataclass(frozen=True)
class Config:
    """Settings of a training.

    Attributes:
        files: texts to train on; none means the State of the Union addresses.
        held_out: texts to validate on; none means the last tenth of what there is.
        field: the field of JSON lines and parquet rows that holds the text.
        tokens: `chars`, `bytes` or `bpe`.
        vocabulary: number of symbols that BPE is trained to.
        cell: `rnn`, `relu-rnn`, `gru` or `lstm`.
        layers, hidden: recurrent layers L and units H of each.
        embedding: inputs I of the first layer; 0 means H if tied, else 128 or H, whichever is less.
        tie: the read-out's weights are the embedding's.
        dropout: share of units dropped after each layer, the same ones at every step of a chunk.
        weight_drop: share of the recurrent weights dropped, the same ones at every step of a chunk.
        batch, length: streams B over all processes, and steps T of a chunk.
        optimizer, lr, weight_decay, clip: lr 0 means the cell's own; `clip` bounds the gradient's norm, 0 does not.
        warmup: updates in which the learning rate rises from 0; after them it falls along a cosine.
        updates: how many in all; 0 means as many as `epochs` are, or as `minutes` allow.
        epochs: passes over the text, where neither `updates` nor `minutes` is given.
        minutes: time after which training ends; 0 for no limit.
        validate_every, validation_tokens: updates between validations, and symbols that one reads at most.
        save_every: updates between checkpoints.
        patience: validations without a better one after which training ends; 0 for never.
        budget: share of the time that the monitor may take; 0 probes the first update only, below 0 watches nothing.
        seed: of weights, order of the text and dropout.
        backend: the engine of the recurrent layers; `torch` is plain torch.nn.
        bf16: products of the recurrent layers on operands rounded to bfloat16.

    Raises:
        LmError: a value out of range; the message names it.

    Example:
        >>> Config(cell="gru", hidden=64).rate
        0.002
        >>> Config(cell="gur")
        Traceback (most recent call last):
        bptt.lm._config.LmError: cell is 'gur', expected one of rnn, relu-rnn, gru, lstm
    """

    files: tuple[str, ...] = ()
    held_out: tuple[str, ...] = ()
    field: str = "text"
    tokens: str = "chars"
    vocabulary: int = 4096
    cell: str = "lstm"
    layers: int = 1
    hidden: int = 512
    embedding: int = 0
    tie: bool = False
    dropout: float = 0.0
    weight_drop: float = 0.0
    batch: int = 64
    length: int = 128
    optimizer: str = "adamw"
    lr: float = 0.0
    weight_decay: float = 0.01
    clip: float = 1.0
    warmup: int = 100
    updates: int = 0
    epochs: float = 4.0
    minutes: float = 0.0
    validate_every: int = 500
    validation_tokens: int = 2**18
    save_every: int = 250
    patience: int = 0
    budget: float = 0.02
    seed: int = 0
    backend: str = "auto"
    bf16: bool = False

    def __post_init__(self) -> None:
        self._check_types()
        for name, allowed in (
            ("tokens", TOKENS),
            ("cell", CELLS),
            ("optimizer", OPTIMIZERS),
            ("backend", BACKENDS),
        ):
            if getattr(self, name) not in allowed:
                raise LmError(
                    f"{name} is {getattr(self, name)!r}, expected one of {', '.join(allowed)}"
                )
        for name in ("layers", "hidden", "batch", "length", "validate_every", "save_every"):
            self._at_least(name, 1)
        for name in ("embedding", "warmup", "updates", "patience", "seed", "lr", "clip", "minutes"):
            self._at_least(name, 0)
        self._at_least("weight_decay", 0)
        self._at_least("vocabulary", 257)
        self._at_least("validation_tokens", 1)
        for name in ("dropout", "weight_drop"):
            if not 0 <= getattr(self, name) < 1:
                raise LmError(
                    f"{name} is {getattr(self, name)}, expected a share from 0 to below 1"
                )
        if self.cell == "relu-rnn" and self.weight_drop:
            raise LmError(
                "weight_drop was asked for with relu-rnn, whose recurrence starts as the identity: weights scaled up "
                "for those dropped make it grow without bound; give dropout, or another cell"
            )
        if not 0 < self.epochs < math.inf:
            raise LmError(f"epochs is {self.epochs}, expected a positive number")
        if self.tie and self.embedding not in (0, self.hidden):
            raise LmError(
                f"tie was asked for with embedding {self.embedding} and hidden {self.hidden}; tied weights need both "
                "to be the same, so leave embedding out"
            )

    def _check_types(self) -> None:
        """That every setting is of its default's type and not beyond all use; a whole number will do for a float."""
        for each in fields(self):
            value: Any = getattr(self, each.name)
            kind: type = type(each.default)
            fits = type(value) is kind or (kind is float and type(value) is int)
            if isinstance(value, tuple):
                fits = fits and all(isinstance(name, str) for name in value)
            if not fits:
                raise LmError(f"{each.name} is {value!r}, expected {KINDS[kind]}")
            most = (
                2**31 if kind is int else 1e300
            )  # sizes that a machine has; floats that can be doubled
            if isinstance(value, int | float) and not abs(value) < most and each.name != "seed":
                raise LmError(f"{each.name} is {value}, expected a number below {most}")
        if not self.seed < 2**63:
            raise LmError(f"seed is {self.seed}, expected a number below 2**63")

    def _at_least(self, name: str, least: int) -> None:
        value = getattr(self, name)
        if not least <= value < math.inf:
            raise LmError(f"{name} is {value}, expected a number of at least {least}")

    @property
    def rate(self) -> float:
        """The largest learning rate of the schedule."""
        return self.lr or LEARNING_RATE[self.cell] * (1 if self.optimizer == "adamw" else 300)

    @property
    def inputs(self) -> int:
        """Inputs I of the first layer."""
        return self.embedding or (self.hidden if self.tie else min(self.hidden, 128))

    def to_json(self) -> str:
        """For a file; `read` takes it back."""
        return json.dumps(asdict(self), indent=1)

    @staticmethod
    def read(text: str, where: str | Path) -> "Config":
        """From JSON.

        Raises:
            LmError: it is not what `to_json` wrote.
        """
        try:
            told: dict[str, Any] = json.loads(text)
            unknown = sorted(set(told) - {each.name for each in fields(Config)})
            if unknown:
                raise ValueError(f"unknown setting {unknown[0]}")
            told |= {name: tuple(told[name]) for name in ("files", "held_out") if name in told}
            return Config(**told)
        except LmError:
            raise
        except (ValueError, TypeError) as error:
            raise LmError(f"{where} does not hold the settings of a training ({error})") from None
