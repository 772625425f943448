"""The escape sequences of the status line, played on a terminal emulator."""

import pyte
from hypothesis import given
from hypothesis import strategies as st

from bptt.report._live import release, reserve, status

COLUMNS = 400
"""Wider than any line here: the emulator, unlike terminals, forgets a wrap that is still due."""
TEXT = st.text(alphabet="ab \n\r\t", max_size=40).map(lambda text: text.replace("\n", "\r\n"))
"""What a script may print; a terminal turns each newline into both characters."""


def screen(rows: int) -> tuple[pyte.Screen, pyte.Stream]:
    screen = pyte.Screen(COLUMNS, rows)
    return screen, pyte.Stream(screen)


@given(before=TEXT, pieces=st.lists(TEXT, max_size=5), rows=st.integers(4, 9))
def test_the_script_sees_a_terminal_one_row_shorter(
    before: str, pieces: list[str], rows: int
) -> None:
    ours, to_ours = screen(rows)
    plain, to_plain = screen(rows - 1)
    to_ours.feed(before + reserve(rows))
    to_plain.feed(before)
    for n, piece in enumerate(pieces):
        to_ours.feed(piece + status(f"update {n}", rows, COLUMNS, color=bool(n % 2)))
        to_plain.feed(piece)
        assert ours.display[-1].rstrip() == f"update {n}"
    if before.count("\n") < rows - 1 or pieces:
        assert ours.display[:-1] == plain.display
    assert (ours.cursor.x, ours.cursor.y) == (plain.cursor.x, plain.cursor.y)

    to_ours.feed(release(rows))
    assert ours.margins is None
    assert ours.display[-1].strip() == ""
    assert (ours.cursor.x, ours.cursor.y) == (plain.cursor.x, plain.cursor.y)


@given(text=TEXT, rows=st.integers(4, 9), fewer=st.integers(0, 3))
def test_another_size(text: str, rows: int, fewer: int) -> None:
    ours, stream = screen(rows + fewer)
    stream.feed(reserve(rows + fewer) + text)
    ours.resize(rows, COLUMNS)
    stream.feed(reserve(rows) + status("now", rows, COLUMNS, color=False) + "\r\nmore")
    assert ours.display[-1].rstrip() == "now"
    assert ours.cursor.y < rows - 1
    assert ours.display[ours.cursor.y].startswith("more")


def test_text_is_cut_to_the_width_and_cannot_escape() -> None:
    line = status("\x1b[2Jwide 漢字 " + "x" * 50, 5, 20, color=False)
    ours = pyte.Screen(20, 5)
    pyte.Stream(ours).feed("kept" + reserve(5) + line)
    assert ours.display[0].rstrip() == "kept"
    assert ours.display[-1].startswith("?[2Jwide ")
    assert line.count("\x1b[2J") == 0
