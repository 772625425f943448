"""Reading files of folders that somebody else may have laid out."""

import os
import stat
from pathlib import Path
from typing import IO


def regular(path: Path) -> IO[bytes]:
    """A file, open to be read. In the place of a file there may be a pipe, which nobody writes to, or a device, which
    has no end: an open of the first and a read of the second would not return.

    Raises:
        OSError: it is no file, or cannot be read.

    Example:
        >>> regular(Path(os.devnull))
        Traceback (most recent call last):
        OSError: [Errno 22] it is no file: '/dev/null'
    """
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    handle = os.open(path, flags)
    try:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise OSError(22, "it is no file", str(path))
        return os.fdopen(handle, "rb")
    except BaseException:
        os.close(handle)
        raise


def read_regular(path: Path) -> bytes:
    """All of a file.

    Raises:
        OSError: as `regular`.

    Example:
        >>> read_regular(Path(__file__))[:3] == Path(__file__).read_bytes()[:3]
        True
    """
    with regular(path) as file:
        return file.read()
