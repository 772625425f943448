"""The reference of the Python side: a page a room, a heading a public name; mkdocstrings fills in the docstrings.

Rooms are read, not imported: what a room gives out stands in its `__init__.py`, one name a line.
"""

import ast
import functools
from pathlib import Path

from _docstrings import readable
from _shared import ROOT

# Rooms whose public names are for users, and what a reader comes for; the others serve these.
ROOMS = {
    "bptt": "Measure and explain",
    "bptt.doctor": "Monitor and run folders",
    "bptt.flow": "What was measured",
    "bptt.rules": "Rules and findings",
    "bptt.remedies": "Remedies",
    "bptt.nn": "Layers",
    "bptt.tasks": "Tasks",
    "bptt.lm": "Language models",
    "bptt.integrations": "Integrations",
    "bptt.cells": "Cells",
}
INTEGRATIONS = ("lightning", "transformers", "tensorboard", "wandb", "mlflow")


@functools.cache
def pages() -> dict[str, str]:
    """A page a room, by its path under docs/."""
    shown: set[str] = set()
    return {
        f"api/{room.rpartition('.')[2]}.md": _page(room, title, shown)
        for room, title in ROOMS.items()
    }


def _page(room: str, title: str, shown: set[str]) -> str:
    parts = [f"# {title}: `{room}`", readable(ast.get_docstring(_tree(room)) or "")]
    if room == "bptt.integrations":
        parts += [f"## {name}\n\n{_whole(f'{room}.{name}')}" for name in INTEGRATIONS]
    for path in public(room):
        if path not in shown:  # a name stands on the page of the room that shows it first
            shown.add(path)
            parts.append(f"::: {path}")
    return "\n\n".join(parts) + "\n"


def _whole(module: str) -> str:
    options = "\n      ".join(("show_root_heading: false", "show_root_toc_entry: false"))
    return f"::: {module}\n    options:\n      {options}"


def public(room: str) -> list[str]:
    """Where the classes and functions are made that the room gives out; functions first, each group by name.

    Example:
        >>> public("bptt.nn")[:2]
        ['bptt.nn._convert.accelerate', 'bptt.nn._convert.restore']
    """
    names = [name for name in _given(_tree(room)) if not name.startswith("_")]
    made = sorted(filter(None, (_made(room, name) for name in names)))
    return [path for _, _, path in made]


def _given(tree: ast.Module) -> list[str]:
    """Names that a façade imports from elsewhere in bptt, those under TYPE_CHECKING too."""
    return [
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("bptt")
        for alias in node.names
    ]


def _made(module: str, name: str) -> tuple[bool, str, str] | None:
    """Whether it is a class, its name for sorting, and its path; None for what is neither class nor function."""
    for node in ast.walk(_tree(module)):
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name == name:
            return isinstance(node, ast.ClassDef), name.lower(), f"{module}.{name}"
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("bptt"):
            for alias in node.names:
                # A room that gives out another room, `from bptt import nn`, names no class.
                if (alias.asname or alias.name) == name and node.module != module:
                    return _made(node.module or "", alias.name)
    return None


def _file(module: str) -> Path:
    path = ROOT / "src" / Path(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


@functools.cache
def _tree(module: str) -> ast.Module:
    return ast.parse(_file(module).read_text(encoding="utf-8"))
