"""Published numbers beside measured ones, with what was different between the two."""

import json
from collections.abc import Iterable
from dataclasses import fields
from functools import cache
from pathlib import Path
from textwrap import wrap
from typing import Any

from bptt.tasks._table import table
from bptt.tasks._variant import Variant

MEASURED = Path(__file__).parent / "_measured.json"
"""Made by `python benchmarks/tasks.py`."""

_WORDS = {
    "cell": ("", "", ""),
    "hidden": ("", "", " units"),
    "batch": ("batch ", "", ""),
    "optimizer": ("", "", ""),
    "lr": ("learning rate ", "g", ""),
    "updates": ("at most ", ",", " updates"),
    "sequences": ("evaluated on ", ",", " sequences"),
}
"""For each setting what stands before it, how it is written, and what stands behind it."""


@cache
def measured() -> list[dict[str, Any]]:
    """Rows of the measurement: task, variant, remedy, and what came of every seed."""
    return json.loads(MEASURED.read_text(encoding="utf-8"))["rows"]


def compared() -> str:
    """The table: a block a task, what was published, what was measured, and the differences in set-up.

    Example:
        >>> compared().splitlines()[0]
        'adding'
    """
    blocks = []
    for name, each in table().items():
        lines = [name, *_told("published", each.published)]
        rows = [row for row in measured() if row["task"] == name]
        lines += [] if rows else _told("measured", ["not yet"])
        for n, row in enumerate(rows):
            variant = variant_of(row["variant"])
            lines += _told("measured", [_outcome(row, variant)])
            if n + 1 == len(rows) or rows[n + 1]["variant"] != row["variant"]:
                lines += _told(
                    "different", ["; ".join([*each.differs, *differences(each.paper, variant)])]
                )
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks)


def variant_of(saved: dict[str, Any]) -> Variant:
    """A variant from a JSON file, where a range of lengths has become a list."""
    task = {k: tuple(v) if isinstance(v, list) else v for k, v in saved["task"].items()}
    return Variant(**(saved | {"source": "", "task": task}))


def differences(paper: Variant, measured: Variant) -> list[str]:
    """What differs in set-up, in words: `gru, not lstm`."""
    found = []
    for name in sorted(paper.task.keys() | measured.task.keys()):
        was, is_ = paper.task.get(name), measured.task.get(name)
        if was != is_:
            found.append(f"{name} {_plain(is_)}, not {_plain(was)}")
    for field in fields(Variant):
        was, is_ = getattr(paper, field.name), getattr(measured, field.name)
        if field.name in _WORDS and was != is_:
            before, form, behind = _WORDS[field.name]
            found.append(f"{before}{is_:{form}}{behind}, not {was:{form}}")
    if (paper.clip, paper.clip_by) != (measured.clip, measured.clip_by):
        found.append(f"{_clipped(measured)}, not {_clipped(paper)}")
    return found


def _clipped(variant: Variant) -> str:
    return (
        "unclipped" if variant.clip is None else f"clipped at {variant.clip:g} by {variant.clip_by}"
    )


def _plain(value: Any) -> str:
    return "-".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _outcome(row: dict[str, Any], variant: Variant) -> str:
    solved = [run["solved"] for run in row["runs"] if run["solved"] is not None]
    sizes = ", ".join(f"{name} {_plain(value)}" for name, value in variant.task.items())
    share = f"{len(solved)} of {len(row['runs'])} seeds solved it"
    said = f"{variant.cell}, {sizes}, {row['remedy'] or 'no remedy'}: {share}"
    if solved:
        said += f", at update {', '.join(f'{update:,}' for update in sorted(solved))}"
    errors = [f"{run['last'][3]:.1%}" for run in row["runs"] if run["last"]]
    return f"{said}; wrong at the end: {', '.join(errors) or 'every run diverged'}"


def _told(word: str, sentences: Iterable[str]) -> list[str]:
    lines: list[str] = []
    for sentence in sentences:
        first, *rest = wrap(sentence, 100)
        lines += [f"  {word:<11}{first}", *(" " * 13 + line for line in rest)]
    return lines
