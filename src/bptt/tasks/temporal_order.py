"""The temporal order problem."""

from math import log

import torch
from torch import Generator

from bptt.tasks._task import CLASSES, Batch, Task, TaskError, lengths_of, one_hot, place
from bptt.tasks._variant import Variant

PLACES = {2: (0.1, 0.5), 3: (0.1, 0.3, 0.6)}
"""Where the symbols that matter stand: each in a tenth of the sequence that begins at this share of it."""

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
SMALL = Variant(
    source="a minute of one core; a tanh RNN needs these lengths, a GRU would learn longer ones",
    task={"length": (20, 50)},
    cell="gru",
)
PUBLISHED = (
    "Pascanu et al. (2013): tanh RNN, clipping and their regulariser solve lengths 50 to 200 on 5 of 5 seeds",
)
DIFFERS = ("without their regulariser, torch's initialisation or the remedy's",)


def temporal_order(length: int | tuple[int, int] = (50, 200), bits: int = 2) -> Task:
    """Tell in which order two symbols came (or three), among many that do not matter.

    Inputs are one-hot of 6 symbols: A or B at one step of `[0.1 T, 0.2 T)` and of `[0.5 T, 0.6 T)`, anywhere else one
    of four distractors. The target, at the last step, is which of the 4 pairs it was. With 3 bits the tenths begin at
    `0.1 T`, `0.3 T` and `0.6 T`, and there are 8 classes. The answer without memory has the loss `ln 4`, or `ln 8`.

    Args:
        length: steps T, 10 or more; or the shortest and the longest.
        bits: 2 or 3 symbols that matter.

    Raises:
        TaskError: shorter than ten steps, or another number of bits.

    Example:
        >>> task = temporal_order(length=(20, 50), bits=3)
        >>> task.outputs, round(task.chance_loss(), 4)
        (8, 2.0794)

    Source: Hochreiter & Schmidhuber, Neural Computation 9 (1997), experiment 6; places as Pascanu, Mikolov & Bengio,
    arXiv 1211.5063 (2013).
    """
    lengths = lengths_of(length, 10, "temporal_order")
    if bits not in PLACES:
        raise TaskError(f"temporal_order has {bits} bits, expected 2 or 3")

    def draw(generator: Generator, size: int, T: int) -> Batch:
        symbols = torch.randint(2, 6, (T, size), generator=generator)
        matter = torch.randint(2, (bits, size), generator=generator)
        for bit, share in zip(matter, PLACES[bits], strict=True):
            # The tenth of a sequence, in whole steps: round() first, or 0.3 * 50 would be 14.
            begin = int(round(share * T, 6))
            symbols[place(generator, size, begin, begin + T // 10), torch.arange(size)] = bit
        classes = (matter * 2 ** torch.arange(bits).unsqueeze(1)).sum(0, keepdim=True)
        return Batch(one_hot(symbols, 6), classes)

    lag = lengths[1] - 1 - lengths[1] // 10
    return Task("temporal_order", lengths, lag, 6, 2**bits, draw, lambda _: bits * log(2), CLASSES)
