"""What is said of a file that cannot be used."""

from functools import cache
from importlib import metadata
from typing import Any

from bptt._errors import BpttError


class DamagedFileError(BpttError):
    """The content of a file is not what was written, or is of a newer format than this bptt reads."""


@cache
def writer() -> str:
    """What files name as the program that wrote them: `bptt` and its version.

    Example:
        >>> writer().split()[0]
        'bptt'
    """
    try:
        return f"bptt {metadata.version('bptt')}"
    except metadata.PackageNotFoundError:  # run from a source tree that nobody installed
        return "bptt of an unknown version"


def newer(told: Any, form: int, by: Any) -> str:
    """What to say of a file of format `told`, written by `by`, where formats up to `form` are read.

    Example:
        >>> newer(3, 2, "bptt 9.1")
        'it is of format 3, and this bptt reads up to 2: install bptt 9.1, which wrote it'
    """
    return f"it is of format {told}, and this bptt reads up to {form}: install {by}, which wrote it"
