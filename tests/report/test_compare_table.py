"""The table of a comparison: its width, its marks, and that no name can break it."""

import io
from pathlib import Path

import pytest
from rich.cells import cell_len
from rich.console import Console

from bptt.report import short_names, table
from bptt.report._compare import NOTHING, Cell, Line
from hostile import HOSTILE

ROWS = [
    Line("run", "state", [Cell("finished", "finished")] * 2),
    Line("loss", "at the end", [Cell(2.0, "2"), Cell(1.5, "1.5")], "low", rough=True),
    Line("site rnn.l0", "reach", [Cell(11, "11 of 128"), NOTHING], "high"),
]


def printed(
    rows: list[Line], names: list[str], width: int, *, encoding: str = "utf-8", color: bool = False
) -> str:
    file = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    out = Console(
        file=file, width=width, force_terminal=True, no_color=not color, highlight=False, markup=False,
        emoji=False, color_system="standard" if color else None,
    )  # fmt: skip
    table(rows, names, out)
    file.seek(0)
    return file.read()


def test_side_by_side() -> None:
    assert printed(ROWS, ["a", "b"], 80).splitlines() == [
        "                a          b",
        "",
        "  run",
        "  state         finished   finished",
        "",
        "  loss",
        "≠ at the end    2          1.5 (-25 %)",
        "",
        "  site rnn.l0",
        "≠ reach         11 of 128  –",
    ]


def test_a_narrow_terminal_stacks() -> None:
    assert printed(ROWS, ["a", "b"], 30).splitlines() == [
        "  run",
        "  state: finished",
        "",
        "  loss",
        "≠ at the end",
        "    a  2",
        "    b  1.5 (-25 %)",
        "",
        "  site rnn.l0",
        "≠ reach",
        "    a  11 of 128",
        "    b  –",
    ]


def test_the_best_is_stressed_and_what_is_alike_is_dim() -> None:
    out = printed(ROWS, ["a", "b"], 80, color=True)
    assert "\x1b[1;32m1.5 (-25 %)" in out
    assert "\x1b[2m  state" in out
    assert "\x1b[1;32m2" not in out


def test_a_terminal_without_other_characters() -> None:
    out = printed(ROWS, ["a", "b"], 80, encoding="ascii")
    assert "# at the end    2          1.5 (-25 %)" in out.splitlines()
    assert out.isascii()


@pytest.mark.parametrize("width", [30, 100])
@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_hostile_names(text: str, width: int) -> None:
    rows = [Line(text, text, [Cell(text, text), Cell("other", "other")])]
    out = printed(rows, [text, "b"], width)
    assert "".join(out.split("\n")).isprintable()
    assert out.count("\n") <= 6
    assert all(cell_len(line) <= 800 for line in out.split("\n"))


def test_names_tell_folders_apart() -> None:
    assert short_names([Path("runs/a-1"), Path("runs/a-2")]) == ["a-1", "a-2"]
    assert short_names([Path("x/run"), Path("y/run"), Path("y/other")]) == [
        "x/run",
        "y/run",
        "y/other",
    ]
    assert short_names([Path("a"), Path("a")]) == ["a", "a"]
