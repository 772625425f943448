"""Digits read pixel by pixel, in one fixed random order."""

import torch

from bptt.tasks._digits import digits
from bptt.tasks._task import Task, generator_of
from bptt.tasks._variant import Variant
from bptt.tasks.sequential_digits import PAPER as _PAPER
from bptt.tasks.sequential_digits import SMALL as _SMALL

PAPER: Variant = _PAPER
SMALL: Variant = _SMALL
PUBLISHED = (
    "all of MNIST, Arjovsky et al. (2016): LSTM 12 % wrong, uRNN 8.6 %",
    "all of MNIST, as tabulated by Cooijmans et al. (2017): IRNN 18 % wrong, tanh RNN 65 %",
)
DIFFERS = ("1,438 other digits to train on, not 60,000 of MNIST",)


def permuted_digits(side: int = 28) -> Task:
    """Name a handwritten digit whose pixels are shown one a step, in a random order that is the same for all.

    As `sequential_digits`, but neighbouring pixels come far apart, so that what belongs together has to be remembered
    over the whole sequence. The order is drawn once and never changes, whatever the seed. Solved below 20 % of errors.

    Args:
        side: 28 or 8 pixels.

    Raises:
        TaskError: another side, or, when data is drawn, a package that is not installed.

    Example:
        >>> permuted_digits(side=8).batch(0, size=2).x.shape
        torch.Size([64, 2, 1])

    Source: Le, Jaitly & Hinton, arXiv 1504.00941 (2015).
    """
    order = torch.randperm(side * side, generator=generator_of(0, "permuted"))
    return digits("permuted_digits", side, order, 0.2)
