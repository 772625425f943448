"""The delayed XOR problem."""

from math import log

import torch
from torch import Generator

from bptt.tasks._task import BITS, Batch, Task, TaskError, lengths_of
from bptt.tasks._variant import Variant

PAPER = Variant(
    source="Engelken (2023): rate RNN of 80 units, AdamW with the norm clipped at 0.03, T = 300",
    task={"length": 300, "delay": 10},
    cell="rnn",
    hidden=80,
    batch=16,
    optimizer="adamw",
    lr=1e-3,
    clip=0.03,
    updates=3001,
    every=100,
    sequences=1000,
)
SMALL = Variant(source="a minute of one core", task={"length": 100, "delay": 5}, cell="gru")
PUBLISHED = (
    "Engelken (2023): gradient flossing before training raises the share of runs that solve it (abstract)",
)


def delayed_xor(length: int | tuple[int, int] = 300, delay: int = 10) -> Task:
    """At every step, the exclusive or of the inputs `d` and `2 d` steps ago.

    Inputs are independent fair bits `s_t`, 0 or 1. Targets from step `2 d` on: `s_{t-d} xor s_{t-2d}`. No answer
    without memory knows anything, and neither does one that remembers only one of the two: its loss is `ln 2`.

    Args:
        length: steps T, above `2 d`; or the shortest and the longest.
        delay: d, 1 or more.

    Raises:
        TaskError: a delay below 1, or a sequence too short for it.

    Example:
        >>> x, target = delayed_xor(length=30, delay=5).batch(0, size=4)
        >>> s = x[..., 0]
        >>> torch.equal(target, (s[5:25] + s[:20]) % 2)
        True

    Source: Engelken, gradient flossing, NeurIPS 2023, and its published code.
    """
    if delay < 1:
        raise TaskError(f"delayed_xor has delay {delay}, expected 1 or more")
    lengths = lengths_of(length, 2 * delay + 1, "delayed_xor")

    def draw(generator: Generator, size: int, T: int) -> Batch:
        bits = torch.randint(2, (T, size), generator=generator).float()
        target = (bits[delay : T - delay] != bits[: T - 2 * delay]).float()
        return Batch(bits.unsqueeze(-1), target)

    return Task("delayed_xor", lengths, 2 * delay, 1, 1, draw, lambda _: log(2), BITS)
