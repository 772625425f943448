"""Pictures of results: the same size, colours and marks for all, and a note of the numbers that they show."""

import hashlib
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib as mpl

PICTURES = Path(__file__).parents[1] / "docs" / "pictures"
COLOURS = ("#000000", "#E69F00", "#56B4E9", "#0072B2", "#009E73", "#CC79A7", "#D55E00")
"""Okabe & Ito (2008): told apart by people who see fewer colours, too."""


def digest(rows: Any) -> str:
    """A short name of the numbers behind a picture."""
    return hashlib.sha256(json.dumps(rows, sort_keys=True).encode()).hexdigest()[:16]


def drawn_from(path: Path) -> str | None:
    """The digest of the numbers that a picture was drawn from."""
    found = re.search(r"numbers ([0-9a-f]{16})", path.read_text(encoding="utf-8"))
    return found[1] if found else None


@contextmanager
def drawing(path: Path, rows: Any, panels: int, size: tuple[float, float]) -> Iterator[list[Any]]:
    """Panels side by side with one vertical axis; written to `path` at the end, the same bytes for the same numbers."""
    mpl.use("svg")
    from matplotlib import pyplot as plt

    with mpl.rc_context({"svg.hashsalt": "bptt", "svg.fonttype": "none", "font.size": 9}):
        figure, axes = plt.subplots(
            1, panels, figsize=size, sharey=True, squeeze=False, layout="constrained"
        )
        yield list(axes[0])
        path.parent.mkdir(parents=True, exist_ok=True)
        about = {"Date": None, "Description": f"numbers {digest(rows)}"}
        figure.savefig(path, metadata=about)
        plt.close(figure)
    # matplotlib leaves blanks at the ends of lines.
    lines = path.read_text(encoding="utf-8").splitlines()
    path.write_text("".join(f"{line.rstrip()}\n" for line in lines), encoding="utf-8")
