"""The copy problem."""

from math import log

import torch
from torch import Generator

from bptt.tasks._task import CLASSES, Batch, Task, lengths_of, one_hot
from bptt.tasks._variant import Variant

SYMBOLS, WORDS = 8, 10
BLANK, GO = SYMBOLS, SYMBOLS + 1

PAPER = Variant(
    source="Arjovsky, Shah & Bengio (2016): LSTM, RMSProp; lengths 100, 200, 300, 500",
    task={"length": 100},
    cell="lstm",
    hidden=40,
    batch=20,
    optimizer="rmsprop",
    lr=1e-3,
    clip=1.0,
    clip_by="value",
    updates=20_000,
    every=500,
    sequences=10_000,
)
SMALL = Variant(
    source="pilot runs on one core: with chrono a GRU solves it within these updates",
    task={"length": 100},
    cell="gru",
    hidden=128,
    batch=20,
    lr=5e-3,
    updates=7000,
    sequences=500,
)
PUBLISHED = (
    "Arjovsky et al. (2016): an LSTM gets below the loss without memory at T = 100 only",
    "Tallec & Ollivier (2018), T = 500 and 2,000: chrono solves it, forget bias 1 stays at the loss without memory",
)


def copy(length: int | tuple[int, int] = 100) -> Task:
    """Say ten symbols again after a pause.

    Inputs, T + 20 steps of 10 symbols, one-hot: ten of 8 symbols, T - 1 blanks, a sign to speak, ten blanks. Targets, 9
    symbols: T + 10 blanks, then the ten symbols in their order. The answer without memory says blank, then all 8
    symbols alike: its loss is `10 ln 8 / (T + 20)`. Only the last ten answers are judged.

    Args:
        length: T, 1 or more; or the shortest and the longest.

    Raises:
        TaskError: shorter than one step.

    Example:
        >>> task = copy(length=100)
        >>> round(task.chance_loss(), 4), task.lag
        (0.1733, 110)

    Source: Hochreiter & Schmidhuber, Neural Computation 9 (1997); in this form Arjovsky, Shah & Bengio, arXiv
    1511.06464 (2016).
    """
    lengths = lengths_of(length, 1, "copy")

    def chance(T: int) -> float:
        return WORDS * log(SYMBOLS) / (T + 2 * WORDS)

    return Task(
        "copy",
        lengths,
        lengths[1] + WORDS,
        SYMBOLS + 2,
        SYMBOLS + 1,
        _draw,
        chance,
        CLASSES,
        judged=WORDS,
    )


def _draw(generator: Generator, size: int, length: int) -> Batch:
    said = torch.randint(SYMBOLS, (WORDS, size), generator=generator)
    x = torch.full((length + 2 * WORDS, size), BLANK)
    target = x.clone()
    x[:WORDS] = target[-WORDS:] = said
    x[length + WORDS - 1] = GO
    return Batch(one_hot(x, SYMBOLS + 2), target)
