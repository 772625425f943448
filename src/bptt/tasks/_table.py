"""The table of tasks: every file of this room without an underscore is a row, named as the file is."""

import importlib
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from pathlib import Path

from bptt.tasks._task import Task, TaskError
from bptt.tasks._variant import Variant


@dataclass(frozen=True)
class Entry:
    """A row of the table.

    Attributes:
        name: `adding`; also the name of its function and of its file.
        make: from its arguments (`length`, …) to the `Task`.
        paper: sizes and settings as published.
        small: sizes and settings for a processor without a GPU.
        published: what came of it in the papers, a sentence a result.
        differs: what is different here besides the settings.
    """

    name: str
    make: Callable[..., Task]
    paper: Variant
    small: Variant
    published: tuple[str, ...]
    differs: tuple[str, ...] = ()

    @property
    def page(self) -> str:
        """Its docstring: inputs, target, the answer without memory, source."""
        return inspect.getdoc(self.make) or ""

    @property
    def arguments(self) -> tuple[str, ...]:
        """What the task can be told."""
        return tuple(inspect.signature(self.make).parameters)


@cache
def table() -> dict[str, Entry]:
    """All tasks by name.

    Example:
        >>> table()["copy"].make(length=50).lag
        60
    """
    rows = {}
    for path in sorted(Path(__file__).parent.glob("[!_]*.py")):
        module = importlib.import_module(f"bptt.tasks.{path.stem}")
        rows[path.stem] = Entry(
            path.stem,
            getattr(module, path.stem),
            module.PAPER,
            module.SMALL,
            module.PUBLISHED,
            getattr(module, "DIFFERS", ()),
        )
    return rows


def entry(name: str) -> Entry:
    """The row of this name.

    Raises:
        TaskError: there is none; the message holds the nearest.
    """
    if name not in table():
        near = get_close_matches(name, table(), n=1)
        end = f"; did you mean {near[0]}?" if near else f"; there are {', '.join(table())}"
        raise TaskError(f"there is no task {name!r}{end}")
    return table()[name]
