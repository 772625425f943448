"""Pictures of one site at one update: credit by lag, gradients, causes and singular values by step."""

import math
from collections.abc import Sequence
from typing import Any

from bptt.report.page._figure import figure
from bptt.report.page._markup import Markup, number
from bptt.report.page._plot import Axis, Pairs, around, dots, line, path, picture, stacked

Digest = dict[str, Any]
CAUSES = (("weight", "recurrent weights"), ("slope", "slope of the activation"), ("gates", "gates"))
SINGULAR = (("largest", "largest"), ("median", "median"), ("smallest", "smallest"))
DEEP = 9
"""Decades below its largest value at which a picture of gradients ends: nothing smaller is ever learned from."""


def pairs(series: Digest, name: str, n: int) -> Pairs:
    """`[[place, value], ...]` of a digest's curve at its `n`-th update; empty if it was not measured.

    Example:
        >>> pairs({"axes": [[0, 2]], "axis": [0], "credit": [[1.0, None]]}, "credit", 0)
        [[0, 1.0], [2, None]]
    """
    values = series[name][n]
    axis = series["axes"][series["axis"][n]]
    return (
        []
        if values is None
        else [[place, value] for place, value in zip(axis, values, strict=True)]
    )


def _values(series: Digest, *names: str) -> list[float | None]:
    return [value for name in names for row in series[name] for value in row or ()]


def _across(series: Digest) -> Axis:
    ends = [place for axis in series["axes"] for place in axis]
    return Axis(float(min(ends)), float(max(max(ends), min(ends) + 1)))


def _decades(values: Sequence[float | None], deep: int = DEEP) -> Axis:
    """A logarithmic axis that holds the values, no deeper than `deep` decades."""
    axis = around(values, log=True) or Axis(1e-3, 1.0, log=True)
    return Axis(max(axis.low, axis.high * 10.0**-deep), axis.high, log=True)


def credit(site: Digest, threshold: float, rows: int) -> Markup | None:
    """What is left of a gradient, by steps back: at the last update, and at the first."""
    curve = site["curve"]
    if not curve["updates"]:
        return None
    x, values = _across(curve), [threshold, 1.0, *_values(curve, "credit")]
    y = Axis(min(threshold * 1e-3, 1e-6), (around(values, log=True) or Axis(0, 1)).high, log=True)
    first, last = pairs(curve, "credit", 0), pairs(curve, "credit", -1)
    layers = [path(line(first, x, y), "s1 dashed then"), path(line(last, x, y), "s0 now")]
    horizon = site["reach"]["horizon"][-1]
    reach = "of unknown length" if horizon is None else f"{horizon:,} steps back"
    label = (
        f"Credit by steps back, logarithmic. At the last update it stays above "
        f"{number(threshold)} until {reach}."
    )
    return figure(
        "credit",
        "Credit by lag",
        picture(x, y, layers, label, levels=[(threshold, "threshold")]),
        says="What is left of a gradient after that many steps back through the recurrence. Below the "
        f"dotted level, {number(threshold)}, nothing is learned from it.",
        axes=("steps back", "share left"),
        legend=[("s0", "this update"), ("s1 dashed", f"update {curve['updates'][0]:,}"), ("threshold", "threshold")],
        when=curve["updates"][-1],
        table=(("steps back", "share left"), last),
        rows=rows,
    )  # fmt: skip


def gradients(site: Digest, rows: int) -> Markup | None:
    """Total and direct gradient of each step's state."""
    series = site["gradients"]
    if not series["updates"]:
        return None
    x, y = _across(series), _decades(_values(series, "total", "direct"))
    total, direct = pairs(series, "total", -1), pairs(series, "direct", -1)
    layers = [path(line(direct, x, y), "s3 dashed"), path(line(total, x, y), "s0")]
    layers.append(path(dots(direct, x, y), "dot s3"))
    known = [each for each in total if each[1] is not None]
    ends = (
        f" From {number(known[0][1])} at the first step to {number(known[-1][1])} at the last."
        if known
        else ""
    )
    return figure(
        "gradients",
        "Gradient by step",
        picture(x, y, layers, f"Norm of the gradient by time step, total and direct, logarithmic.{ends}"),
        says="Total: all of dL/dh at that step. Direct: the part that enters there from above, and did not "
        "come through the recurrence.",
        axes=("time step", "norm of dL/dh"),
        legend=[("s0", "total"), ("s3 dashed", "direct")],
        when=series["updates"][-1],
        table=(("step", "total", "direct"), _columns(total, direct)),
        rows=rows,
    )  # fmt: skip


