"""The multiplication problem."""

import torch
from torch import Generator

from bptt.tasks._task import SQUARED, Batch, Task, lengths_of, place
from bptt.tasks._variant import Variant

PAPER = Variant(
    source="Pascanu, Mikolov & Bengio (2013): tanh RNN, SGD with the norm clipped; lengths 50 to 200",
    task={"length": (50, 200)},
    cell="rnn",
    hidden=50,
    batch=20,
    optimizer="sgd",
    lr=0.01,
    clip=1.0,
    updates=5_000_000,
    every=10_000,
    sequences=10_000,
)
SMALL = Variant(source="a minute of one core", task={"length": (50, 55)}, cell="gru")
PUBLISHED = (
    "Pascanu et al. (2013): tanh RNN, clipping and their regulariser solve it on all seeds",
)
DIFFERS = ("without their regulariser, torch's initialisation or the remedy's",)


def multiplication(length: int | tuple[int, int] = (50, 200)) -> Task:
    """Multiply the two marked numbers of a sequence.

    Inputs as for `adding`, but the first mark stands in the first tenth of the sequence and the second before its
    middle, so that half of the sequence lies between the last number that matters and the answer. The target is the
    product. The answer without memory is 1/4, its loss the variance `1/9 - 1/16` of the product. An answer is wrong
    where its squared error is above 0.04.

    Args:
        length: steps T, 10 or more; or the shortest and the longest. The source draws it between L and 1.1 L.

    Raises:
        TaskError: shorter than ten steps.

    Example:
        >>> round(multiplication(length=50).chance_loss(), 4)
        0.0486

    Source: Hochreiter & Schmidhuber, Neural Computation 9 (1997), experiment 5; places of the marks as Martens &
    Sutskever (2011) and Pascanu, Mikolov & Bengio, arXiv 1211.5063 (2013).
    """
    lengths = lengths_of(length, 10, "multiplication")
    return Task(
        "multiplication", lengths, lengths[1] - 1, 2, 1, _draw, lambda _: 1 / 9 - 1 / 16, SQUARED
    )


def _draw(generator: Generator, size: int, length: int) -> Batch:
    numbers, each = torch.rand(length, size, generator=generator), torch.arange(size)
    first = place(generator, size, 0, length // 10)
    second = place(generator, size, length // 10, length // 2)
    marks = torch.zeros(length, size)
    marks[first, each] = marks[second, each] = 1
    product = numbers[first, each] * numbers[second, each]
    return Batch(torch.stack([numbers, marks], -1), product.unsqueeze(0))
