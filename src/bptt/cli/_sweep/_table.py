"""What came of a sweep as lines of text and as heat maps; seeds of one set-up together."""

from collections.abc import Callable, Sequence
from math import floor
from statistics import mean, median
from typing import Any

from bptt.cli._sweep._grid import Point
from bptt.cli._sweep._heatmap import STOPS_DIVERGING, STOPS_RISING, Panel, Scale, svg

Results = list[tuple[Point, dict[str, Any]]]
Group = list[dict[str, Any]]

LEFT = Scale("log10 of what is left of the gradient at the lag", -6.0, 6.0, STOPS_DIVERGING)
SOLVED = Scale("share of seeds that solved it", 0.0, 1.0, STOPS_RISING)


def grouped(results: Results, of: Callable[[Point], Any]) -> dict[Any, Group]:
    """Results by what `of` says of their points; refused ones are left out."""
    groups: dict[Any, Group] = {}
    for point, result in results:
        if "refused" not in result:
            groups.setdefault(of(point), []).append(result)
    return groups


def setup(point: Point) -> tuple[str, str, str]:
    """Cell, remedy and radius in words."""
    return point.cell, point.remedy, "as drawn" if point.radius is None else f"{point.radius:g}"


def columns(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Text in columns; the first three to the left."""
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    lines = []
    for row in (head, *rows):
        cells = [
            cell.ljust(width) if n < 3 else cell.rjust(width)
            for n, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def left(group: Group, n: int) -> float | None:
    """Mean of the logarithms at lag n over the seeds; None where a gradient was 0 or a state overflowed."""
    logs = [result["log10_left"][n] for result in group]
    return None if None in logs else mean(logs)


def shortened(log: float) -> str:
    """At most four or five characters: one decimal up to 10, none beyond."""
    return f"{log:.1f}" if abs(log) < 9.95 else f"{log:.0f}"


def scientific(log: float) -> str:
    """`1.0e-02` for -2; also where the number itself is too small or too large for a float.

    Example:
        >>> scientific(-2.0), scientific(-400.5)
        ('1.0e-02', '3.2e-401')
    """
    exponent = floor(log)
    digits = f"{10 ** (log - exponent):.1f}"
    if digits == "10.0":
        digits, exponent = "1.0", exponent + 1
    return f"{digits}e{exponent:+03d}"


def reach_table(results: Results) -> str:
    """One line a set-up: the median horizon, and what is left at each lag, the geometric mean over seeds."""
    lags = results[0][0].lags
    rows = []
    for (cell, remedy, radius), group in grouped(results, setup).items():
        logs = [left(group, n) for n in range(len(lags))]
        shown = ["-" if log is None else scientific(log) for log in logs]
        reached = [result["horizon"] for result in group if result["horizon"] is not None]
        horizon = f"{median(reached):g}" if reached else "-"
        rows.append([cell, remedy, radius, horizon, *shown])
    return columns(["cell", "remedy", "radius", "reaches", *(f"at {lag}" for lag in lags)], rows)


def reach_map(results: Results, note: str = "") -> str:
    """Radius against lag, a panel a cell and remedy; the largest radius on top."""
    lags = results[0][0].lags
    panels = []
    for (cell, remedy), _ in grouped(results, lambda p: setup(p)[:2]).items():
        mine = [(p, r) for p, r in results if setup(p)[:2] == (cell, remedy)]
        mine.sort(key=lambda each: -(each[0].radius or 0.0))
        groups = grouped(mine, lambda p: setup(p)[2])
        values = [[left(group, n) for n in range(len(lags))] for group in groups.values()]
        words = [["-" if v is None else shortened(v) for v in row] for row in values]
        title = cell if remedy == "none" else f"{cell}, {remedy}"
        panels.append(Panel(title, list(groups), [str(lag) for lag in lags], values, words))
    return svg(panels, LEFT, "lag, steps", "radius", note=note) if panels else ""


def task_table(results: Results) -> str:
    """One line a task and set-up: how many seeds solved it, when, and how wrong the others are."""
    rows = []
    for (task, cell, remedy, radius), group in grouped(
        results, lambda p: (p.task, *setup(p))
    ).items():
        solved = [result["solved"] for result in group if result["solved"] is not None]
        errors = [f"{r['errors']:.1%}" for r in group if r["errors"] is not None]
        rows.append([
            task,
            cell,
            remedy,
            radius,
            f"{len(solved)} of {len(group)}",
            f"{median(solved):,.0f}" if solved else "-",
            " ".join(errors) or "diverged",
        ])  # fmt: skip
    return columns(["task", "cell", "remedy", "radius", "solved", "update", "wrong at end"], rows)


def task_map(results: Results, note: str = "") -> str:
    """Cells against remedies, a panel a task (and radius)."""
    panels = []
    for (task, radius), _ in grouped(results, lambda p: (p.task, setup(p)[2])).items():
        mine = [(p, r) for p, r in results if (p.task, setup(p)[2]) == (task, radius)]
        groups = grouped(mine, lambda p: (p.cell, p.remedy))
        cells = list(dict.fromkeys(cell for cell, _ in groups))
        remedies = list(dict.fromkeys(remedy for _, remedy in groups))
        found = [[groups.get((cell, remedy), []) for remedy in remedies] for cell in cells]
        counts = [[sum(r["solved"] is not None for r in group) for group in row] for row in found]
        pairs = [list(zip(a, b, strict=True)) for a, b in zip(counts, found, strict=True)]
        values = [[n / len(group) if group else None for n, group in row] for row in pairs]
        words = [[f"{n}/{len(group)}" if group else "-" for n, group in row] for row in pairs]
        title = str(task) if radius == "as drawn" else f"{task}, radius {radius}"
        panels.append(Panel(title, cells, remedies, values, words))
    return svg(panels, SOLVED, "remedy", "cell", note=note) if panels else ""


def refusals(results: Results) -> list[str]:
    """Each set-up that made no sense, and why, once."""
    said = {
        f"{setup(p)[0]} with {p.remedy}: {r['refused']}": 0 for p, r in results if "refused" in r
    }
    return list(said)
