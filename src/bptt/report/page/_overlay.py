"""Pictures in which several runs lie over each other: each run's own points as a line, and one table for all.

Runs were measured at different places, so the table and what the script reads off a picture stand on places of all the
runs, and at each a run gives the number it had there: at updates the latest by then, at lags the nearest that was
measured. Past a run's own end it gives none.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from bptt.report.page._figure import figure
from bptt.report.page._markup import Markup, number
from bptt.report.page._plot import Axis, Pairs, Value, around, dots, line, path, picture
from bptt.report.page._thin import ROWS, keep

OVERLAID = 12
"""Runs that are drawn; the table has them all."""
DASHES = ("", " dashed", " dotted")
Points = Sequence[tuple[int, Value]]
Read = Callable[[list[int], int], int | None]


@dataclass
class Overlays:
    """The pictures of one page, and the numbers of each for the page's script.

    Attributes:
        names: of the runs, as they are shown.
        data: what the script reads, one entry a picture.

    Example:
        >>> overlays = Overlays(["a", "b"])
        >>> drawn = overlays.draw("Loss", [[(1, 4.0), (3, 2.0)], [(2, 1.0)]], Axis(1.0, 3.0), says="", read=latest)
        >>> overlays.data[0]["xs"], overlays.data[0]["columns"]
        ([1, 2, 3], [['a', [4.0, 4.0, 2.0]], ['b', [None, 1.0, None]]])
    """

    names: Sequence[str]
    data: list[dict[str, Any]] = field(default_factory=list)

    def draw(
        self,
        title: str,
        runs: Sequence[Points],
        x: Axis,
        *,
        says: str,
        read: Read,
        y: Axis | None = None,
        axes: tuple[str, str] = ("update", "loss"),
        levels: Sequence[tuple[float, str]] = (),
        wide: bool = False,
        level: int = 4,
        place: str = "",
    ) -> Markup | None:
        """One picture; None where no run has a point.

        Args:
            title: what is drawn.
            runs: of each run places along x, in order, and what was there.
            x, y: the axes; without `y` one that holds all values.
            says: how to read it.
            read: which of a run's places answers for another one.
            axes: what stands along them.
            levels: horizontal lines with a meaning.
            wide: whether it takes the whole width.
            level: of its title.
            place: the site, where it is of one.
        """
        drawn = [(n, points) for n, points in enumerate(runs[:OVERLAID]) if points]
        values = [value for _, points in drawn for _, value in points]
        y = y or around(values)
        if y is None or not drawn:
            return None
        layers = [mark for n, points in drawn for mark in _marks(points, style(n), x, y)]
        legend = [(style(n), self.names[n]) for n, _ in drawn]
        legend += [(key, f"{key}, {number(height)}") for height, key in levels]
        xs, columns = _table([points for _, points in drawn], read)
        names = [self.names[n] for n, _ in drawn]
        ends = [
            f"{self.names[n]} ends at {number(points[-1][1])}"
            for n, points in drawn
            if points[-1][1] is not None
        ]
        said = f"{title}, {place}" if place else title
        self.data.append(
            {
                "x": axes[0],
                "xs": xs,
                "columns": [list(pair) for pair in zip(names, columns, strict=True)],
            }
        )
        return figure(
            "overlay",
            title,
            picture(x, y, layers, f"{said}, of {len(drawn)} runs. {'; '.join(ends)}.", levels=levels),
            says=says,
            axes=axes,
            legend=legend,
            table=((axes[0], *names), [list(row) for row in zip(xs, *columns, strict=True)]),
            wide=wide,
            level=level,
            overlay=len(self.data) - 1,
            place=place,
        )  # fmt: skip


def style(n: int) -> str:
    """How the `n`-th run is drawn everywhere on a page: a colour, and a dash for who sees none.

    Example:
        >>> style(0), style(1), style(7)
        ('s0', 's1 dashed', 's1 dotted')
    """
    return f"s{n % 6}{DASHES[(n + n // 6) % len(DASHES)]}"


def _marks(points: Points, drawn_as: str, x: Axis, y: Axis) -> list[Markup]:
    rows: Pairs = [list(each) for each in points]
    alone = dots(rows, x, y)
    return [path(line(rows, x, y), drawn_as), *([path(alone, f"dot {drawn_as}")] if alone else [])]


def _table(runs: Sequence[Points], read: Read) -> tuple[list[int], list[list[Value]]]:
    """Places of all runs, and what each run had there."""
    every = sorted({place for points in runs for place, _ in points})
    xs = [every[n] for n in keep(len(every), ROWS)]
    columns: list[list[Value]] = []
    for points in runs:
        places = [place for place, _ in points]
        found = [read(places, place) for place in xs]
        columns.append([None if n is None else points[n][1] for n in found])
    return xs, columns


def latest(places: list[int], place: int) -> int | None:
    """Which of a run's updates tells what was so at another: the last one before it, while the run lasted.

    Example:
        >>> [latest([10, 20], update) for update in (5, 10, 15, 20, 25)]
        [None, 0, 0, 1, None]
    """
    return None if place > places[-1] or place < places[0] else bisect_right(places, place) - 1


def group_of(places: list[int], place: int) -> int | None:
    """The same where a place is the last update of a group that is told together: the group an update is in.

    Example:
        >>> [group_of([10, 20], update) for update in (5, 10, 15, 25)]
        [0, 0, 1, None]
    """
    n = bisect_left(places, place)
    return n if n < len(places) else None


def nearest(places: list[int], place: int) -> int | None:
    """The nearest lag that was measured, up to the last one.

    Example:
        >>> [nearest([0, 10, 20], lag) for lag in (0, 4, 6, 20, 21)]
        [0, 0, 1, 2, None]
    """
    n = bisect_left(places, place)
    if n == len(places):
        return None
    return n - 1 if n and place - places[n - 1] <= places[n] - place else n
