"""The noiseless memorisation problem."""

from math import log

import torch
from torch import Generator

from bptt.tasks._task import CLASSES, Batch, Task, TaskError, lengths_of, one_hot
from bptt.tasks._variant import Variant

PAPER = Variant(
    source="Pascanu, Mikolov & Bengio (2013): tanh RNN, SGD with the norm clipped; 5 bits, a model a length",
    task={"length": 50, "words": 5, "symbols": 2},
    cell="rnn",
    hidden=100,
    batch=20,
    optimizer="sgd",
    lr=0.01,
    clip=1.0,
    updates=5_000_000,
    every=10_000,
    sequences=10_000,
)
SMALL = Variant(
    source="a minute of one core",
    task={"length": 50, "words": 5, "symbols": 2},
    cell="gru",
    lr=5e-3,
)
PUBLISHED = (
    "Pascanu et al. (2013): tanh RNN, clipping and their regulariser solve it on all seeds, at T = 50, 100, 150, 200",
)
DIFFERS = ("without their regulariser, torch's initialisation or the remedy's",)


def memorisation(length: int | tuple[int, int] = 50, words: int = 5, symbols: int = 2) -> Task:
    """Say a pattern again after a constant pause.

    Inputs, `T + 2 n` steps, one-hot of `s + 2` symbols: n of s symbols, T blanks, the sign to speak, n - 1 blanks.
    Targets, `s + 1` symbols: blanks, then the pattern at the last n steps. Nothing is random between pattern and
    answer, hence noiseless. The answer without memory has the loss `n ln s / (T + 2 n)`. Only the last n answers are
    judged.

    Args:
        length: T, 1 or more; or the shortest and the longest.
        words: n, symbols of the pattern.
        symbols: s; 2 for the 5-bit problem, 5 with `words=10` for the one of 20 bits and more.

    Raises:
        TaskError: no pause, an empty pattern, or fewer than two symbols.

    Example:
        >>> task = memorisation(length=50)
        >>> task.batch(0, size=1).x.shape, round(task.chance_loss(), 4)
        (torch.Size([60, 1, 4]), 0.0578)

    Source: Martens & Sutskever (2011), 5-bit and 20-bit memorisation; in this form Pascanu, Mikolov & Bengio, arXiv
    1211.5063 (2013).
    """
    lengths = lengths_of(length, 1, "memorisation")
    if words < 1 or symbols < 2:
        raise TaskError(
            f"memorisation of {words} words of {symbols} symbols: expected 1 word and 2 symbols or more"
        )

    def draw(generator: Generator, size: int, T: int) -> Batch:
        pattern = torch.randint(symbols, (words, size), generator=generator)
        x = torch.full((T + 2 * words, size), symbols)
        target = x.clone()
        x[:words] = target[-words:] = pattern
        x[T + words] = symbols + 1
        return Batch(one_hot(x, symbols + 2), target)

    return Task(
        "memorisation",
        lengths,
        lengths[1] + words,
        symbols + 2,
        symbols + 1,
        draw,
        lambda T: words * log(symbols) / (T + 2 * words),
        CLASSES,
        judged=words,
    )
