"""Each example does what its first line says, with settings that a test can wait for."""

import math
import runpy
from pathlib import Path

import pytest
import torch

from scripts import EXAMPLES, numbers, python

SMALL = ["--updates", "60", "--length", "32", "--batch", "16", "--hidden", "64", "--lr", "1e-2"]


@pytest.mark.parametrize(
    "options",
    [
        ["--cell", "rnn"],
        ["--cell", "relu-rnn"],
        ["--cell", "gru"],
        ["--cell", "lstm", "--stateful"],
    ],
    ids=" ".join,
)
def test_char_lm_learns_the_addresses(options: list[str]) -> None:
    printed = python(EXAMPLES / "char_lm.py", *SMALL, *options)
    first, *_, last = numbers(r"update \d+: ([\d.]+) bits", printed)
    (held_out,) = numbers(r"held out: ([\d.]+) bits", printed)
    assert first > 0.95 * math.log2(106)  # knows nothing yet
    # 4.5 bits is the entropy of single characters in these texts: less needs the characters before.
    assert last < 4.5
    assert held_out < 4.5


@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_adding_is_learnt_over_ten_steps(cell: str) -> None:
    settings = ["--length", "10", "--updates", "500", "--hidden", "32", "--lr", "1e-2"]
    printed = python(EXAMPLES / "adding.py", *settings, "--cell", cell)
    (error,) = numbers(r"fresh sequences: mean squared error ([\d.]+)", printed)
    assert error < 0.5 / 6  # who remembers nothing stays at 1/6


def test_adding_draws_what_it_says() -> None:
    draw = runpy.run_path(str(EXAMPLES / "adding.py"))["draw"]
    x, y = draw(50, 20_000)
    values, marks = x.unbind(-1)
    assert torch.equal((values * marks).sum(0), y)
    assert bool((marks[:25].sum(0) == 1).all())
    assert bool((marks[25:].sum(0) == 1).all())
    assert (y - 1).square().mean().item() == pytest.approx(1 / 6, rel=0.05)


@pytest.mark.parametrize(
    "options",
    [["--cell", "gru"], ["--cell", "lstm", "--bidirectional"], ["--cell", "rnn", "--workers", "2"]],
    ids=" ".join,
)
def test_sequence_classification_learns_the_digits(options: list[str]) -> None:
    settings = ["--epochs", "3", "--hidden", "32", "--batch", "16"]
    printed = python(EXAMPLES / "sequence_classification.py", *settings, *options)
    losses = numbers(r"loss ([\d.]+)", printed)
    accuracies = numbers(r"accuracy ([\d.]+)", printed)
    assert len(losses) == len(accuracies) == 3
    assert losses[-1] < losses[0]
    assert accuracies[-1] > 0.2  # one in ten by chance


def test_the_seed_decides_the_weights(tmp_path: Path) -> None:
    settings = ["--length", "10", "--updates", "20", "--hidden", "8"]

    def weights(seed: int, name: str) -> torch.Tensor:
        file = tmp_path / name
        python(EXAMPLES / "adding.py", *settings, "--seed", str(seed), "--save", file)
        return torch.cat([w.flatten() for w in torch.load(file).values()])

    first, again, other = weights(1, "a.pt"), weights(1, "b.pt"), weights(2, "c.pt")
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("script", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.name)
def test_examples_know_nothing_of_bptt(script: Path) -> None:
    assert "bptt" not in script.read_text(encoding="utf-8")
