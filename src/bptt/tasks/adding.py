"""The adding problem."""

import torch
from torch import Generator

from bptt.tasks._task import SQUARED, Batch, Task, lengths_of, place
from bptt.tasks._variant import Variant

PAPER = Variant(
    source="Arjovsky, Shah & Bengio (2016): LSTM, RMSProp; lengths 100, 200, 400, 750",
    task={"length": 200},
    cell="lstm",
    hidden=128,
    batch=20,
    optimizer="rmsprop",
    lr=1e-3,
    clip=1.0,
    clip_by="value",
    updates=20_000,
    every=500,
    sequences=10_000,
)
SMALL = Variant(source="a minute of one core", task={"length": 200}, cell="gru")
PUBLISHED = (
    "Arjovsky et al. (2016): an LSTM solves T = 100, 200, 400; at 750 it gets below the loss without memory, not to 0",
    "Arjovsky et al. (2016): a tanh RNN and an IRNN never get below the loss without memory",
)


def adding(length: int | tuple[int, int] = 200) -> Task:
    """Sum the two marked numbers of a sequence.

    Inputs `x_t = (u_t, m_t)`: `u_t` uniform in [0, 1); `m_t` is 1 at one step of the first half and one of the second,
    else 0. At the last step the target is the sum of the two marked numbers. The answer without memory is 1, its loss
    the variance of the sum of two uniform numbers, 1/6. An answer is wrong where its squared error is above 0.04.

    Args:
        length: steps T, 2 or more; or the shortest and the longest.

    Raises:
        TaskError: shorter than two steps.

    Example:
        >>> task = adding(length=100)
        >>> round(task.chance_loss(), 4)
        0.1667

    Source: Hochreiter & Schmidhuber, Neural Computation 9 (1997), experiment 4; halves and sum as Le, Jaitly & Hinton,
    arXiv 1504.00941 (2015), and Arjovsky, Shah & Bengio, arXiv 1511.06464 (2016).
    """
    lengths = lengths_of(length, 2, "adding")
    return Task("adding", lengths, lengths[1] - 1, 2, 1, _draw, lambda _: 1 / 6, SQUARED)


def _draw(generator: Generator, size: int, length: int) -> Batch:
    numbers = torch.rand(length, size, generator=generator)
    marks = torch.zeros(length, size)
    for begin, end in ((0, length // 2), (length // 2, length)):
        marks[place(generator, size, begin, end), torch.arange(size)] = 1
    return Batch(torch.stack([numbers, marks], -1), (numbers * marks).sum(0, keepdim=True))
