"""Tasks of any size: what is asked follows from what was shown, chance is chance, and batch n is batch n."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from bptt.tasks import (
    CELLS,
    Evaluation,
    Learner,
    Task,
    TaskError,
    Trial,
    Variant,
    entry,
    table,
    train,
)
from properties.drawn import refused, times

sizes, seeds = st.integers(1, 5), st.integers(0, 2**40)


def lengths(least: int) -> st.SearchStrategy[Any]:
    """A length, or a range of them."""
    one = st.integers(least, least + 30)
    return one | st.tuples(one, one).map(sorted).map(tuple)


ARGUMENTS: dict[str, st.SearchStrategy[dict[str, Any]]] = {
    "adding": st.fixed_dictionaries({"length": lengths(2)}),
    "copy": st.fixed_dictionaries({"length": lengths(1)}),
    "delayed_xor": st.integers(1, 9).flatmap(
        lambda d: st.fixed_dictionaries({"delay": st.just(d), "length": lengths(2 * d + 1)})
    ),
    "memorisation": st.fixed_dictionaries(
        {"length": lengths(1), "words": st.integers(1, 7), "symbols": st.integers(2, 6)}
    ),
    "multiplication": st.fixed_dictionaries({"length": lengths(10)}),
    "permuted_digits": st.just({"side": 8}),
    "random_permutation": st.fixed_dictionaries({"length": lengths(2)}),
    "sequential_digits": st.just({"side": 8}),
    "temporal_order": st.fixed_dictionaries({"length": lengths(10), "bits": st.sampled_from([2, 3])}),
}  # fmt: skip


@st.composite
def tasks(draw: st.DrawFn) -> tuple[Task, dict[str, Any]]:
    """A task and the arguments that it was made from."""
    name = draw(st.sampled_from(list(table())))
    told = draw(ARGUMENTS[name])
    return entry(name).make(**told), told


def of_marks(x: Tensor, combined: Callable[[Tensor], Tensor]) -> Tensor:
    """What is made of the numbers that are marked, sequence by sequence."""
    return torch.stack(
        [combined(x[:, b, 0][x[:, b, 1] == 1]) for b in range(x.shape[1])]
    ).unsqueeze(0)


def asked(task: Task, told: dict[str, Any], x: Tensor) -> Tensor | None:
    """The targets, read off the inputs one step after the other; None for pictures."""
    symbols = x.argmax(-1)
    match task.name:
        case "adding":
            return of_marks(x, torch.sum)
        case "multiplication":
            return of_marks(x, torch.prod)
        case "delayed_xor":
            d, bits = told["delay"], x[..., 0].long()
            return torch.stack(
                [bits[t - d] ^ bits[t - 2 * d] for t in range(2 * d, len(x))]
            ).float()
        case "copy" | "memorisation":
            words, blank = task.judged, task.inputs - 2
            return torch.cat([torch.full((len(x) - words, x.shape[1]), blank), symbols[:words]])
        case "random_permutation":
            return symbols[:1]
        case "temporal_order":
            each = [symbols[:, b][symbols[:, b] < 2].tolist() for b in range(x.shape[1])]
            return torch.tensor([[sum(bit << n for n, bit in enumerate(bits)) for bits in each]])
    return None


@times(120)
@given(tasks(), st.integers(0, 2**40), sizes, seeds)
def test_what_is_asked_follows_from_what_was_shown(
    drawn: tuple[Task, dict[str, Any]], n: int, size: int, seed: int
) -> None:
    task, told = drawn
    random = torch.get_rng_state()
    x, target = task.batch(n, size=size, seed=seed)
    assert torch.equal(torch.get_rng_state(), random)
    again = task.batch(n, size=size, seed=seed)
    assert torch.equal(again.x, x)
    assert torch.equal(again.target, target)
    assert x.shape[1:] == (size, task.inputs)
    assert target.shape[1] == size
    assert 1 <= len(target) <= len(x)
    assert 0 < task.lag < max(len(task.draw(torch.Generator(), 1, task.lengths[1]).x), 2)
    expected = asked(task, told, x)
    if expected is None:
        assert bool((x >= 0).all() and (x <= 1).all())
        return
    torch.testing.assert_close(target, expected.to(target.dtype))
    if task.score.name == "cross-entropy":
        assert bool((target >= 0).all() and (target < task.outputs).all())


@times(60)
@given(tasks(), sizes, st.integers(0, 99))
def test_the_best_constant_answer_has_the_chance_loss(
    drawn: tuple[Task, dict[str, Any]], size: int, seed: int
) -> None:
    """Told the step and nothing else: classes alike where any may come, and the one that must where one must."""
    task, told = drawn
    x, target = task.batch(seed, size=size)
    shown = len(x) - {"copy": 20, "memorisation": 2 * told.get("words", 0)}.get(task.name, 0)
    if task.score.name == "mean squared error":
        mean, variance = {"adding": (1.0, 1 / 6), "multiplication": (0.25, 7 / 144)}[task.name]
        assert task.chance(shown) == pytest.approx(variance)
        output = torch.full((*target.shape, 1), mean)
        assert float(task.score.loss(output, target)) == pytest.approx(
            float((target - mean).square().mean())
        )
    elif task.score.name == "cross-entropy of bits":
        loss = float(task.score.loss(torch.zeros(*target.shape, 1), target))
        assert loss == pytest.approx(task.chance(shown), rel=1e-5)
    elif "digits" not in task.name:
        logits = torch.full((*target.shape, task.outputs), -200.0)
        if task.judged:
            logits[..., -1], logits[-task.judged :] = 200.0, -200.0
            logits[-task.judged :, :, :-1] = 0.0
        else:
            among = 2 if task.name == "random_permutation" else task.outputs
            logits[..., :among] = 0.0
        assert float(task.score.loss(logits, target)) == pytest.approx(task.chance(shown), rel=1e-4)
    shortest, longest = task.lengths
    each = [task.chance(length) for length in (shortest, longest)]
    assert min(each) * (1 - 1e-9) <= task.chance_loss() <= max(each) * (1 + 1e-9)


@times(40)
@given(tasks(), st.integers(-2, 600), st.integers(-1, 3))
def test_an_evaluation_is_of_as_many_sequences_as_asked(
    drawn: tuple[Task, dict[str, Any]], sequences: int, seed: int
) -> None:
    task, _ = drawn

    def answer(x: Tensor, read: int) -> Tensor:
        return torch.zeros(read, x.shape[1], task.outputs)

    if sequences < 1 or seed < 0:
        with pytest.raises(TaskError, match="expected"):
            task.evaluate(answer, sequences, seed=seed)
        return
    assert sum(batch.x.shape[1] for batch in task.evaluation(sequences, seed=seed)) == sequences
    found = task.evaluate(answer, sequences, seed=seed)
    assert found.sequences == sequences
    assert 0 <= found.errors <= 1
    assert math.isfinite(found.loss)
    assert task.solved(found) == (found.errors < task.allowed)
    assert not task.solved(Evaluation(0.0, 1.0, 1))


wrong = st.integers(-3, 12)


@times(120)
@given(
    st.sampled_from(list(table())), wrong | st.tuples(wrong, wrong), wrong, wrong, wrong,
)  # fmt: skip
def test_a_size_is_possible_or_refused_with_a_sentence(
    name: str, length: Any, delay: int, words: int, symbols: int
) -> None:
    told = {
        "length": length,
        "delay": delay,
        "words": words,
        "symbols": symbols,
        "bits": words,
        "side": symbols,
    }
    told = {argument: told[argument] for argument in entry(name).arguments}
    try:
        task = entry(name).make(**told)
    except TaskError as error:
        refused(error)
    else:
        x, target = task.batch(0, size=2)
        assert len(target) <= len(x)


@times(12)
@given(
    tasks(), st.sampled_from(list(CELLS)), st.sampled_from(["sgd", "adam", "adamw", "rmsprop"]),
    st.integers(1, 7), sizes, st.sampled_from([None, 0.5]), st.sampled_from(["norm", "value"]), st.integers(0, 9),
)  # fmt: skip
def test_a_trial_goes_on_where_its_state_was_taken(
    drawn: tuple[Task, dict[str, Any]],
    cell: Any,
    optimizer: Any,
    hidden: int,
    size: int,
    clip: Any,
    by: Any,
    seed: int,
) -> None:
    task, _ = drawn
    variant = Variant("", cell=cell, hidden=hidden, batch=size, optimizer=optimizer, clip=clip, clip_by=by,
                      updates=4, every=2, sequences=3)  # fmt: skip
    random = torch.get_rng_state()
    whole, first, second = (Trial(task, variant, seed=seed) for _ in range(3))
    for _ in range(4):
        whole.update()
    for _ in range(2):
        first.update()
    second.load_state_dict(first.state_dict())
    for _ in range(2):
        second.update()
    for one, other in zip(whole.model.parameters(), second.model.parameters(), strict=True):
        assert torch.equal(one, other)
    run = train(task, replace(variant, updates=2), seed=seed)
    assert [point.update for point in run.curve][-1:] in ([2], [])
    assert torch.equal(torch.get_rng_state(), random)
    x, target = task.batch(0, size=size)
    assert Learner(cell, task, hidden)(x, len(target)).shape == (*target.shape, task.outputs)
