"""A command on a real pseudo-terminal, with an emulator that says what its screen shows."""

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
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

import pyte

DRAWN = re.compile(rb"\x1b7.*?\x1b8", re.DOTALL)
"""Whatever stands between a saved and a restored cursor is a drawing of ours."""


class Terminal:
    """A terminal of `rows` x `columns` on which Python runs a command."""

    def __init__(
        self,
        command: list[str],
        folder: Path,
        *,
        rows: int = 12,
        columns: int = 70,
        env: Mapping[str, str] | None = None,
    ) -> None:
        self.screen = pyte.HistoryScreen(columns, rows, history=5000, ratio=0.1)
        self.stream = pyte.ByteStream(self.screen)
        self.raw = b""
        self.master, self.side = pty.openpty()
        self._set_size(rows, columns)
        known = {
            key: value
            for key, value in os.environ.items()
            if key not in ("NO_COLOR", "LINES", "COLUMNS")
        }
        self.process = subprocess.Popen(
            [sys.executable, *command],
            cwd=folder,
            stdin=self.side,
            stdout=self.side,
            stderr=self.side,
            env=known | {"TERM": "xterm-256color", "PYTHONIOENCODING": "utf-8"} | dict(env or {}),
            preexec_fn=lambda: (os.setsid(), fcntl.ioctl(0, termios.TIOCSCTTY, 0)),
        )
        os.close(self.side)

    def _set_size(self, rows: int, columns: int) -> None:
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def resize(self, rows: int, columns: int) -> None:
        """As a window manager does: the screen first, then the signal to who runs on it."""
        self.screen.resize(rows, columns)
        self._set_size(rows, columns)

    def send(self, keys: str) -> None:
        """Press keys."""
        os.write(self.master, keys.encode())

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
        """Until the words are on the screen."""
        end = time.monotonic() + seconds
        while not any(words in row for row in self.screen.display):
            open_still = time.monotonic() < end and self.read(time.monotonic() + 0.1)
            if not open_still and words not in "".join(self.screen.display):
                self._give_up(f"{words!r} did not appear")

    def _give_up(self, why: str) -> NoReturn:
        self.process.kill()
        self.process.wait()
        raise AssertionError("\n".join([why, *self.rows]))

    def finish(self, seconds: float = 90) -> int:
        """Until it ends, and nobody holds the terminal any more; its exit code."""
        end = time.monotonic() + seconds
        while self.read(time.monotonic() + 0.2):
            if time.monotonic() > end:
                self._give_up("it did not end")
        code = self.process.wait(10)
        os.close(self.master)
        return code

    @property
    def rows(self) -> list[str]:
        """What the screen shows."""
        return [row.rstrip() for row in self.screen.display]

    @property
    def printed(self) -> str:
        """All that was written but for our drawings."""
        return DRAWN.sub(b"", self.raw).decode()

    @property
    def scrolled(self) -> list[str]:
        """What has scrolled off the top."""
        lines = self.screen.history.top
        return [
            "".join(line[x].data for x in range(self.screen.columns)).rstrip() for line in lines
        ]