def causes(site: Digest, rows: int) -> Markup | None:
    """Which factor makes the gradient shrink or grow, stacked."""
    series = site["causes"]
    named = [(key, said) for key, said in CAUSES if any(row for row in series[key])]
    if not series["updates"] or not named:
        return None
    x = _across(series)
    stacks = [0.0]
    for n in range(len(series["updates"])):
        columns = [[value or 0.0 for value in series[key][n] or ()] for key, _ in named]
        for each in zip(*(column for column in columns if column), strict=True):
            stacks += [sum(v for v in each if v > 0), sum(v for v in each if v < 0)]
    y = around(stacks, least=0.02)
    assert y is not None
    last = [pairs(series, key, -1) for key, _ in named]
    drawn = stacked([each for each in last if each], x, y) if any(last) else []
    styles = [f"area c{key}" for (key, _), each in zip(named, last, strict=True) if each]
    legend = []
    for (key, said), column in zip(named, last, strict=True):
        mean = [value for _, value in column if value is not None]
        more = f", ×{number(math.exp(math.fsum(mean) / len(mean)))} a step" if mean else ""
        legend.append((f"area c{key}", said + more))
    return figure(
        "causes",
        "Why it shrinks or grows",
        picture(x, y, [path(d, style) for d, style in zip(drawn, styles, strict=True)],
                "Logarithmic gain of the gradient at each time step, stacked by cause: "
                + "; ".join(said for _, said in legend) + ".", levels=[(0.0, "zero")]),
        says="The gain of each step back, on a logarithmic scale, split by cause. What lies below 0 shrinks the "
        "gradient, what lies above makes it grow.",
        axes=("time step", "log gain a step"),
        legend=legend,
        when=series["updates"][-1],
        table=(("step", *(said for _, said in named)), _columns(*last)),
        rows=rows,
    )  # fmt: skip


def singular(site: Digest, rows: int) -> Markup | None:
    """Largest, middle and smallest singular value of each step's Jacobian."""
    series = site["singular"]
    if not series["updates"]:
        return None
    x, y = _across(series), _decades([1.0, *_values(series, *(key for key, _ in SINGULAR))])
    columns = [pairs(series, key, -1) for key, _ in SINGULAR]
    styles = ("s0", "s1 dashed", "s3 dotted")
    layers = [
        path(line(column, x, y), style) for column, style in zip(columns, styles, strict=True)
    ]
    return figure(
        "singular",
        "Singular values of each step",
        picture(x, y, layers, "Singular values of the step Jacobian by time step: largest, median and smallest, "
                "logarithmic.", levels=[(1.0, "unit")]),
        says="How much one step stretches the gradient in its best, middle and worst direction. If even the largest "
        "stays below 1, every direction shrinks.",
        axes=("time step", "singular value of J"),
        legend=[(style, said) for style, (_, said) in zip(styles, SINGULAR, strict=True)] + [("unit", "1")],
        when=series["updates"][-1],
        table=(("step", *(said for _, said in SINGULAR)), _columns(*columns)),
        rows=rows,
    )  # fmt: skip


def _columns(*curves: Pairs) -> list[list[Any]]:
    """Rows of the place and each curve's value there."""
    places = [point[0] for point in next((each for each in curves if each), [])]
    values = [[point[1] for point in each] or [None] * len(places) for each in curves]
    return [list(row) for row in zip(places, *values, strict=True)]
