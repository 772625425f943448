"""No text that came from a script can act on a terminal."""

import pyte
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from bptt.report._clean import STACKED, can_encode, clean, fitted, name, to_ascii
from hostile import HOSTILE


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_hostile_names_are_one_line_of_printable_characters(text: str) -> None:
    cleaned = name(text)
    assert cleaned.isprintable()
    assert 0 < len(cleaned) <= 120
    screen = pyte.Screen(300, 3)
    pyte.Stream(screen).feed(f"before {cleaned} after")
    assert screen.cursor.y == 0
    assert screen.cursor.x == cell_len(f"before {cleaned} after")
    assert screen.display[0].startswith("before ")
    assert screen.display[0].rstrip().endswith(" after")
    assert screen.title == ""


@given(st.text(max_size=120), st.integers(2, 80))
def test_cleaning_twice_is_cleaning_once(text: str, limit: int) -> None:
    once = clean(text, limit)
    assert once.isprintable()
    assert len(once) <= limit
    assert clean(once, limit) == once
    assert to_ascii(once).isascii()
    assert len(to_ascii(once)) == len(once)


@given(
    st.text(st.characters(categories=["L", "N", "P", "S", "Mn"]), max_size=60), st.integers(0, 30)
)
def test_fitted_text_has_the_width_that_was_asked_for(text: str, cells: int) -> None:
    assert cell_len(fitted(clean(text), cells)) == cells


def test_ordinary_names_stay_as_they_are() -> None:
    for text in ("encoder.rnn.l0_reverse", "größe/été.py", "模型.py", "a b", "ŕ" * STACKED):
        assert clean(text) == text


def test_what_can_be_written() -> None:
    assert can_encode("utf-8")
    assert not can_encode("ascii")
    assert not can_encode("cp437"), "it has blocks, but no braille"
