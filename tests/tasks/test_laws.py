"""The laws that every task meets: one test a law, one case a row of the table."""

import math
from collections.abc import Callable
from itertools import islice

import pytest
import torch
from torch import Tensor

from bptt.tasks import Batch, Evaluation, Task, TaskError, Variant, entry, table, train

NAMES = list(table())
SAMPLE = 4000

# Short enough that a large sample is cheap; ranges of lengths where a task is published with one.
SHORT: dict[str, dict[str, object]] = {
    "adding": {"length": 12},
    "copy": {"length": (4, 6)},
    "delayed_xor": {"length": 15, "delay": 3},
    "memorisation": {"length": 5, "words": 3, "symbols": 4},
    "multiplication": {"length": (10, 14)},
    "permuted_digits": {"side": 8},
    "random_permutation": {"length": 8},
    "sequential_digits": {"side": 8},
    "temporal_order": {"length": (10, 25), "bits": 3},
}


def short(name: str) -> Task:
    return table()[name].make(**SHORT[name])


def same(one: Batch, other: Batch) -> bool:
    return torch.equal(one.x, other.x) and torch.equal(one.target, other.target)


def without_memory(task: Task, target: Tensor) -> Tensor:
    """Outputs `[R, B, O]` that are constant over sequences, and best among such for these targets `[R, B]`."""
    if task.score.name == "cross-entropy":
        counts = torch.nn.functional.one_hot(target, task.outputs).double().mean(1, keepdim=True)
        best = counts.clamp_min(1e-300).log()
    elif task.score.name == "cross-entropy of bits":
        best = torch.logit(target.double().mean(1, keepdim=True)).unsqueeze(-1)
    else:
        best = target.double().mean(1, keepdim=True).unsqueeze(-1)
    return best.expand(-1, target.shape[1], -1)


@pytest.mark.parametrize("name", NAMES)
def test_the_answer_without_memory_has_the_chance_loss(name: str) -> None:
    task = short(name)
    shortest, longest = task.lengths
    losses = []
    for length in range(
        shortest, longest + 1
    ):  # the constant answer knows how long the sequence is
        _, target = task.draw(torch.Generator().manual_seed(length), SAMPLE, length)
        answer = without_memory(task, target)
        losses.append(
            float(
                task.score.loss(answer, target if target.dtype == torch.int64 else target.double())
            )
        )
    # 4,000 sequences give a mean square to 2 %, and entropies to far better.
    assert sum(losses) / len(losses) == pytest.approx(task.chance_loss(), rel=0.025)


@pytest.mark.parametrize("name", NAMES)
def test_the_answer_without_memory_does_not_solve(name: str) -> None:
    task = short(name)
    _, target = task.draw(torch.Generator().manual_seed(1), SAMPLE, task.lengths[1])
    wrong = task.score.wrong(without_memory(task, target).float(), target)[-task.judged :]
    share = float(wrong.double().mean())
    assert share > 0.3
    assert not task.solved(Evaluation(0.0, share, SAMPLE))


@pytest.mark.parametrize("name", NAMES)
def test_the_right_answer_solves(name: str) -> None:
    task = short(name)

    def knows(batch: Batch) -> Callable[[Tensor, int], Tensor]:
        target = batch.target
        if target.dtype == torch.int64:
            return lambda *_: 20 * torch.nn.functional.one_hot(target, task.outputs).float()
        sharp = 40 * target - 20 if "bits" in task.score.name else target
        return lambda *_: sharp.unsqueeze(-1)

    batch = next(task.evaluation(50))
    found = task.evaluate(knows(batch), 50)
    assert found.errors == 0.0
    assert found.loss < 1e-4
    assert task.solved(found)


@pytest.mark.parametrize("name", NAMES)
def test_batch_n_is_a_function_of_seed_and_n(name: str) -> None:
    before = torch.get_rng_state()
    first = [short(name).batch(n, size=6, seed=3) for n in range(4)]
    task = short(name)
    assert all(same(task.batch(n, size=6, seed=3), first[n]) for n in (3, 1, 0, 2))
    assert not same(first[0], first[1])
    assert not same(task.batch(0, size=6, seed=4), first[0])
    assert not same(next(task.evaluation(6, seed=3)), first[0])
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("name", NAMES)
def test_shapes_and_lengths(name: str) -> None:
    task = short(name)
    seen = set()
    for n in range(150):
        x, target = task.batch(n, size=3)
        seen.add(len(x))
        assert x.shape[1:] == (3, task.inputs)
        assert x.dtype == torch.float32
        assert target.shape[1:] == (3,)
        assert 1 <= len(target) <= len(x)
        assert task.judged <= len(target)
    shortest, longest = task.lengths
    assert len(seen) == longest - shortest + 1


