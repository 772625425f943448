"""A credit curve as a few rows of text: braille dots, or stars where the encoding has no braille."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

Curve = Sequence[Sequence[int | float | None]]

BLANK = "\N{BRAILLE PATTERN BLANK}"
# Bit of each of the 2 x 4 dots of a braille character, by column and row.
DOTS = ((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80))
FLOOR = 3
"""Decades shown below the threshold; what is smaller has no meaning for learning."""


@dataclass(frozen=True)
class Row:
    """One row of a plot: its label, its cells, and whether the threshold runs through it."""

    label: str
    cells: str
    at_threshold: bool


@dataclass(frozen=True)
class Canvas:
    """Decades from `low` to `high` over `rows` of dots, lags from 0 to `lags` over `columns` of dots."""

    columns: int
    rows: int
    lags: int
    low: float
    high: float

    def column(self, lag: int | float) -> int:
        """Column of dots at which a lag stands."""
        return round(lag / max(self.lags, 1) * (self.columns - 1))

    def row(self, decade: float) -> int:
        """Row of dots, 0 at the top; a credit below the floor falls off the canvas."""
        return round((self.high - decade) / (self.high - self.low) * (self.rows - 1))

    def dots(self, curve: Curve) -> set[tuple[int, int]]:
        """The dots of the curve, neighbouring points joined by straight lines in log space."""
        dots, before = set(), None
        for lag, credit in curve:
            if lag is None or credit is None or credit <= 0:
                before = None  # a gap: nothing is drawn that was not measured
                continue
            here = (self.column(lag), self.row(math.log10(credit)))
            dots |= _line(before or here, here)
            before = here
        return {(x, y) for x, y in dots if 0 <= y < self.rows}


def draw(
    curve: Curve, threshold: float, *, width: int = 60, height: int = 6, ascii_only: bool = False
) -> list[Row]:
    """Draw `[[lag, credit], ...]` into `height` rows of `width` cells; the credit is logarithmic.

    Example:
        >>> for row in draw([[0, 1.0], [4, 1e-4]], 1e-2, width=9, height=5, ascii_only=True):
        ...     print(f"{row.label:>4} {row.cells}")
           1 **
               *
        1e-2 ---***---
                   *
        1e-4        **
    """
    high, low = _decades(curve, threshold)
    across, down = (1, 1) if ascii_only else (2, 4)
    lags = max((int(lag) for lag, _ in curve if lag is not None), default=0)
    canvas = Canvas(width * across, height * down, lags, low, high)
    dots = canvas.dots(curve)
    level = canvas.row(math.log10(threshold)) // down
    rows = []
    for y in range(height):
        cells = _stars(dots, y, width) if ascii_only else _braille(dots, y, width)
        label = {0: _number(high), height - 1: _number(low), level: _number(math.log10(threshold))}
        if y == level:
            cells = cells.replace(" ", "-" if ascii_only else "┄")
        rows.append(Row(label.get(y, ""), cells.rstrip(), y == level))
    return rows


def axis(lags: int, width: int = 60) -> str:
    """The line below a plot: lag 0, the middle and the largest lag.

    Example:
        >>> axis(128, width=30)
        '0             64 128 steps back'
    """
    last = f"{lags} step{'s' * (lags != 1)} back"
    middle = str(lags // 2) if lags > 1 else ""
    line = "0".ljust(max(width // 2 - len(middle) // 2, 2)) + middle
    return line.ljust(max(width - len(last), len(line) + 1)) + last


def _decades(curve: Curve, threshold: float) -> tuple[float, float]:
    """Top and bottom of the picture in decades: all of what grew, and no more than FLOOR below."""
    known = [math.log10(credit) for _, credit in curve if credit is not None and credit > 0]
    level = math.log10(threshold)
    high = float(max(0, math.ceil(max(known, default=0.0) - 0.05)))  # 1.1 is no decade yet
    low = max(min(known, default=level), level - FLOOR)
    return high, float(math.floor(min(low, level - 1)))


def _line(start: tuple[int, int], end: tuple[int, int]) -> set[tuple[int, int]]:
    (x0, y0), (x1, y1) = start, end
    n = max(abs(x1 - x0), abs(y1 - y0), 1)
    return {(x0 + round(k * (x1 - x0) / n), y0 + round(k * (y1 - y0) / n)) for k in range(n + 1)}


def _braille(dots: set[tuple[int, int]], y: int, width: int) -> str:
    cells = ""
    for x in range(width):
        bits = sum(DOTS[i][j] for i in range(2) for j in range(4) if (2 * x + i, 4 * y + j) in dots)
        cells += chr(ord(BLANK) + bits) if bits else " "
    return cells


def _stars(dots: set[tuple[int, int]], y: int, width: int) -> str:
    return "".join("*" if (x, y) in dots else " " for x in range(width))


def _number(decade: float) -> str:
    """`1`, `1e-3`, `0.02`: the number with this decimal logarithm."""
    if decade == 0 or decade != round(decade):
        return f"{10.0**decade:.3g}"
    return f"1e{decade:.0f}"
