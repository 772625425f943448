"""The live panel: the terminal's last rows, kept out of the script's way by a scroll region.

The script's output scrolls above them as on a lower terminal; nothing of `sys.stdout` or `sys.stderr` is replaced or
wrapped, no signal is handled. Each drawing saves and restores the cursor, with its colours and modes, and leaves in a
single write, which terminals take in whole.
"""

import contextlib
import os
import subprocess
import threading
import time
from collections.abc import Callable, Sequence

from bptt.report._panel import room
from bptt.report._panel_rows import Row, escaped

SAVE, RESTORE = "\x1b7", "\x1b8"
ALL_ROWS = "\x1b[r"
INDEX = "\x1b" + "D"  # one row down in the same column, scrolling at the bottom
OURS = "\x1b[?6l\x1b(B\x1b[0m"  # rows counted from the top, letters, no colours: a script may have left others
PERIOD, LOOK = 0.5, 0.05
"""Seconds between two drawings, and between two looks at the terminal's size."""
MIN_ROWS = 4

Rows = Callable[[int, int], Sequence[Row]]


class LivePanel:
    """Shows a few rows at the foot of the terminal at `fd`, twice a second, until closed.

    A third of the terminal at most, and a single row of a small one. Another size is seen within a
    twentieth of a second; a line printed in between may stand on what is left of the panel before.
    In the background nothing is drawn. `fault` says what was wrong with the last drawing, None if nothing.

    Args:
        fd: file descriptor of a terminal; a copy of it is used, so the script may redirect its own.
        rows: called for each drawing, from the panel's own thread, with the columns and rows there is room for.
        color: whether to use colours; a single row is shown in reverse video then.
    """

    def __init__(self, fd: int, rows: Rows, *, color: bool = True) -> None:
        self._fd, self._rows, self._color = os.dup(fd), rows, color
        self._pid = os.getpid()
        self._size: os.terminal_size | None = None  # with rows reserved; None without
        self._height = 0
        self._last: Sequence[Row] = ()
        self._drawn = 0.0
        self.fault: str | None = None
        self._over = threading.Event()
        self._lock = threading.Lock()
        self._watch = _reset_when_gone(self._fd)
        self._thread = threading.Thread(target=self._run, name="bptt panel", daemon=True)

    def start(self) -> None:
        """Reserve the rows and begin to draw."""
        self._draw()
        self._thread.start()

    def close(self) -> None:
        """Give the rows back, with the cursor on an empty line; harmless when repeated, and in a forked child."""
        if os.getpid() != self._pid or self._over.is_set():
            return
        self._over.set()
        with self._lock:
            if self._size is not None and _in_foreground(self._fd):
                size = self._size
                self._write(release(size.lines, self._height) + fresh_line(size.columns))
        with contextlib.suppress(OSError):
            os.write(self._watch, b"done\n")
        os.close(self._watch)
        os.close(self._fd)

    def _run(self) -> None:
        while not self._over.wait(LOOK):
            try:
                self._draw()
            except Exception as fault:  # it is ours, and a thread has nobody else to tell
                self.fault = _said(fault)
                return

    def _draw(self) -> None:
        with self._lock, contextlib.suppress(OSError):
            if self._over.is_set() or not _in_foreground(self._fd):
                return  # in the background the terminal is someone else's
            size = os.get_terminal_size(self._fd)
            now = time.monotonic()
            if size == self._size and now - self._drawn < PERIOD:
                return
            self._drawn = now
            if size.lines < MIN_ROWS or size.columns < 2:
                self._give_up(size.lines)
                return
            limit = room(size.columns, size.lines)
            # A fault of ours (the run's own thread may change what is read here) leaves the last rows.
            try:
                self._last = self._rows(size.columns - 1, limit)
                self.fault = None
            except Exception as fault:
                self.fault = _said(fault)
            self._show(size, self._last[:limit], limit)

    def _show(self, size: os.terminal_size, rows: Sequence[Row], limit: int) -> None:
        resized = size != self._size
        height = max(len(rows), 1, 0 if resized else self._height)
        out = ""
        if resized or height > self._height:
            out = reserve(size.lines, height, before=self._height, resized=resized)
        self._size, self._height = size, height
        lines = [escaped(row, size.columns - 1, color=self._color) for row in rows]
        if limit == 1 and self._color and lines:
            lines = [f"\x1b[7m{lines[0]}\x1b[0m"]
        self._write(out + draw([*lines, *[""] * (height - len(lines))], size.lines))

    def _give_up(self, rows: int) -> None:
        """The terminal has become too small: no rows of it are kept."""
        if self._size is not None and rows:
            self._write(f"{SAVE}{ALL_ROWS}{RESTORE}")
        self._size, self._height = None, 0

    def _write(self, sequence: str) -> None:
        with contextlib.suppress(OSError):
            os.write(self._fd, sequence.encode("utf-8", "replace"))


