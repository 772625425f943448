"""The targets by name: each is given a folder of its own and gives back what is done with one input."""

from collections.abc import Callable
from pathlib import Path

from fuzz import files, folders, layers, options

TARGETS: dict[str, Callable[[Path], Callable[[bytes], None]]] = {
    "folders": folders.reader,
    "pages": folders.pages,
    "flows": files.flows,
    "replays": files.replays,
    "models": files.models,
    "sweeps": files.sweeps,
    "configs": files.configs,
    "options": options.parsing,
    "words": options.words,
    "layers": layers.target,
}
BLIND = frozenset({"layers"})
"""Targets whose branches a coverage of Python's lines does not see."""
