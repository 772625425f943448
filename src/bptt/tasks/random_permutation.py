"""The random permutation problem."""

from math import log

import torch
from torch import Generator

from bptt.tasks._task import CLASSES, Batch, Task, lengths_of, one_hot
from bptt.tasks._variant import Variant

SYMBOLS = 100

PAPER = Variant(
    source="Pascanu, Mikolov & Bengio (2013): tanh RNN, SGD with the norm clipped; 2 of 5 seeds solved it",
    task={"length": 100},
    cell="rnn",
    hidden=100,
    batch=20,
    optimizer="sgd",
    lr=0.001,
    clip=1.0,
    updates=5_000_000,
    every=10_000,
    sequences=10_000,
)
SMALL = Variant(source="a minute of one core", task={"length": 50}, cell="gru")
PUBLISHED = (
    "Pascanu et al. (2013): tanh RNN, clipping and their regulariser solve it on 2 of 5 seeds",
)
DIFFERS = ("without their regulariser, torch's initialisation or the remedy's",)


def random_permutation(length: int | tuple[int, int] = 100) -> Task:
    """Tell at the end which of two symbols stood at the beginning.

    Inputs are one-hot of 100 symbols: one of the first two, then T - 1 of the other 98 at random. The target at the
    last step is the first symbol. The name is historical: symbols between may repeat. The answer without memory has
    the loss `ln 2`, as the 98 never come last.

    Args:
        length: steps T, 2 or more; or the shortest and the longest.

    Raises:
        TaskError: shorter than two steps.

    Example:
        >>> x, target = random_permutation(length=20).batch(0, size=4)
        >>> torch.equal(x[0].argmax(-1), target[0])
        True

    Source: Hochreiter & Schmidhuber, Neural Computation 9 (1997), experiment 2; in this form Pascanu, Mikolov & Bengio,
    arXiv 1211.5063 (2013), whose published code reads the last step only.
    """
    lengths = lengths_of(length, 2, "random_permutation")
    return Task(
        "random_permutation",
        lengths,
        lengths[1] - 1,
        SYMBOLS,
        SYMBOLS,
        _draw,
        lambda _: log(2),
        CLASSES,
    )


def _draw(generator: Generator, size: int, length: int) -> Batch:
    symbols = torch.randint(2, SYMBOLS, (length, size), generator=generator)
    symbols[0] = torch.randint(2, (size,), generator=generator)
    return Batch(one_hot(symbols, SYMBOLS), symbols[:1].clone())