def reserve(rows: int, height: int, *, before: int = 0, resized: bool = False) -> str:
    """Keep the last `height` of `rows` rows out of scrolling; the cursor stays on its text, even on those rows.

    Args:
        rows: of the terminal.
        height: rows of the panel.
        before: rows that the panel had until now.
        resized: the terminal had another size then, and may have moved its text: what is below the cursor is cleared,
            the panel of before being there, wherever that is.
    """
    shown = 0 < before < rows
    clear = (
        f"{SAVE}{OURS}\x1b[{rows - before + 1};1H\x1b[J{RESTORE}" if shown and not resized else ""
    )
    # A region set earlier goes first. Then down and up again: if the cursor is on one of the last rows, the text moves
    # up by as many as are needed.
    moved = f"{SAVE}{ALL_ROWS}{RESTORE}{INDEX * height}\x1b[{height}A"
    gone = f"{SAVE}\x1b[B\r\x1b[0m\x1b[J{RESTORE}" if before and resized else ""
    return f"{clear}{moved}{gone}{SAVE}\x1b[1;{rows - height}r{RESTORE}"


def draw(lines: Sequence[str], rows: int) -> str:
    """Draw `lines`, each at most as wide as the terminal, into its last rows."""
    height = len(lines)
    # The region is set again each time: a script may reset the terminal.
    parts = [f"{SAVE}\x1b[1;{rows - height}r{OURS}"]
    parts += [f"\x1b[{rows - height + n};1H{line}\x1b[K" for n, line in enumerate(lines, 1)]
    return "".join([*parts, RESTORE])


def release(rows: int, height: int) -> str:
    """Clear the last rows and let them scroll again."""
    return f"{SAVE}{ALL_ROWS}{OURS}\x1b[{max(rows - height, 0) + 1};1H\x1b[J{RESTORE}"


def fresh_line(columns: int) -> str:
    """To the beginning of an empty line: of the next one where a script left its last line open, else of this one.

    Blanks up to one short of the width stay on a line that was empty, and run over the end of one that was not.
    """
    return f"{' ' * (columns - 1)}\r\x1b[K"


def _said(fault: Exception) -> str:
    return f"{type(fault).__name__}: {fault}"


def _in_foreground(fd: int) -> bool:
    try:
        return os.tcgetpgrp(fd) == os.getpgrp()
    except OSError:
        return False


def _reset_when_gone(fd: int) -> int:
    """Reset the terminal should this process be killed: no code of ours would run then.

    A shell, no child of this process, waits for one line on a pipe and resets the scroll region when the pipe ends
    without it. Returns the pipe's writing end.
    """
    reading, writing = os.pipe()
    reset = f"{SAVE}{ALL_ROWS}{RESTORE}".replace("\x1b", "\\033")
    # A shell gives what it runs in the background an empty input, hence the detour over descriptor 3.
    wait = f"exec 3<&0; (read -r done <&3 || printf '{reset}\\033[J' >&2) &"
    with contextlib.suppress(OSError):
        subprocess.run(
            ["/bin/sh", "-c", wait],
            stdin=reading,
            stdout=subprocess.DEVNULL,
            stderr=fd,
            start_new_session=True,
            check=False,
        )
    os.close(reading)
    return writing
