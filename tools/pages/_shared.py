"""What the makers of pages share."""

from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def table(head: Iterable[object], rows: Iterable[Iterable[object]], right: bool = False) -> str:
    """Markdown; with `right`, every column but the first to the right."""
    names = [str(each) for each in head]
    rule = ["---", *(["---:"] if right else ["---"]) * (len(names) - 1)]
    return "\n".join(_line(cells) for cells in (names, rule, *rows))


def _line(cells: Iterable[object]) -> str:
    return f"| {' | '.join(str(cell).replace('|', chr(92) + '|') for cell in cells)} |"


def number(value: float) -> str:
    """Three digits that count.

    Example:
        >>> number(0.758333), number(6.907755), number(0.0), number(46.8031)
        ('0.758', '6.91', '0', '46.8')
    """
    return f"{value:.3g}"
