"""The escape sequences of the panel, played on a terminal emulator."""

import pyte
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bptt.report._live import draw, fresh_line, release, reserve
from bptt.report._panel_rows import escaped

COLUMNS = 400
"""Wider than any line here: the emulator, unlike terminals, forgets a wrap that is still due."""
TEXT = st.text(alphabet="ab \n\r\t", max_size=40).map(lambda text: text.replace("\n", "\r\n"))
"""What a script may print; a terminal turns each newline into both characters."""


def screen(rows: int) -> tuple[pyte.Screen, pyte.Stream]:
    screen = pyte.Screen(COLUMNS, rows)
    return screen, pyte.Stream(screen)


def panel(n: int, height: int, rows: int) -> str:
    return draw([f"row {k} of drawing {n}" for k in range(height)], rows)


def shown(screen: pyte.Screen, height: int) -> list[str]:
    return [row.rstrip() for row in screen.display[-height:]]


@given(
    before=TEXT,
    pieces=st.lists(TEXT, max_size=5),
    rows=st.integers(6, 12),
    height=st.integers(1, 4),
)
def test_the_script_sees_a_lower_terminal(
    before: str, pieces: list[str], rows: int, height: int
) -> None:
    ours, to_ours = screen(rows)
    plain, to_plain = screen(rows - height)
    to_ours.feed(before + reserve(rows, height))
    to_plain.feed(before)
    for n, piece in enumerate(pieces):
        to_ours.feed(piece + panel(n, height, rows))
        to_plain.feed(piece)
        assert shown(ours, height) == [f"row {k} of drawing {n}" for k in range(height)]
    if before.count("\n") < rows - height or pieces:
        assert ours.display[:-height] == plain.display
    assert (ours.cursor.x, ours.cursor.y) == (plain.cursor.x, plain.cursor.y)

    to_ours.feed(release(rows, height))
    assert ours.margins is None
    assert shown(ours, height) == [""] * height
    assert (ours.cursor.x, ours.cursor.y) == (plain.cursor.x, plain.cursor.y)


@given(text=TEXT, more=TEXT, rows=st.integers(9, 12), few=st.integers(1, 2), many=st.integers(3, 4))
def test_a_panel_that_grows_leaves_nothing_of_the_lower_one(
    text: str, more: str, rows: int, few: int, many: int
) -> None:
    ours, to_ours = screen(rows)
    plain, to_plain = screen(rows - few)
    to_ours.feed(reserve(rows, few) + text + panel(0, few, rows))
    to_plain.feed(text)
    line, column = plain.display[plain.cursor.y], plain.cursor.x
    to_ours.feed(reserve(rows, many, before=few) + panel(1, many, rows))
    assert shown(ours, many) == [f"row {k} of drawing 1" for k in range(many)]
    assert not any("drawing" in row for row in ours.display[:-many])
    assert (ours.display[ours.cursor.y], ours.cursor.x) == (line, column)
    assert ours.cursor.y < rows - many
    to_ours.feed(more)
    to_plain.feed(more)
    assert ours.display[ours.cursor.y] == plain.display[plain.cursor.y]


@given(text=TEXT, rows=st.integers(6, 9), fewer=st.integers(0, 3), height=st.integers(1, 3))
def test_a_smaller_terminal(text: str, rows: int, fewer: int, height: int) -> None:
    ours, stream = screen(rows + fewer)
    stream.feed(reserve(rows + fewer, height) + text + panel(0, height, rows + fewer))
    ours.resize(rows, COLUMNS)
    stream.feed(
        reserve(rows, height, before=height, resized=True) + panel(1, height, rows) + "\r\nmore"
    )
    assert shown(ours, height) == [f"row {k} of drawing 1" for k in range(height)]
    assert ours.cursor.y < rows - height
    assert ours.display[ours.cursor.y].startswith("more")


@given(text=TEXT, rows=st.integers(6, 9), more=st.integers(1, 5), height=st.integers(1, 3))
def test_a_taller_terminal_keeps_no_second_panel(
    text: str, rows: int, more: int, height: int
) -> None:
    ours, stream = screen(rows)
    stream.feed(reserve(rows, height) + text + panel(0, height, rows))
    ours.resize(rows + more, COLUMNS)
    stream.feed(
        reserve(rows + more, height, before=height, resized=True) + panel(1, height, rows + more)
    )
    assert not any("drawing 0" in row for row in ours.display)
    assert shown(ours, height) == [f"row {k} of drawing 1" for k in range(height)]


@pytest.mark.parametrize("left", ["\x1b[31;1m", "\x1b[?6h", "\x1b[2J\x1b[H", "\x1b[2J"])
def test_what_a_script_leaves_set_is_its_own(left: str) -> None:
    """Colours, the origin of rows, a cleared screen: each drawing is whole, and gives back what it found."""
    ours, stream = screen(10)
    stream.feed("one\r\ntwo" + reserve(10, 2) + panel(0, 2, 10) + left)
    before = (ours.cursor.x, ours.cursor.y, ours.cursor.attrs, set(ours.mode), ours.display[:8])
    stream.feed(panel(1, 2, 10))
    after = (ours.cursor.x, ours.cursor.y, ours.cursor.attrs, set(ours.mode), ours.display[:8])
    assert after == before
    assert shown(ours, 2) == ["row 0 of drawing 1", "row 1 of drawing 1"]
    assert {ours.buffer[9][x].fg for x in range(18)} == {"default"}


@pytest.mark.parametrize(
    ("left", "expected"),
    [
        ("", [""]),
        ("done\r\n", ["done", ""]),
        ("no end", ["no end", ""]),
        ("x" * 19, ["x" * 19, ""]),
        ("50 %\rdone", ["done", ""]),
    ],
)
def test_what_follows_stands_on_a_line_of_its_own(left: str, expected: list[str]) -> None:
    narrow = pyte.Screen(20, 4)
    stream = pyte.Stream(narrow)
    stream.feed(f"\x1b[1m{left}{fresh_line(20)}bptt")
    rows = [row.rstrip() for row in narrow.display]
    assert rows[: len(expected)] == [*expected[:-1], "bptt"]


def test_text_is_cut_to_the_width_and_cannot_escape() -> None:
    line = escaped([("\x1b[2Jwide 漢字 ", "bold"), ("x" * 50, "")], 19, color=False)
    ours = pyte.Screen(20, 5)
    pyte.Stream(ours).feed("kept" + reserve(5, 1) + draw([line], 5))
    assert ours.display[0].rstrip() == "kept"
    assert ours.display[-1].startswith("?[2Jwide ")
    assert "\x1b" not in line
