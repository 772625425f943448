"""Bars and sparks: their width, their ends, and what is not a number."""

import math
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from bptt.report._panel_marks import ASCII_SPARKS, EACH, SPARKS, bar, sparks, thinned

CELLS = st.integers(2, 60)


@given(st.floats(0, 1), CELLS, st.booleans())
def test_a_bar_has_its_width_and_tells_some_from_none_and_all(
    share: float, cells: int, ascii_only: bool
) -> None:
    done, rest = bar(share, cells, ascii_only=ascii_only)
    assert len(done) + len(rest) == cells
    assert (done == "") == (share == 0)
    full = {"#", "█"}
    assert (len(done) == cells and set(done) <= full) == (share == 1)
    assert (done + rest).isascii() or not ascii_only


@given(st.floats(-1, 2), st.floats(-1, 2), CELLS)
def test_a_longer_share_is_no_shorter_bar(a: float, b: float, cells: int) -> None:
    order = " ▏▎▍▌▋▊▉█"
    small, large = (
        sum(order.index(char) for char in bar(share, cells)[0]) for share in sorted((a, b))
    )
    assert small <= large


@given(st.lists(st.floats(allow_nan=True, allow_infinity=True, width=32), max_size=200), CELLS)
def test_sparks_of_anything(values: list[float], cells: int) -> None:
    for ascii_only, marks in ((False, SPARKS), (True, ASCII_SPARKS)):
        drawn = sparks(values, cells, ascii_only=ascii_only)
        assert len(drawn) == min(cells, len(values))
        assert set(drawn) <= {*marks, " "}
        if len({each for each in thinned(values, cells) if math.isfinite(each)}) > 1:
            assert marks[0] in drawn
            assert marks[-1] in drawn


def test_a_falling_loss_falls() -> None:
    drawn = sparks([1 / n for n in range(1, 2000)], 30)
    assert list(drawn) == sorted(drawn, reverse=True)
    assert drawn[0] == "█"


def test_a_long_run_is_sampled_not_summed() -> None:
    read = 0

    class Counted(list):  # type: ignore[type-arg]
        def __getitem__(self, part: Any) -> Any:
            nonlocal read
            found = list.__getitem__(self, part)
            read += len(found) if isinstance(part, slice) else 1
            return found

    assert thinned(Counted([1.0] * 100_000), 50) == [1.0] * 50
    assert read <= 50 * (EACH + 1) + 50
