"""The series of all updates: whatever their number, bounded, and no extreme is lost."""

import math
import random
from itertools import pairwise

import pytest

from bptt.doctor._series import Series, Update

NAN = math.nan


def plain(number: int, loss: float = 1.0, norm: float = 1.0) -> Update:
    return Update(number, loss, norm, NAN, NAN, NAN)


@pytest.mark.parametrize("updates", [1, 7, 8, 9, 15, 16, 17, 100, 1001])
def test_every_update_is_in_one_entry(updates: int) -> None:
    series, draw = Series(most=4), random.Random(updates)
    norms = [draw.uniform(0, 9) for _ in range(updates)]
    for n, norm in enumerate(norms, 1):
        series.add([plain(n, norm=norm)])
        assert len(series.entries) <= 8
    series.close()
    told = series.as_dicts()
    assert told[0]["from"] == 1
    assert told[-1]["update"] == updates
    for one, other in pairwise(told):
        assert other["from"] == one["update"] + 1
    for each in told:
        part = norms[each["from"] - 1 : each["update"]]
        assert each["norm"] == pytest.approx([min(part), sum(part) / len(part), max(part)], 1e-5)


def test_of_many_updates_as_many_entries_are_kept_as_wanted() -> None:
    series = Series(most=50)
    series.add(plain(n) for n in range(1, 2001))
    assert 50 <= len(series.entries) <= 100
    assert series.width == 32


def test_entries_that_come_too_fast_stand_for_more_updates() -> None:
    series, number = Series(), 0
    for second in range(1, 21):  # 500 updates a second
        series.add(plain(number + n) for n in range(1, 501))
        number += 500
        series.pace(float(second))
    assert series.entries[0].last == 1
    assert series.entries[-1].count == series.width == 32, "500 a second in entries of 32: 16"
    assert 1000 < len(series.entries) < 2500
    series.close()
    assert sum(entry.count for entry in series.entries) == number


def test_merging_asks_for_all_to_be_written_anew() -> None:
    series = Series(most=2)
    series.add(plain(n) for n in range(1, 5))
    series.written = len(series.entries)
    series.add([plain(5)])
    assert series.written is None
    assert [(each.first, each.last) for each in series.entries] == [(1, 2), (3, 4)]
    series.add([plain(6)])
    assert [(each.first, each.last) for each in series.entries] == [(1, 2), (3, 4), (5, 6)]


def test_clipping_and_what_is_not_finite() -> None:
    series = Series(most=1)
    series.add(
        [
            Update(1, 2.0, 10.0, 1.0, 0.1, 0.5),
            Update(2, NAN, math.inf, NAN, NAN, NAN),
            Update(3, 4.0, 0.5, 1.0, 1.0, 0.25),
            Update(4, 1.0, NAN, NAN, NAN, 2.0),
        ]
    )
    (first, second) = (series.as_dicts()[0], series.as_dicts()[-1])
    assert first == {
        "update": 2, "from": 1, "norm": [10.0, 10.0, 10.0], "loss": [2.0, 2.0, 2.0],
        "clip": 1.0, "clipped": 0.5, "ratio": 0.5, "nonfinite": 1,
    }  # fmt: skip
    assert (second["norm"], second["clipped"], second["ratio"]) == ([0.5, 0.5, 0.5], 0.0, 2.0)
    assert Series().as_dicts() == []


def test_updates_of_which_nothing_is_known() -> None:
    series = Series()
    series.add([Update(1, NAN, NAN, NAN, NAN, NAN)])
    (entry,) = series.as_dicts()
    assert entry["norm"] == entry["loss"] == [None, None, None]
    assert (entry["clip"], entry["ratio"], entry["clipped"], entry["nonfinite"]) == (
        None,
        None,
        0.0,
        1,
    )