@pytest.mark.parametrize("name", NAMES)
def test_the_lag_is_needed_and_no_longer_one(name: str) -> None:
    """A sequence's answers follow from inputs at most `lag` steps before; the longest task has such a pair."""
    task = short(name)
    longest = task.lengths[1]
    x, target = task.draw(torch.Generator().manual_seed(2), 400, longest)
    assert task.lag < len(x)
    if name == "delayed_xor":
        assert len(x) - len(target) == task.lag
    elif task.judged:  # the pattern comes back: word i at lag steps behind itself
        assert torch.equal(x[: task.judged].argmax(-1), target[-task.judged :])
        assert len(x) - task.judged == task.lag
    elif "digits" not in name:
        decides = x[..., 1] > 0 if task.inputs == 2 else x[..., :2].sum(-1) > 0
        first = decides.float().argmax(0)
        assert len(x) - 1 - int(first.min()) == task.lag


@pytest.mark.parametrize("name", NAMES)
def test_evaluation_has_as_many_sequences_as_asked(name: str) -> None:
    task = short(name)
    assert [b.x.shape[1] for b in task.evaluation(510)] == [250, 250, 10]
    some = [b.x for b in islice(task.evaluation(510), 2)]
    assert some[0].shape != some[1].shape or not torch.equal(*some)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("which", ["paper", "small"])
def test_a_variant_trains(name: str, which: str) -> None:
    """The published settings and the small ones are accepted by task and loop, at a size that a test can have."""
    row = table()[name]
    variant: Variant = getattr(row, which)
    assert set(variant.task) <= set(row.arguments)
    assert variant.source
    few = {**vars(variant), "hidden": 6, "batch": 2, "updates": 2, "every": 1, "sequences": 4}
    task = row.make(**variant.task) if which == "small" else short(name)
    run = train(task, Variant(**few))
    assert run.curve[0].update == 1
    assert all(math.isfinite(value) for point in run.curve for value in point)
    assert run.chance == task.chance_loss()


@pytest.mark.parametrize(
    ("name", "arguments", "sentence"),
    [
        ("adding", {"length": 1}, "adding has length 1, expected 2 or more"),
        ("adding", {"length": (9, 5)}, r"length \(9, 5\)"),
        ("copy", {"length": 0}, "copy has length 0, expected 1 or more"),
        ("multiplication", {"length": 9}, "expected 10 or more"),
        ("temporal_order", {"length": 9}, "expected 10 or more"),
        ("temporal_order", {"bits": 4}, "4 bits, expected 2 or 3"),
        ("random_permutation", {"length": 1}, "expected 2 or more"),
        ("memorisation", {"symbols": 1}, "1 word and 2 symbols or more"),
        ("delayed_xor", {"length": 20, "delay": 10}, "expected 21 or more"),
        ("delayed_xor", {"delay": 0}, "delay 0, expected 1 or more"),
        ("sequential_digits", {"side": 10}, "side 10, expected 8 or 28"),
        ("permuted_digits", {"side": 10}, "side 10, expected 8 or 28"),
    ],
)
def test_what_a_task_cannot_be(name: str, arguments: dict[str, object], sentence: str) -> None:
    with pytest.raises(TaskError, match=sentence):
        table()[name].make(**arguments)


def test_unknown_names() -> None:
    with pytest.raises(TaskError, match="did you mean temporal_order"):
        entry("temporal-order")
    with pytest.raises(TaskError, match="there are adding, copy"):
        entry("x")


def test_a_batch_that_cannot_be() -> None:
    for arguments in ({"n": -1, "size": 1}, {"n": 0, "size": 0}, {"n": 0, "size": 1, "seed": -1}):
        with pytest.raises(TaskError, match="expected a number and a seed of 0 or more"):
            short("adding").batch(**arguments)
