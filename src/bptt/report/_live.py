"""The status line: the terminal's last row, kept out of the script's way by a scroll region.

The script's output scrolls above it as on a terminal one row shorter; nothing of `sys.stdout` or `sys.stderr` is
replaced or wrapped. Each drawing saves and restores the cursor and leaves in a single write.
"""

import contextlib
import os
import subprocess
import threading
from collections.abc import Callable

from rich.cells import set_cell_size

SAVE, RESTORE = "\x1b7", "\x1b8"
ALL_ROWS = "\x1b[r"
INDEX = "\x1b" + "D"  # one row down in the same column, scrolling at the bottom
PERIOD = 0.5
MIN_ROWS = 4


class StatusLine:
    """Shows `text()` on the last row of the terminal at `fd`, twice a second, until closed.

    Args:
        fd: file descriptor of a terminal; a copy of it is used, so the script may redirect its own.
        text: called for each drawing, from the line's own thread.
        color: whether to show the row in reverse video.
    """

    def __init__(self, fd: int, text: Callable[[], str], *, color: bool = True) -> None:
        self._fd, self._text, self._color = os.dup(fd), text, color
        self._pid = os.getpid()
        self._size: os.terminal_size | None = None
        self._shown = ""
        self._over = threading.Event()
        self._lock = threading.Lock()
        self._watch = _reset_when_gone(self._fd)
        self._thread = threading.Thread(target=self._run, name="bptt status line", daemon=True)

    def start(self) -> None:
        """Reserve the row and begin to draw."""
        self._draw()
        self._thread.start()

    def close(self) -> None:
        """Give the row back; harmless when repeated, and in a forked child."""
        if os.getpid() != self._pid or self._over.is_set():
            return
        self._over.set()
        with self._lock:
            if self._size is not None and _in_foreground(self._fd):
                self._write(release(self._size.lines))
        with contextlib.suppress(OSError):
            os.write(self._watch, b"done\n")
        os.close(self._watch)
        os.close(self._fd)

    def _run(self) -> None:
        while not self._over.wait(PERIOD):
            self._draw()

    def _draw(self) -> None:
        with self._lock, contextlib.suppress(OSError):
            if self._over.is_set() or not _in_foreground(self._fd):
                return  # in the background the terminal is someone else's
            size = os.get_terminal_size(self._fd)
            if size.lines < MIN_ROWS or size.columns < 2:
                return
            out = "" if size == self._size else reserve(size.lines)
            self._size = size
            self._write(out + status(self._text(), size.lines, size.columns, color=self._color))

    def _write(self, sequence: str) -> None:
        with contextlib.suppress(OSError):
            os.write(self._fd, sequence.encode("utf-8", "replace"))


def reserve(rows: int) -> str:
    """Keep the last of `rows` rows out of scrolling; the cursor stays on its text, even on that row."""
    region = f"\x1b[1;{rows - 1}r"
    # A region set earlier, for another size, goes first. Then down and up again: if the cursor is on
    # the last row, the text moves up by one.
    return f"{SAVE}{ALL_ROWS}{RESTORE}{INDEX}\x1b[1A{SAVE}{region}{RESTORE}"


def status(text: str, rows: int, columns: int, *, color: bool) -> str:
    """Draw `text` into the last row, at most as wide as the terminal."""
    line = set_cell_size("".join(c if c.isprintable() else "?" for c in text), columns - 1)
    styled = f"\x1b[7m{line}\x1b[0m" if color else line
    # The region is set again each time: a script may reset the terminal.
    return f"{SAVE}\x1b[1;{rows - 1}r\x1b[{rows};1H\x1b[2K{styled}{RESTORE}"


def release(rows: int) -> str:
    """Clear the last row and let it scroll again."""
    return f"{SAVE}{ALL_ROWS}\x1b[{rows};1H\x1b[2K{RESTORE}"


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
