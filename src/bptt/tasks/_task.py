"""A task: sequences drawn from a seed, the loss of an answer without memory, and when it counts as solved."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import ceil
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Shaped
from torch import Generator, Tensor
from torch.nn import functional as F

from bptt._errors import BpttError

CHUNK = 250
"""Sequences of one batch of the evaluation set."""


class TaskError(BpttError):
    """A task that does not exist, a length that it cannot have, or data that is not installed."""


class Batch(NamedTuple):
    """Sequences and what is to be said at their last R steps.

    Attributes:
        x: `[T, B, I]`.
        target: `[R, B]`; numbers of classes as int64, else floats. The first T - R outputs are not looked at.
    """

    x: Tensor
    target: Tensor


@dataclass(frozen=True)
class Score:
    """How outputs `[R, B, O]` are held against targets `[R, B]`.

    Attributes:
        name: for messages.
        loss: the mean over steps and sequences; nats for classes and bits.
        wrong: which answers are wrong, `[R, B]`.
    """

    name: str
    loss: Callable[[Tensor, Tensor], Tensor]
    wrong: Callable[[Tensor, Tensor], Tensor]


def _square(output: Float[Tensor, "R B 1"], target: Float[Tensor, "R B"]) -> Float[Tensor, ""]:
    return F.mse_loss(output.squeeze(-1), target)


def _far_off(output: Float[Tensor, "R B 1"], target: Float[Tensor, "R B"]) -> Bool[Tensor, "R B"]:
    return ~((output.squeeze(-1) - target).square() <= 0.04)  # so that NaN is wrong, too


def _nats(output: Float[Tensor, "R B O"], target: Shaped[Tensor, "R B"]) -> Float[Tensor, ""]:
    return F.cross_entropy(output.flatten(0, 1), target.flatten())


def _other_class(
    output: Float[Tensor, "R B O"], target: Shaped[Tensor, "R B"]
) -> Bool[Tensor, "R B"]:
    return output.argmax(-1) != target


def _bit_nats(output: Float[Tensor, "R B 1"], target: Float[Tensor, "R B"]) -> Float[Tensor, ""]:
    return F.binary_cross_entropy_with_logits(output.squeeze(-1), target)


def _other_bit(output: Float[Tensor, "R B 1"], target: Float[Tensor, "R B"]) -> Bool[Tensor, "R B"]:
    return (output.squeeze(-1) > 0) != (target > 0.5)


SQUARED = Score("mean squared error", _square, _far_off)
"""Wrong where the squared error is above 0.04, the criterion of Hochreiter & Schmidhuber (1997)."""
CLASSES = Score("cross-entropy", _nats, _other_class)
BITS = Score("cross-entropy of bits", _bit_nats, _other_bit)


class Evaluation(NamedTuple):
    """What a model does on sequences that it was not trained on.

    Attributes:
        loss: the mean loss, as in training.
        errors: share of wrong answers among those that are judged.
        sequences: how many were tried.
    """

    loss: float
    errors: float
    sequences: int


@dataclass(frozen=True, eq=False)
class Task:
    """A long-range task of a given length. T steps, B sequences, I inputs, O outputs, R steps that are read.

    Batch n is a function of the seed and of n alone: a run that stops after n batches goes on with batch n, and no
    other random numbers are touched.

    Attributes:
        name: `adding`.
        lengths: the shortest and the longest; every batch draws its own between them, ends included.
        lag: steps from the first input that matters to the last answer that needs it, at the longest length.
        inputs: I.
        outputs: O.
        draw: from a generator, B and a length to a `Batch`.
        chance: from a length to the loss of the best answer without memory.
        score: loss and errors.
        judged: how many of the last answers count as right or wrong; 0 for all that are read.
        allowed: solved below this share of errors.
        held_out: as `draw`, for evaluation; None where all sequences are drawn afresh.

    Example:
        >>> from bptt.tasks import adding
        >>> task = adding(length=50)
        >>> x, target = task.batch(0, size=3)
        >>> x.shape, target.shape
        (torch.Size([50, 3, 2]), torch.Size([1, 3]))
        >>> torch.equal(task.batch(7, size=3).x, task.batch(7, size=3).x)
        True
    """

    name: str
    lengths: tuple[int, int]
    lag: int
    inputs: int
    outputs: int
    draw: Callable[[Generator, int, int], Batch]
    chance: Callable[[int], float]
    score: Score
    judged: int = 0
    allowed: float = 0.01
    held_out: Callable[[Generator, int, int], Batch] | None = None

    def batch(self, n: int, *, size: int, seed: int = 0) -> Batch:
        """Training batch n, n = 0, 1, … with `size` sequences."""
        return self._drawn(self.draw, "training", n, size, seed)

    def evaluation(self, sequences: int = 1000, *, seed: int = 0) -> Iterator[Batch]:
        """The evaluation set, in batches. Its random numbers are of another stream than those of training."""
        if sequences < 1:
            raise TaskError(f"an evaluation on {sequences} sequences: expected 1 or more")
        for n in range(ceil(sequences / CHUNK)):
            size = min(CHUNK, sequences - n * CHUNK)
            yield self._drawn(self.held_out or self.draw, "evaluation", n, size, seed)

    def chance_loss(self) -> float:
        """Loss of the best answer that knows the place in the sequence and nothing that came before it.

        It is the constant answer, step by step: the mean for squared errors, the frequencies for classes. A model that
        does not get below it has used no memory.
        """
        shortest, longest = self.lengths
        losses = [self.chance(length) for length in range(shortest, longest + 1)]
        return sum(losses) / len(losses)

    def solved(self, evaluation: Evaluation) -> bool:
        """Whether fewer answers are wrong than the success criterion allows."""
        return evaluation.errors < self.allowed

    @torch.no_grad()
    def evaluate(
        self, answer: Callable[[Tensor, int], Tensor], sequences: int = 1000, *, seed: int = 0
    ) -> Evaluation:
        """Try a model on the evaluation set.

        Args:
            answer: from inputs `[T, B, I]` and R to the last R outputs `[R, B, O]`.
            sequences: how many.
            seed: of the set.
        """
        loss = wrong = judged = 0.0
        for x, target in self.evaluation(sequences, seed=seed):
            output = answer(x, len(target))
            loss += float(self.score.loss(output, target)) * x.shape[1]
            missed = self.score.wrong(output, target)[-self.judged :]
            wrong, judged = wrong + int(missed.sum()), judged + missed.numel()
        return Evaluation(loss / sequences, wrong / judged, sequences)

    def _drawn(
        self,
        draw: Callable[[Generator, int, int], Batch],
        stream: str,
        n: int,
        size: int,
        seed: int,
    ) -> Batch:
        if n < 0 or size < 1 or seed < 0:
            raise TaskError(
                f"batch {n} of {size} sequences from seed {seed}: expected a number and a seed of 0 or more, and at "
                "least one sequence"
            )
        generator = generator_of(seed, stream, n)
        shortest, longest = self.lengths
        length = shortest
        if longest > shortest:
            length = int(torch.randint(shortest, longest + 1, (), generator=generator))
        return draw(generator, size, length)


_WORD = (1 << 64) - 1


def generator_of(seed: int, stream: str, n: int = 0) -> Generator:
    """A generator for one purpose; neighbouring seeds and numbers give unrelated streams.

    Steele, Lea & Flood's SplitMix64 (2014) mixes seed, stream and number into the generator's own seed.
    """
    state = 0
    for word in (seed, int.from_bytes(stream.encode()[:8], "little"), n):
        state = (state + word + 0x9E3779B97F4A7C15) & _WORD
        state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & _WORD
        state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & _WORD
        state ^= state >> 31
    return Generator().manual_seed(state >> 1)


def lengths_of(length: int | tuple[int, int], least: int, name: str) -> tuple[int, int]:
    """The shortest and the longest length that a task was asked for.

    Raises:
        TaskError: shorter than `least`, or a range whose ends are exchanged.
    """
    shortest, longest = (length, length) if isinstance(length, int) else length
    if not least <= shortest <= longest:
        raise TaskError(
            f"{name} has length {length}, expected {least} or more, or a range (shortest, longest) of such"
        )
    return shortest, longest


def one_hot(symbols: Shaped[Tensor, "T B"], count: int) -> Float[Tensor, "T B I"]:
    """Symbols' numbers as vectors with a single 1."""
    return F.one_hot(symbols, count).float()


def place(generator: Generator, size: int, begin: int, end: int) -> Shaped[Tensor, " B"]:
    """A step in `[begin, end)` for every sequence."""
    return torch.randint(begin, end, (size,), generator=generator)
