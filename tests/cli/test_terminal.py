"""On a terminal the panel keeps to the last rows, and the terminal is left as it was found."""

import re
from pathlib import Path

import pytest

from terminals import Terminal

SCRIPTS = Path(__file__).parent / "scripts"


def under(tmp_path: Path, *command: str | Path, **env: str) -> Terminal:
    line = ["-m", "bptt", "run", "--out", str(tmp_path / "out"), *map(str, command)]
    return Terminal(line, tmp_path, env=env)


def test_status_line_below_the_scripts_output(tmp_path: Path) -> None:
    terminal = under(tmp_path, SCRIPTS / "learn.py", "print")
    terminal.wait_for("line 12")
    terminal.wait_for(" · update ")
    rows = [row.rstrip() for row in terminal.screen.display]
    assert rows[-1].startswith("bptt · update "), rows
    assert "rnn.l0 " in rows[-1]
    assert any(row == "line 12" for row in rows[:-1])
    shown = [row for row in rows[:-1] if row.startswith("line")]
    assert shown == [f"line {n}" for n in range(13 - len(shown), 13)] or "line 13" in shown, rows
    assert terminal.screen.margins is not None

    assert terminal.finish() == 0
    assert terminal.screen.margins is None, "the scroll region was left behind"
    assert not any(row.startswith("bptt · update") for row in terminal.screen.display)
    assert any(row.startswith("Results: out") for row in terminal.screen.display)
    printed = re.sub(rb"\x1b7.*?\x1b8", b"", terminal.raw)  # all but the drawings of the line
    for n in range(15):
        assert printed.count(f"line {n}\r\n".encode()) == 1


@pytest.mark.parametrize("way", ["error", "print-kill"])
def test_terminal_is_reset_however_the_script_ends(tmp_path: Path, way: str) -> None:
    terminal = under(tmp_path, SCRIPTS / "learn.py", way)
    assert terminal.finish() != 0
    assert b"\x1b[1;11r" in terminal.raw, "there was no status line at all"
    assert terminal.screen.margins is None
    assert not any(row.startswith("bptt · update") for row in terminal.screen.display)


def test_no_colour_when_asked(tmp_path: Path) -> None:
    terminal = under(tmp_path, SCRIPTS / "leaves.py", "end", NO_COLOR="1")
    assert terminal.finish() == 0
    assert b"\x1b[7m" not in terminal.raw
    assert b"\x1b[3" not in terminal.raw


def test_no_status_line_on_a_dumb_terminal(tmp_path: Path) -> None:
    terminal = under(tmp_path, SCRIPTS / "leaves.py", "end", TERM="dumb")
    assert terminal.finish() == 0
    assert b"\x1b" not in terminal.raw
