"""Writing a file at once, and sweeping up after those who were killed amid it."""

import os
import re
import stat
import threading
from collections.abc import Callable, Collection
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import IO


def put_whole(
    path: Path,
    put: Callable[[IO[bytes]], object] | bytes,
    mode: int = 0o600,
    *,
    lasting: bool = False,
) -> None:
    """Have `put(file)` write beside `path`, then take its place: whoever is killed leaves the old file or the new one.

    Args:
        path: its folder exists.
        put: writes the content to the file it is given; or the content.
        mode: who may read it, where the umask allows it; the user alone unless told.
        lasting: flush the folder, too: after a power failure it is the new one that is there. It takes milliseconds.

    Raises:
        OSError: the disk is full, or the folder cannot be written; the old file is untouched.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     put_whole(Path(folder) / "a", b"first")
        ...     put_whole(Path(folder) / "a", lambda file: file.write(b"second"))
        ...     (Path(folder) / "a").read_bytes(), len(list(Path(folder).iterdir()))
        (b'second', 1)
    """
    aside, handle = _beside(path, mode)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(put) if isinstance(put, bytes) else put(file)
            file.flush()
            os.fsync(handle)  # after a power failure no name may stand for a file without content
        os.replace(aside, path)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise
    if lasting:
        _flush(path.parent)


def _flush(folder: Path) -> None:
    """Have the disk know the names in a folder; some file systems, and Windows, know no such thing."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def put_out(path: Path, put: Callable[[IO[bytes]], object] | bytes, mode: int = 0o666) -> None:
    """The same for a file that the user named: links are followed, and a file that was there keeps its rights.

    What is no file (a terminal, a pipe, `/dev/stdout`) cannot be replaced, and is written to. Never of a path that
    somebody else may have laid out, as those in a run folder.

    Raises:
        OSError: as `put_whole`.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     link, file = Path(folder) / "link", Path(folder) / "file"
        ...     link.symlink_to(file)
        ...     put_out(link, b"told")
        ...     put_out(Path(os.devnull), b"told")
        ...     link.is_symlink(), file.read_bytes(), Path(os.devnull).is_file()
        (True, b'told', False)
    """
    path = Path(os.path.realpath(path))
    with suppress(FileNotFoundError):
        found = path.stat().st_mode
        if not stat.S_ISREG(found):
            with path.open("wb") as file:
                file.write(put) if isinstance(put, bytes) else put(file)
            return
        mode = stat.S_IMODE(found)
    put_whole(path, put, mode, lasting=True)


def _beside(path: Path, mode: int) -> tuple[Path, int]:
    """A new file `.<name>.<process>.<thread>.<n>` in the same folder, and its open handle."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    for n in count():
        aside = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}.{n}")
        try:
            return aside, os.open(aside, flags, mode)
        except FileExistsError:
            continue  # left by a process that was killed and had the same number
    raise AssertionError


def sweep(folder: Path, names: Collection[str]) -> None:
    """Delete what killed processes left beside files of these names.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = (Path(folder) / ".run.json.17.4711.0").write_text("{")
        ...     sweep(Path(folder), ["run.json"])
        ...     list(Path(folder).iterdir())
        []
    """
    for path in folder.iterdir():
        if any(
            re.fullmatch(rf"\.{re.escape(name)}\.\d+\.\d+(\.\d+)?", path.name) for name in names
        ):
            path.unlink(missing_ok=True)
