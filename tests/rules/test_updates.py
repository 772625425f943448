"""The columns of a long run: bounded, their head and end whole, what stands out kept, each entry under its number."""

import math
import random

import pytest

from bptt.rules import Evidence, Options, Updates, rule
from bptt.rules._updates import FIRST, LATEST, MOST


def long_run(updates: int, odd: dict[int, float], **columns: float) -> Updates:
    """A run of so many updates with norms about 1, but for the odd ones."""
    noise, run = random.Random(0), Updates()
    for number in range(1, updates + 1):
        norm = odd.get(number, noise.uniform(0.8, 1.2))
        quiet = dict.fromkeys(("loss", "clip", "coefficient", "lr", "whole_ratio"), math.nan)
        row = quiet | {"norm": norm, "unclipped": norm, "ratio": 1e-3} | columns
        for name, value in row.items():
            getattr(run, name).append(value)
        run.carried.append(False)
        run.finite.append(math.isfinite(norm))
        run.passes.append(number % 7)
        run.numbers.append(number)
        run.shorten()
    return run


ODD = {700: 50.0, 5_001: 40.0, 9_000: math.nan, 12_345: 60.0, 29_999: 30.0}


@pytest.fixture(scope="module")
def run() -> Updates:
    return long_run(30_000, ODD)


def test_it_stays_short_and_knows_how_long_the_run_was(run: Updates) -> None:
    assert {len(column) for _, column in run.columns()} == {len(run)}
    assert FIRST + LATEST < len(run) <= MOST
    assert run.count == 30_000


def test_head_end_and_what_stands_out_are_kept(run: Updates) -> None:
    assert run.numbers == sorted(set(run.numbers))
    assert run.numbers[:FIRST] == list(range(1, FIRST + 1))
    assert run.numbers[-LATEST:] == list(range(30_001 - LATEST, 30_001))
    assert set(ODD) <= set(run.numbers)


def test_every_entry_is_that_of_its_number(run: Updates) -> None:
    assert all(run.passes[n] == number % 7 for n, number in enumerate(run.numbers))
    assert [run.entry(run.number(n)) for n in range(len(run))] == list(range(len(run)))
    assert run.entry(30_001) == len(run)


def test_much_that_stands_out_does_not_make_it_long() -> None:
    odd = dict.fromkeys(range(600, 60000, 9), 100.0)
    assert len(long_run(60_000, odd)) <= MOST


def test_a_short_run_is_left_as_it_is() -> None:
    run = Updates(norm=[1.0] * MOST)
    run.shorten()
    assert (len(run), run.numbers, run.count, run.number(5)) == (MOST, [], MOST, 6)


def asked(code: str, updates: Updates) -> str:
    options: Options = rule(code).options
    return rule(code).check(Evidence(updates=updates), options)[0].message


def test_rules_tell_the_numbers_of_updates_and_shares_of_all() -> None:
    spiky = dict.fromkeys(range(700, 24000, 700), 80.0)
    assert asked("EG202", long_run(24_000, spiky)).startswith(f"{len(spiky)} of 24000 updates")
    clipped = asked("EG203", long_run(24_000, {}, coefficient=0.001, clip=0.001, lr=0.1))
    assert "in 100 % of 24,000 updates" in clipped
