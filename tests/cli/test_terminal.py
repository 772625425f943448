"""On a terminal the panel keeps to the last rows, and the terminal is left as it was found."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from terminals import DRAWN, Terminal

SCRIPTS = Path(__file__).parent / "scripts"


def under(
    tmp_path: Path, *command: str | Path, rows: int = 12, columns: int = 70, **env: str
) -> Terminal:
    line = ["-m", "bptt", "run", "--out", str(tmp_path / "out"), *map(str, command)]
    return Terminal(line, tmp_path, rows=rows, columns=columns, env=env)


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


def numbers(terminal: Terminal) -> list[int]:
    """Numbers of the script's whole lines, in what has scrolled off and in what the screen shows."""
    found = (re.fullmatch(r"line (\d+)", row) for row in [*terminal.scrolled, *terminal.rows])
    return [int(each[1]) for each in found if each]


def left_behind(terminal: Terminal) -> list[str]:
    """What is left of a panel that has gone."""
    scrap = re.compile(r"^(── bptt|loss  |no gradient measured so far|nothing found so far)")
    return [row for row in [*terminal.scrolled, *terminal.rows] if scrap.match(row)]


def clean_end(terminal: Terminal) -> None:
    assert terminal.screen.margins is None, "the scroll region was left behind"
    assert left_behind(terminal) == []
    assert not terminal.screen.cursor.hidden


def test_bptt_train_shows_it_too_and_ctrl_c_gives_the_terminal_back(tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text("so it goes, said the cat to the other. " * 1000)
    sizes = ["--hidden", "16", "--batch", "4", "--length", "32", "--updates", "5000", "--out", "a"]
    command = ["-m", "bptt", "train", "text.txt", *sizes]
    terminal = Terminal(command, tmp_path, rows=24, columns=80)
    terminal.wait_for(" of 5,000 · ")
    terminal.wait_for("layers.0.l0  ")
    rows = terminal.rows
    head = next(n for n, row in enumerate(rows) if row.startswith("── bptt · train text · update "))
    assert rows[head + 1].startswith("loss         ")
    assert "symbols to train on" in rows[0], rows
    assert not any("it/s" in row for row in rows), "Lightning's bar is there as well"
    terminal.send("\x03")
    assert terminal.finish() == 130
    assert any("stopped by SIGINT" in row for row in terminal.rows)
    clean_end(terminal)


# What follows needs no torch: the panel says that nothing is known yet.


def test_a_thousand_lines_come_out_complete_and_in_order(tmp_path: Path) -> None:
    terminal = under(tmp_path, SCRIPTS / "prints.py", "lines", rows=24, columns=80)
    terminal.wait_for("nothing found so far")
    assert terminal.rows[-4].startswith("── bptt · ")
    assert "no gradient measured so far" in terminal.rows[-2]
    assert terminal.finish() == 0
    assert numbers(terminal) == list(range(1000))
    assert terminal.raw.count(b"\x1b7\x1b[1;20r") >= 3, "there was no panel meanwhile"
    clean_end(terminal)


def test_a_bar_that_is_drawn_over_itself(tmp_path: Path) -> None:
    terminal = under(tmp_path, SCRIPTS / "prints.py", "bar", rows=20, columns=80)
    assert terminal.finish() == 0
    bars = [row for row in terminal.rows if row.startswith("bar ")]
    assert bars == ["bar ################### 19/20".replace("# 19", "#  19")]
    assert "after the bar" in terminal.rows
    clean_end(terminal)


def test_a_script_that_clears_the_screen(tmp_path: Path) -> None:
    terminal = under(tmp_path, SCRIPTS / "prints.py", "clear", rows=24, columns=80)
    terminal.wait_for("cleared")
    terminal.wait_for("nothing found so far")
    assert terminal.rows[0] == "cleared"
    assert terminal.rows[-4].startswith("── bptt · ")
    head = terminal.screen.buffer[20]
    assert {head[x].fg for x in range(70)} == {"default"}, "the script's red is its own"
    assert terminal.finish() == 0
    assert numbers(terminal)[-40:] == list(range(40))
    clean_end(terminal)


def test_another_size_while_it_runs(tmp_path: Path) -> None:
    terminal = under(tmp_path, SCRIPTS / "prints.py", "steady", rows=24, columns=80)
    terminal.wait_for("nothing found so far")
    for rows, columns, height in ((18, 60, 4), (34, 100, 4), (10, 40, 1), (24, 90, 4)):
        terminal.resize(rows, columns)
        mark = len(terminal.raw)
        while f"\x1b[1;{rows - height}r\x1b[?6l".encode() not in terminal.raw[mark:]:
            assert terminal.read(time.monotonic() + 0.05)
        terminal.wait_for("bptt · ")
        terminal.read(time.monotonic() + 0.2)
        shown = terminal.rows[-height:]
        assert shown[0].lstrip("─ ").startswith("bptt · "), terminal.rows
        assert all(len(row) < columns for row in shown)
        assert sum("bptt · " in row for row in terminal.rows) == 1, terminal.rows
    terminal.read(
        time.monotonic() + 0.5
    )  # what was printed between two sizes may stand on scraps of the panel
    last = numbers(terminal)[-5:]
    assert last == list(range(last[0], last[0] + 5))
    terminal.send("\x03")
    assert terminal.finish() == -signal.SIGINT
    assert terminal.screen.margins is None
    assert not any(row.startswith(("── bptt", "nothing found")) for row in terminal.rows)


@pytest.mark.parametrize("way", ["error", "_exit", "SIGINT", "SIGTERM", "SIGKILL", "SIGSEGV"])
def test_nothing_is_left_behind(tmp_path: Path, way: str) -> None:
    terminal = under(tmp_path, SCRIPTS / "prints.py", way, rows=24, columns=80)
    terminal.wait_for("nothing found so far")
    code = {"error": 1, "_exit": 3}.get(way)
    assert terminal.finish() == (-signal.Signals[way] if code is None else code)
    assert any(row.startswith("unfinished") for row in terminal.rows)
    clean_end(terminal)


@pytest.mark.parametrize(
    ("env", "expected"),
    [
        ({"PYTHONIOENCODING": "ascii"}, "-- bptt - "),
        ({"TERM": "linux"}, "-- bptt - "),
        ({"NO_COLOR": "1"}, "── bptt · "),
    ],
)
def test_poor_terminals(tmp_path: Path, env: dict[str, str], expected: str) -> None:
    name = tmp_path / "tr\u202e\x1b[2Jaïn.py"
    name.write_text((SCRIPTS / "prints.py").read_text(encoding="utf-8"), encoding="utf-8")
    terminal = under(tmp_path, name, "bar", rows=24, columns=80, **env)
    terminal.wait_for(expected)
    terminal.wait_for("nothing found so far")
    assert b"\x1b[2J" not in terminal.raw
    assert terminal.finish() == 0
    if "NO_COLOR" in env:
        drawn = b"".join(DRAWN.findall(terminal.raw))
        assert set(re.findall(rb"\x1b\[[0-9;]*m", drawn)) == {b"\x1b[0m"}
    else:
        assert terminal.raw.isascii() or "ascii" not in env.values()


def test_piped_there_is_the_page_alone(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "bptt",
        "run",
        "--out",
        "out",
        str(SCRIPTS / "prints.py"),
        "bar",
    ]
    env = os.environ | {"TERM": "xterm-256color"}
    done = subprocess.run(
        command, cwd=tmp_path, env=env, capture_output=True, timeout=60, check=True
    )
    assert b"\x1b" not in done.stdout + done.stderr
    assert done.stderr.decode().splitlines()[0].startswith("bptt · ")
