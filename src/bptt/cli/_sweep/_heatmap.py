"""Heat maps as SVG, written by hand: panels of coloured squares, each with its number, and a scale."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

SQUARE, GAP, LETTER = 46.0, 26.0, 6.5
STOPS_DIVERGING = ((33, 102, 172), (146, 197, 222), (247, 247, 247), (244, 165, 130), (178, 24, 43))
"""Blue, white, red: told apart in every common form of colour blindness."""
STOPS_RISING = ((0, 32, 77), (87, 93, 109), (165, 155, 115), (255, 233, 69))
"""Cividis (Nuñez, Anderton & Renslow 2018): dark blue to yellow, even in lightness."""


@dataclass(frozen=True)
class Panel:
    """One map.

    Attributes:
        title: above it.
        rows: names of its rows, from the top; likewise `columns`, from the left.
        values: `[row][column]`, None where nothing is known.
        words: what stands in each square.
    """

    title: str
    rows: Sequence[str]
    columns: Sequence[str]
    values: Sequence[Sequence[float | None]]
    words: Sequence[Sequence[str]]


@dataclass(frozen=True)
class Scale:
    """From values to colours: `low` and `high` and whatever lies beyond them have the end colours.

    Attributes:
        label: what the colour stands for.
        low: the value of the first colour; likewise `high`, of the last.
        stops: the colours between which is interpolated, as red, green, blue.
    """

    label: str
    low: float
    high: float
    stops: tuple[tuple[int, int, int], ...]

    def colour(self, value: float | None) -> tuple[int, int, int]:
        """The colour of a value; grey for None.

        Example:
            >>> Scale("", 0.0, 1.0, STOPS_RISING).colour(2.0)
            (255, 233, 69)
        """
        if value is None:
            return (221, 221, 221)
        share = min(max((value - self.low) / (self.high - self.low), 0.0), 1.0)
        at = share * (len(self.stops) - 1)
        n = min(int(at), len(self.stops) - 2)
        pairs = zip(self.stops[n], self.stops[n + 1], strict=True)
        red, green, blue = (round(a + (at - n) * (b - a)) for a, b in pairs)
        return red, green, blue


def svg(
    panels: Sequence[Panel], scale: Scale, across: str, down: str, columns: int = 2, note: str = ""
) -> str:
    """The picture as a page of text, the same for the same numbers.

    Args:
        panels: in reading order.
        scale: one for all of them.
        across: what the columns are; likewise `down`, the rows.
        columns: panels side by side.
        note: kept in the file, for programs.
    """
    left = GAP + LETTER * max(len(name) for p in panels for name in (*p.rows, down))
    width = left + SQUARE * max(len(p.columns) for p in panels) + GAP
    height = 44.0 + SQUARE * max(len(p.rows) for p in panels) + 34
    columns = min(columns, len(panels))
    lines = -(-len(panels) // columns)
    full, tall = columns * width, lines * height + 54
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{full:.0f}" height="{tall:.0f}" '
        f'viewBox="0 0 {full:.0f} {tall:.0f}" font-family="sans-serif" font-size="11">',
        f"<desc>{escape(note)}</desc>",
        f'<rect width="{full:.0f}" height="{tall:.0f}" fill="white"/>',
    ]
    for n, panel in enumerate(panels):
        x, y = n % columns * width + left, n // columns * height + 44
        parts += _panel(panel, scale, x, y, across, down)
    parts += _legend(scale, left, lines * height + 10)
    return "\n".join([*parts, "</svg>"]) + "\n"


def _panel(panel: Panel, scale: Scale, x: float, y: float, across: str, down: str) -> list[str]:
    end = y + SQUARE * len(panel.rows)
    parts = [
        _text(panel.title, x, y - 26, 'font-weight="bold" font-size="13"'),
        _text(down, x - 8, y - 8, 'text-anchor="end" fill="#555"'),
        _text(across, x + SQUARE * len(panel.columns) / 2, end + 30, _MIDDLE + ' fill="#555"'),
    ]
    for j, name in enumerate(panel.columns):
        parts.append(_text(name, x + SQUARE * (j + 0.5), end + 15, _MIDDLE))
    for i, name in enumerate(panel.rows):
        top = y + SQUARE * i
        parts.append(_text(name, x - 8, top + SQUARE / 2 + 4, 'text-anchor="end"'))
        for j, (value, word) in enumerate(zip(panel.values[i], panel.words[i], strict=True)):
            colour = scale.colour(value)
            parts.append(
                f'<rect x="{x + SQUARE * j:.0f}" y="{top:.0f}" width="{SQUARE:.0f}" height="{SQUARE:.0f}" '
                f'fill="rgb{colour}" stroke="white"/>'
            )
            ink = f'{_MIDDLE} fill="{_ink(colour)}"'
            parts.append(_text(word, x + SQUARE * (j + 0.5), top + SQUARE / 2 + 4, ink))
    return parts


_MIDDLE = 'text-anchor="middle"'


def _legend(scale: Scale, x: float, y: float, steps: int = 41) -> list[str]:
    each = 5.0
    parts = [_text(scale.label, x, y + 38, "")]
    for n in range(steps):
        colour = scale.colour(scale.low + (scale.high - scale.low) * n / (steps - 1))
        parts.append(
            f'<rect x="{x + each * n:.0f}" y="{y:.0f}" width="{each:.0f}" height="12" fill="rgb{colour}"/>'
        )
    for value, share in ((scale.low, 0.0), ((scale.low + scale.high) / 2, 0.5), (scale.high, 1.0)):
        parts.append(_text(f"{value:g}", x + share * each * steps, y + 24, _MIDDLE))
    return parts


def _ink(colour: tuple[int, int, int]) -> str:
    red, green, blue = colour
    return "black" if 0.299 * red + 0.587 * green + 0.114 * blue > 140 else "white"


def _text(words: str, x: float, y: float, how: str) -> str:
    return f'<text x="{x:.0f}" y="{y:.0f}" {how}>{escape(words)}</text>'
