"""The two lines of code that make a remedy permanent."""

from collections.abc import Callable
from inspect import signature
from typing import Any


def lines(
    remedy: Callable[..., Any], args: dict[str, Any], site: str = "", *, first: str = "model"
) -> tuple[str, str]:
    """The import and the call; arguments that have their usual value are left out.

    Args:
        remedy: the remedy's function.
        args: what it was told, by name.
        site: where.
        first: the call's own first arguments, `"model, optimizer=optimizer"` for one that needs both.

    Example:
        >>> from bptt.remedies import orthogonal
        >>> lines(orthogonal, {"gain": 2.0, "seed": 0}, "rnn.l0")[1]
        "orthogonal(model, gain=2.0, site='rnn.l0')"
    """
    name, known = remedy.__name__, signature(remedy).parameters
    told = {key: value for key, value in args.items() if value != known[key].default}
    if site:
        told["site"] = site
    call = ", ".join([first, *(f"{key}={value!r}" for key, value in told.items())])
    return f"from bptt.remedies import {name}", f"{name}({call})"
