"""What is said where somebody else's package is not installed."""

from importlib.util import find_spec

from bptt._errors import BpttError


class NotInstalledError(BpttError, ImportError):
    """A package that bptt does without is not there, and was asked for."""


def need(module: str, name: str, extra: str) -> None:
    """Make sure that a package is installed; it is not imported for that.

    Args:
        module: as it is imported.
        name: as its makers write it.
        extra: of bptt, that brings it.

    Raises:
        NotInstalledError: it is not there; the message has the command that installs it.

    Example:
        >>> need("no_such_module", "Nothing", "nothing")
        Traceback (most recent call last):
        bptt.integrations._need.NotInstalledError: Nothing is not installed: pip install 'bptt[nothing]'
    """
    if find_spec(module) is None:
        raise NotInstalledError(f"{name} is not installed: pip install 'bptt[{extra}]'")
