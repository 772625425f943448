"""Files that are never half written, and the sentence for a disk that does not take them."""

from collections.abc import Callable
from pathlib import Path
from typing import IO

from bptt._files import put_whole
from bptt.lm._config import LmError


def write(path: Path, put: Callable[[IO[bytes]], object]) -> None:
    """Have `put(file)` write beside `path`, then take its place: whoever is killed leaves the old file or the new one.

    Raises:
        LmError: the disk is full, or the folder cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # As private as the folder and the user's umask make it.
        put_whole(path, put, mode=0o666, lasting=True)
    except (OSError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and not isinstance(error.__context__, OSError):
            raise
        cause = error if isinstance(error, OSError) else error.__context__
        reason = getattr(cause, "strerror", None) or str(cause)
        kept = "; the one before is untouched" if path.exists() else ""
        raise LmError(
            f"{path} could not be written: {reason}{kept}. Make room or give another folder"
        ) from None


def write_text(path: Path, text: str) -> None:
    """`write` for text, in UTF-8."""
    write(path, lambda file: file.write(text.encode()))
