"""Rows: nothing but text and our own styles goes out, and never more than there is room for."""

import re

import pyte
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.style import Style

from bptt.report._panel_rows import CODES, as_text, cut, escaped, in_ascii, plain

ROW = st.lists(st.tuples(st.text(max_size=30), st.sampled_from(sorted(CODES))), max_size=4)


@given(ROW, st.integers(0, 40), st.booleans())
def test_an_escaped_row_keeps_to_its_columns(
    row: list[tuple[str, str]], cells: int, color: bool
) -> None:
    out = escaped(row, cells, color=color)
    text = re.sub(r"\x1b\[[0-9;]*m", "", out) if color else out
    assert text.isprintable()
    assert cell_len(text) <= cells
    screen = pyte.Screen(41, 2)
    pyte.Stream(screen).feed(out)
    assert (screen.cursor.y, screen.display[1].strip()) == (0, "")
    assert not screen.cursor.attrs.bold, "a style was left on"


@given(ROW, st.integers(0, 40))
def test_a_cut_row_begins_as_the_whole_one(row: list[tuple[str, str]], cells: int) -> None:
    assert cell_len(plain(cut(row, cells))) <= cells
    assert as_text(row).plain.isprintable()
    assert plain(in_ascii(row)).isascii()


def test_styles_are_known_to_rich() -> None:
    for style in CODES:
        Style.parse(style)
