"""The table of remedies: every file of this room's five folders is a row, named as the file is."""

import importlib
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Any

from torch import nn

from bptt.remedies._change import Change
from bptt.remedies._target import RemedyError, Target

KINDS = ("initialisation", "clipping", "regularisers", "structure", "training")
"""The folders. `initialisation` changes weights before training; the others act while it goes on."""


@dataclass(frozen=True)
class Remedy:
    """A row of the table.

    Attributes:
        name: `chrono`; also the name of its function and of its file.
        kind: the folder it is in.
        function: `chrono(model, *, optimizer=None, site="", lag)`: applies it, returns the `Change`.
        fits: from a `Target` to the reason why it does not fit, `""` if it does.
        cures: codes of the rules whose finding it takes away.
    """

    name: str
    kind: str
    function: Callable[..., Change]
    fits: Callable[[Target], str]
    cures: tuple[str, ...]

    @property
    def page(self) -> str:
        """Its docstring: mathematics, arguments, what is lost, source."""
        return inspect.getdoc(self.function) or ""

    @property
    def arguments(self) -> tuple[str, ...]:
        """What it can be told, besides model, optimizer and site."""
        named = inspect.signature(self.function).parameters
        return tuple(name for name in named if name not in ("model", "optimizer", "site"))

    def apply(
        self, model: nn.Module, optimizer: Any = None, *, site: str = "", **args: Any
    ) -> Change:
        """Apply it where it fits.

        Raises:
            RemedyError: it does not fit, or an argument is unknown or makes no sense; nothing was changed.
        """
        unknown = sorted(set(args) - set(self.arguments))
        if unknown:
            takes = ", ".join(self.arguments) or "no arguments"
            raise RemedyError(f"{self.name} does not take {', '.join(unknown)}; it takes {takes}")
        owners = () if optimizer is None else (optimizer,)
        reason = self.fits(Target(model, owners, site))
        if reason:
            raise RemedyError(f"{self.name} does not fit: {reason}")
        return self.function(model, optimizer=optimizer, site=site, **args)


@cache
def table() -> dict[str, Remedy]:
    """All remedies by name, kind by kind.

    Example:
        >>> table()["chrono"].kind
        'initialisation'
    """
    rows = {}
    for kind in KINDS:
        for path in sorted((Path(__file__).parent / kind).glob("[!_]*.py")):
            module = importlib.import_module(f"bptt.remedies.{kind}.{path.stem}")
            function = getattr(module, path.stem)
            rows[path.stem] = Remedy(path.stem, kind, function, module.fits, module.CURES)
    return rows


def remedy(name: str) -> Remedy:
    """The remedy of this name.

    Raises:
        RemedyError: there is none; the message holds the nearest.
    """
    if name not in table():
        near = get_close_matches(name, table(), n=1)
        raise RemedyError(
            f"there is no remedy {name!r}" + (f"; did you mean {near[0]}?" if near else "")
        )
    return table()[name]
