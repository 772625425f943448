"""Axes, ticks and paths of a picture that fits any width without a script.

Curves lie in a coordinate system of 1,000 by 1,000 that is stretched to the picture (`preserveAspectRatio="none"`, with
lines that keep their width); grid and labels stand at percentages of it and keep their size. The page's script draws
the same paths by the same arithmetic when another update is chosen, and zooms by the inner `viewBox` alone.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from bptt.report.page._markup import Markup, number, tag

SPAN = 1000
Value = float | int | None
Pairs = Sequence[Sequence[Value]]


@dataclass(frozen=True)
class Axis:
    """From `low` to `high`, both finite and apart; with `log`, in decades.

    Example:
        >>> Axis(0.0, 4.0).at(1.0), Axis(1e-4, 1.0, log=True).at(1e-3)
        (250.0, 250.0)
    """

    low: float
    high: float
    log: bool = False

    def at(self, value: Value) -> float | None:
        """Where a value stands between 0 and 1,000; None where it has no place."""
        return self.all([value])[0]

    def all(self, values: Iterable[Value]) -> list[float | None]:
        """Where each of the values stands."""
        if not self.log:
            scale = SPAN / (self.high - self.low)
            return [None if v is None else scale * (v - self.low) for v in values]
        low, high = math.log10(self.low), math.log10(self.high)
        scale = SPAN / (high - low)
        return [None if v is None or v <= 0 else scale * (math.log10(v) - low) for v in values]

    def ticks(self, n: int) -> list[float]:
        """About `n` round numbers between the ends."""
        if not self.log:
            return linear_ticks(self.low, self.high, n)
        low, high = math.ceil(math.log10(self.low) - 1e-9), math.floor(math.log10(self.high) + 1e-9)
        step = max(1, math.ceil((high - low) / n))
        return [10.0**decade for decade in range(high, low - 1, -step)][::-1]

    def __str__(self) -> str:
        return f"{self.low!r} {self.high!r} {'log' if self.log else 'linear'}"


def linear_ticks(low: float, high: float, n: int) -> list[float]:
    """Multiples of 1, 2 or 5 times a power of ten.

    Example:
        >>> linear_ticks(0.0, 127.0, 5), linear_ticks(1.053, 1.143, 4)
        ([0.0, 50.0, 100.0], [1.06, 1.08, 1.1, 1.12, 1.14])
    """
    raw = (high - low) / n
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(each * power for each in (1, 2, 5, 10) if each * power >= raw * 0.999)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    found = [float(f"{k * step:.12g}") for k in range(first, last + 1)]
    # One number gives no scale.
    return found if len(found) > 1 or n > 64 else linear_ticks(low, high, 2 * n)


def around(values: Iterable[Value], *, log: bool = False, least: float = 0.0) -> Axis | None:
    """An axis that holds all values; None if there are none. `least`: the smallest extent, in decades if `log`.

    Example:
        >>> around([0.02, 3.0, None], log=True)
        Axis(low=0.01, high=10.0, log=True)
    """
    known = [float(v) for v in values if v is not None and (v > 0 or not log)]
    if not known:
        return None
    low, high = min(known), max(known)
    if log:
        down, up = math.floor(math.log10(low)), math.ceil(math.log10(high))
        up = max(up, down + max(1, math.ceil(least)))
        return Axis(10.0 ** max(down, -300), 10.0 ** min(up, 300), log=True)
    pad = (high - low) * 0.04
    if high - low <= least or high == low:
        pad = max(least, abs(high) * 0.05, 1e-12)
    return Axis(low - pad, high + pad)


def short(place: float) -> str:
    """A coordinate with one digit behind the point, kept within reach of the picture."""
    return shorts([place])[0]


def shorts(places: Iterable[float]) -> list[str]:
    """Coordinates with one digit behind the point.

    Example:
        >>> shorts([0.0, 12.345, 1e9])
        ['0', '12.3', '9000']
    """
    return [f"{math.floor(min(max(p, -9000.0), 9000.0) * 10 + 0.5) / 10:g}" for p in places]


def line(points: Pairs, x: Axis, y: Axis) -> str:
    """The path through `[[x, y], ...]`; a gap where nothing was measured.

    Example:
        >>> line([[0, 1.0], [1, None], [2, 0.0], [4, 1.0]], Axis(0.0, 4.0), Axis(0.0, 1.0))
        'M0 0M500 1000L1000 0'
    """
    across, up = x.all(point[0] for point in points), y.all(point[1] for point in points)
    here = shorts(0.0 if place is None else place for place in across)
    down = shorts(0.0 if place is None else SPAN - place for place in up)
    path, pen = "", "M"
    for n in range(len(points)):
        if across[n] is None or up[n] is None:
            pen = "M"
            continue
        path += f"{pen}{here[n]} {down[n]}"
        pen = "L"
    return path


def dots(points: Pairs, x: Axis, y: Axis) -> str:
    """Marks for points that have no neighbour to be joined with, such as the one step that a loss reads.

    Example:
        >>> dots([[0, 1.0], [1, 0.5], [2, None], [4, 0.5]], Axis(0.0, 4.0), Axis(0.0, 1.0))
        'M1000 500h0'
    """
    places = [(x.at(point[0]), y.at(point[1])) for point in points]
    known = [False, *(None not in place for place in places), False]
    return "".join(
        f"M{short(across)} {short(SPAN - up)}h0"
        for n, (across, up) in enumerate(places, 1)
        if across is not None and up is not None and not known[n - 1] and not known[n + 1]
    )


def band(points: Sequence[Sequence[Value]], x: Axis, y: Axis) -> str:
    """The area between the second and the last column of `[[x, low, ..., high], ...]`."""
    places = zip(
        x.all(point[0] for point in points),
        y.all(point[1] for point in points),
        y.all(point[-1] for point in points),
        strict=True,
    )
    path, upper, lower = "", [], []
    for across, low, high in [*places, (None, None, None)]:
        if across is not None and low is not None and high is not None:
            here, top, bottom = shorts((across, SPAN - high, SPAN - low))
            upper.append(f"{here} {top}")
            lower.append(f"{here} {bottom}")
        elif upper:
            path += "M" + "L".join([*upper, *reversed(lower)]) + "Z"
            upper, lower = [], []
    return path


def stacked(columns: Sequence[Pairs], x: Axis, y: Axis) -> list[str]:
    """One path a column of `[[x, value], ...]`, all at the same x: what helps stacks up from 0, what hurts down.

    Example:
        >>> stacked([[[0, 1.0]], [[0, -1.0]]], Axis(0.0, 1.0), Axis(-1.0, 1.0))
        ['M0 500V0H1000V500Z', 'M0 500V1000H1000V500Z']
    """
    places = [point[0] for point in columns[0]]
    edges = _edges([float(each) for each in places if each is not None])
    ups, downs = [0.0] * len(edges), [0.0] * len(edges)
    paths = []
    for column in columns:
        path = ""
        for n, (point, (left, right)) in enumerate(zip(column, edges, strict=False)):
            if point[1] is None:
                continue
            side = ups if point[1] >= 0 else downs
            start, side[n] = side[n], side[n] + float(point[1])
            corners = [*x.all((left, right)), *y.all((start, side[n]))]
            here, there, low, high = (each for each in corners if each is not None)
            first, last, base, top = shorts((here, there, SPAN - low, SPAN - high))
            path += f"M{first} {base}V{top}H{last}V{base}Z"
        paths.append(path)
    return paths


def _edges(places: list[float]) -> list[tuple[float, float]]:
    """Left and right end of each bar: halfway to its neighbours."""
    if len(places) < 2:
        return [(each, each + 1) for each in places]
    middles = [(a + b) / 2 for a, b in pairwise(places)]
    return list(zip([places[0], *middles], [*middles, places[-1]], strict=True))


def picture(
    x: Axis,
    y: Axis,
    layers: Sequence[object],
    label: str,
    *,
    levels: Sequence[tuple[float, str]] = (),
    kind: str = "",
    percent: bool = False,
    marks: Sequence[tuple[float, str]] | None = None,
) -> Markup:
    """The drawing: grid, labels, levels, and `layers` in the stretched coordinates.

    Args:
        x, y: the axes.
        layers: markup within 1,000 by 1,000.
        label: what it shows, for those who do not see it.
        levels: horizontal lines with a meaning, such as the threshold: height and class.
        kind: a class for the whole.
        percent: whether heights are shares, written in percent.
        marks: places and labels along x, where they are not round numbers.
    """
    grid = []
    for height in y.ticks(4):
        at = f"{100 - (y.at(height) or 0) / 10:g}%"
        said = f"{number(100 * height)} %" if percent else _tick(height, y)
        grid += [tag("line", class_="grid", x1="0", x2="100%", y1=at, y2=at)]
        grid += [tag("text", said, class_="y", x="0", y=at, dx="-6", dy="4")]
    marks = [(each, place_name(each)) for each in whole(x.ticks(4))] if marks is None else marks
    across = [
        tag("text", said, class_="x", x=f"{(x.at(place) or 0) / 10:g}%", y="100%", dy="16")
        for place, said in marks
    ]
    for height, style in levels:
        up = y.at(height)
        if up is not None and 0 <= up <= SPAN:
            at = f"{100 - up / 10:g}%"
            grid.append(tag("line", class_=f"level {style}", x1="0", x2="100%", y1=at, y2=at))
    inner = tag(
        "svg", *layers, class_="in", viewBox=f"0 0 {SPAN} {SPAN}", preserveAspectRatio="none",
        width="100%", height="100%",
    )  # fmt: skip
    return tag(
        "svg", *grid, tag("g", *across, class_="across"), inner, role="img", aria_label=label,
        class_=f"plot {kind}".rstrip(), data_x=str(x), data_y=str(y),
    )  # fmt: skip


def whole(ticks: Iterable[float]) -> list[float]:
    """Whole numbers alone: there is no step 1.5, and no such update.

    Example:
        >>> whole([1.0, 1.5, 2.0])
        [1.0, 2.0]
    """
    return [each for each in ticks if each.is_integer()]


def place_name(place: float) -> str:
    """A place along an axis: whole thousands are set off.

    Example:
        >>> place_name(50000.0), place_name(0.5)
        ('50,000', '0.5')
    """
    return f"{place:,.0f}" if place == int(place) and abs(place) < 1e9 else number(place)


def path(d: str, style: str) -> Markup:
    """A path of one of the page's styles."""
    return tag("path", class_=style, d=d)


def _tick(value: float, axis: Axis) -> str:
    return f"1e{round(math.log10(value))}" if axis.log and not 0.1 <= value <= 10 else number(value)
