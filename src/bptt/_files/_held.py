"""Descriptors that stay open while somebody else's program runs."""

import os
from pathlib import Path


class Held:
    """A descriptor, and the file it was opened on.

    A script may close all descriptors it finds, as daemons do; the next file it opens then has a number of ours.
    Nothing must be written to that, nor may it be closed or cut.

    Args:
        path: of the file.
        flags: of `os.open`; links in the last place are not followed.
        mode: of a file that is made.

    Raises:
        OSError: it cannot be opened.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     held = Held(Path(folder) / "a", os.O_RDWR | os.O_CREAT)
        ...     was = held.ours
        ...     os.close(held.number)
        ...     other = os.open(Path(folder) / "b", os.O_RDWR | os.O_CREAT)
        ...     other == held.number, was, held.ours
        ...     held.close()
        ...     os.close(other)
        (True, True, False)
    """

    def __init__(self, path: Path, flags: int, mode: int = 0o600) -> None:
        extra = getattr(os, "O_BINARY", 0) | getattr(os, "O_NOFOLLOW", 0)
        self.number = os.open(path, flags | extra, mode)
        self.file = _file(self.number)

    @property
    def ours(self) -> bool:
        """Whether the number still stands for that file."""
        try:
            return _file(self.number) == self.file
        except OSError:
            return False

    def close(self) -> None:
        """Close it, if it is still ours."""
        if self.ours:
            os.close(self.number)


def _file(number: int) -> tuple[int, int]:
    found = os.fstat(number)
    return found.st_dev, found.st_ino
