"""On a terminal the status line keeps to the last row, and the terminal is left as it was found."""

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

import pyte
import pytest

SCRIPTS = Path(__file__).parent / "scripts"
ROWS, COLUMNS = 12, 70


class Terminal:
    """A terminal of ROWS x COLUMNS on which a command runs."""

    def __init__(self, command: list[str], folder: Path, **env: str) -> None:
        self.screen = pyte.Screen(COLUMNS, ROWS)
        self.stream = pyte.ByteStream(self.screen)
        self.raw = b""
        self.master, side = pty.openpty()
        fcntl.ioctl(side, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
        self.process = subprocess.Popen(
            [sys.executable, *command],
            cwd=folder,
            stdin=side,
            stdout=side,
            stderr=side,
            env=os.environ | {"TERM": "xterm-256color", "PYTHONIOENCODING": "utf-8"} | env,
            preexec_fn=lambda: (os.setsid(), fcntl.ioctl(0, termios.TIOCSCTTY, 0)),
        )
        os.close(side)

    def read(self, until: float) -> bool:
        """Take in what was written so far; False at the end of it."""
        while select.select([self.master], [], [], max(until - time.monotonic(), 0))[0]:
            try:
                data = os.read(self.master, 65536)
            except OSError:  # Linux's way to say that nobody holds the other side any more
                return False
            if not data:
                return False
            self.raw += data
            self.stream.feed(data)
        return True

    def wait_for(self, words: str, seconds: float = 90) -> None:
        end = time.monotonic() + seconds
        while not any(words in row for row in self.screen.display):
            assert time.monotonic() < end, self.screen.display
            assert self.read(time.monotonic() + 0.1) or words in "".join(self.screen.display)

    def finish(self, seconds: float = 90) -> int:
        end = time.monotonic() + seconds
        while self.read(time.monotonic() + 0.2):
            assert time.monotonic() < end, self.screen.display
        return self.process.wait(10)


def under(tmp_path: Path, *command: str | Path, **env: str) -> Terminal:
    line = ["-m", "bptt", "run", "--out", str(tmp_path / "out"), *map(str, command)]
    return Terminal(line, tmp_path, **env)


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
