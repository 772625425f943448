"""A row of the panel: pieces of text with a style each, for a terminal's own sequences or for rich."""

from collections.abc import Sequence

from rich.cells import cell_len, set_cell_size
from rich.text import Text

from bptt.report._clean import clean, to_ascii

Piece = tuple[str, str]
Row = Sequence[Piece]

CODES = {
    "": "",
    "bold": "1",
    "dim": "2",
    "red": "31",
    "green": "32",
    "yellow": "33",
    "cyan": "36",
    "bold red": "1;31",
    "bold yellow": "1;33",
    "bold cyan": "1;36",
}
"""Styles as rich calls them, and what a terminal is told. Sixteen colours: they are the user's own."""


def plain(row: Row) -> str:
    """The text of a row.

    Example:
        >>> plain([("loss ", "bold"), ("2.41", "")])
        'loss 2.41'
    """
    return "".join(text for text, _ in row)


def cut(row: Row, cells: int) -> list[Piece]:
    """The row in at most `cells` columns.

    Example:
        >>> cut([("loss ", "bold"), ("2.41", "")], 7)
        [('loss ', 'bold'), ('2.', '')]
    """
    kept: list[Piece] = []
    for text, style in row:
        width = cell_len(text)
        kept.append((text if width <= cells else set_cell_size(text, max(cells, 0)), style))
        cells -= width
        if cells <= 0:
            break
    return kept


def escaped(row: Row, cells: int, *, color: bool) -> str:
    r"""The row as a terminal is sent it, in at most `cells` columns: text and our own styles, nothing else.

    Example:
        >>> escaped([("loss", "bold"), (" 2.41\x1b[2J", "")], 12, color=True)
        '\x1b[1mloss\x1b[0m 2.41?[2'
    """
    parts = []
    for text, style in cut([(clean(text), style) for text, style in row], cells):
        code = CODES[style] if color else ""
        parts.append(f"\x1b[{code}m{text}\x1b[0m" if code else text)
    return "".join(parts)


def as_text(row: Row) -> Text:
    """The row for rich.

    Example:
        >>> as_text([("loss", "bold"), (" 2.41", "")]).plain
        'loss 2.41'
    """
    return Text.assemble(*((clean(text), style) for text, style in row), no_wrap=True)


def in_ascii(row: Row) -> list[Piece]:
    """The row for a terminal that has no other characters.

    Example:
        >>> in_ascii([("×0.9", "dim")])
        [('x0.9', 'dim')]
    """
    return [(to_ascii(text), style) for text, style in row]
