"""Files of other formats, which end before their file does (as zip), with a line behind their end."""

import hashlib
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from bptt._files._damage import DamagedFileError
from bptt._files._regular import regular

_STAMP = re.compile(rb"\nbptt sha256 ([0-9a-f]{64})\n")
_STAMP_BYTES = 78


class _Hashed:
    """A file that is written front to back, and the SHA-256 of what was."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file, self.digest = file, hashlib.sha256()

    def write(self, data: Any) -> int:
        self.digest.update(data)
        return self._file.write(data)

    def flush(self) -> None:
        self._file.flush()


def stamped(put: Callable[[Any], object]) -> Callable[[IO[bytes]], object]:
    """What `put` writes, and behind it a line with its SHA-256; for formats that end before their file does, as zip.

    Example:
        >>> import tempfile
        >>> from bptt._files import put_whole
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     put_whole(Path(folder) / "a", stamped(lambda file: file.write(b"abc")))
        ...     (Path(folder) / "a").read_bytes().split()
        [b'abc', b'bptt', b'sha256', b'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad']
    """

    def write(file: IO[bytes]) -> object:
        hashed = _Hashed(file)
        put(hashed)
        return file.write(f"\nbptt sha256 {hashed.digest.hexdigest()}\n".encode())

    return write


def check_stamp(path: Path) -> None:
    """That a file is as it was stamped; nothing is said of one without a stamp, of before there were any.

    Raises:
        OSError: it cannot be read.
        DamagedFileError: its bytes are not those that were stamped.

    Example:
        >>> import tempfile
        >>> from bptt._files import put_whole
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder) / "a"
        ...     put_whole(path, stamped(lambda file: file.write(b"abc")))
        ...     check_stamp(path)
        ...     _ = path.write_bytes(path.read_bytes().replace(b"abc", b"abd"))
        ...     check_stamp(path)
        Traceback (most recent call last):
        bptt._files._damage.DamagedFileError: it is damaged: its content does not fit its checksum
    """
    with regular(path) as file:
        size = file.seek(0, os.SEEK_END) - _STAMP_BYTES
        if size < 0:
            return
        file.seek(size)
        match = _STAMP.fullmatch(file.read())
        if match is None:
            return
        file.seek(0)
        digest, left = hashlib.sha256(), size
        while left > 0 and (piece := file.read(min(left, 2**20))):
            digest.update(piece)
            left -= len(piece)
    if digest.hexdigest().encode() != match[1]:
        raise DamagedFileError("it is damaged: its content does not fit its checksum")
