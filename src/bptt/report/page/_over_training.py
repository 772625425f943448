"""Pictures of one site over the whole training: the map of credit, saturation; and the plane of eigenvalues."""

import math
from bisect import bisect_left
from typing import Any

from bptt.report.page._figure import figure
from bptt.report.page._heat import png
from bptt.report.page._markup import Markup, number, tag
from bptt.report.page._plot import SPAN, Axis, line, path, picture, short, shorts
from bptt.report.page._thin import keep

Digest = dict[str, Any]
ROWS = 64
SHAPES = (
    "M{left} {y}a13 13 0 1 0 26 0a13 13 0 1 0 -26 0",
    "M{left} {top}h26v26h-26z",
    "M{x} {top}l13 26h-26z",
    "M{left} {top}l26 26m0 -26l-26 26",
)
"""Marks of the gates: circle, square, triangle, cross."""
SIZE = 13.0
"""Half the width of a marker, of 1,000."""
GATE_NAMES = {
    "hh": "W_hh", "r": "reset", "z": "update", "n": "new",
    "i": "input", "f": "forget", "g": "cell", "o": "output",
}  # fmt: skip


def heat(site: Digest, threshold: float, rows: int) -> Markup | None:
    """Credit by lag, one column an update, and the horizon over it."""
    curve = site["curve"]
    n, lags = len(curve["updates"]), max((axis[-1] for axis in curve["axes"]), default=0)
    if n == 0 or lags == 0:
        return None
    known = [v for row in curve["credit"] for v in row or () if v]
    low = math.log10(threshold) - 3
    high = float(max(0, math.ceil(math.log10(max(known, default=1.0)) - 0.05)))
    height = min(ROWS, lags + 1)
    steps = [up * lags / max(height - 1, 1) for up in range(height - 1, -1, -1)]
    nearest = [_nearest(axis, steps) for axis in curve["axes"]]
    columns = [
        _column(values, nearest[axis], low, high)
        for values, axis in zip(curve["credit"], curve["axis"], strict=True)
    ]
    pixels = [list(row) for row in zip(*columns, strict=True)]
    x, y = Axis(0.0, float(n)), Axis(0.0, float(lags))
    image = tag(
        "image", href=png(pixels), width=SPAN, height=SPAN, preserveAspectRatio="none", class_="pixels"
    )  # fmt: skip
    reach = [
        point
        for column, horizon in enumerate(curve["horizon"])
        for point in ([column, horizon], [column + 1, horizon])
    ]
    layers = [image, path(line(reach, x, y), "reach under"), path(line(reach, x, y), "reach")]
    marks = [(k + 0.5, f"{curve['updates'][k]:,}") for k in keep(n, min(n, 4))]
    first, last = curve["horizon"][0], curve["horizon"][-1]
    label = f"Credit by steps back and update. The horizon goes from {first} to {last} of {lags} steps back."
    return figure(
        "heat",
        "Credit over training",
        picture(x, y, layers, label, kind="map", marks=marks),
        says="Each column is a probed update, in order; the line is the horizon, where the credit falls below "
        f"{number(threshold)}.",
        axes=("update", "steps back"),
        legend=[("reach key-line", "gradient horizon")],
        table=(("update", "horizon"), list(zip(curve["updates"], curve["horizon"], strict=True))),
        rows=rows,
        more=_scale(low, high),
        wide=True,
    )


def _nearest(axis: list[int], steps: list[float]) -> list[int | None]:
    """For each lag the place of the nearest one that was measured; None beyond the last."""
    found: list[int | None] = []
    for lag in steps:
        after = min(bisect_left(axis, lag), len(axis) - 1)
        before = max(after - 1, 0)
        near = before if lag - axis[before] <= abs(axis[after] - lag) else after
        found.append(near if lag <= axis[-1] + 0.5 else None)
    return found


def _column(
    values: list[float | None] | None, nearest: list[int | None], low: float, high: float
) -> list[float | None]:
    """Where each credit stands between the ends of the colours; None where nothing was measured."""
    known = [None if near is None or values is None else values[near] for near in nearest]
    logs = [None if v is None else math.log10(v) if v > 0 else low for v in known]
    return [None if v is None else (v - low) / (high - low) for v in logs]


def _scale(low: float, high: float) -> Markup:
    """The colours and what they mean."""
    ends = [f"≤ {number(10.0**low)}", "share left, logarithmic", number(10.0**high)]
    bar = tag("img", src=png([[k / 63 for k in range(64)]]), alt="", class_="pixels")
    return tag(
        "div", bar, tag("div", *(tag("span", each) for each in ends)), class_="scale",
        role="img", aria_label=f"Scale of colours, from dark for {ends[0]} to bright for {ends[2]}",
    )  # fmt: skip


def saturation(site: Digest, rows: int) -> Markup | None:
    """Shares of units at their ends, by update."""
    told = site["saturation"]
    if not told["columns"]:
        return None
    updates = told["updates"]
    x = Axis(float(min(updates)), float(max(max(updates), min(updates) + 1)))
    y = Axis(0.0, 1.0)
    styles = styles_of(list(told["columns"]))
    points = {
        name: [list(pair) for pair in zip(updates, values, strict=True)]
        for name, values in told["columns"].items()
    }
    if len(updates) == 1:  # one look is drawn as a level, which a line of no length would not show
        points = {name: [each[0], [x.high, each[0][1]]] for name, each in points.items()}
    layers = [path(line(each, x, y), styles[name]) for name, each in points.items()]
    said = {name: _saturation_name(name) for name in points}
    now = "; ".join(
        f"{said[name]} {number(100 * (each[-1][1] or 0))} %" for name, each in points.items()
    )
    return figure(
        "saturation",
        "Saturation over training",
        picture(x, y, layers, f"Shares of saturated units by update. At the last: {now}.", percent=True),
        says="Units that stand at an end of their range pass no gradient through it: tanh beyond ±0.99, ReLUs that "
        "are never on, gates open or shut for good.",
        axes=("update", "share of units"),
        legend=[(styles[name], said[name]) for name in points],
        table=(("update", *said.values()), [list(row) for row in zip(updates, *told["columns"].values(), strict=True)]),
        rows=rows,
    )  # fmt: skip


def styles_of(names: list[str]) -> dict[str, str]:
    """A colour a gate, full where open and dashed where shut.

    Example:
        >>> styles_of(["tanh", "f open", "f shut"])
        {'tanh': 's0', 'f open': 's1', 'f shut': 's1 dashed'}
    """
    subjects = list(dict.fromkeys(name.split()[0] for name in names))
    colours = {subject: f"s{n % 6}" for n, subject in enumerate(subjects)}
    return {n: colours[n.split()[0]] + (" dashed" if n.endswith("shut") else "") for n in names}


def _saturation_name(name: str) -> str:
    gate, _, end = name.partition(" ")
    if end:
        return f"{GATE_NAMES.get(gate, gate)} gate {end}"
    return {"tanh": "tanh at its ends", "relu_dead": "dead ReLUs"}[gate]


def plane(site: Digest, rows: int) -> Markup | None:
    """Eigenvalues of each gate's recurrent weights, and the unit circle."""
    told = site["plane"]
    if not told["updates"]:
        return None
    gates = told["gates"][-1]
    every = [
        abs(v)
        for look in told["gates"]
        for each in look.values()
        for v in (*each["re"], *each["im"])
    ]
    extent = 1.1 * max(1.0, *every, 0.0)
    points = [
        path(markers(each["re"], each["im"], extent, n), f"m m{n % 4}")
        for n, each in enumerate(gates.values())
    ]
    middle, radius = short(SPAN / 2), short(SPAN / 2 / extent)
    cross = f"M0 {middle}H{SPAN}M{middle} 0V{SPAN}"
    said = {
        g: f"{GATE_NAMES.get(g, g)}, radius {number(each['radius'])}" for g, each in gates.items()
    }
    drawing = tag(
        "svg", tag("path", d=cross, class_="grid"),
        *points, tag("circle", cx=middle, cy=middle, r=radius, class_="unit"),
        role="img", viewBox=f"0 0 {SPAN} {SPAN}", class_="plane", data_extent=repr(extent),
        aria_label=f"Eigenvalues in the complex plane, with the unit circle: {'; '.join(said.values())}.",
    )  # fmt: skip
    table = [
        [g, re, im]
        for g, each in gates.items()
        for re, im in zip(each["re"], each["im"], strict=True)
    ]
    return figure(
        "plane",
        "Spectrum of the recurrent weights",
        drawing,
        says="Eigenvalues of each gate's block of W_hh in the complex plane. Inside the unit circle a mode decays, "
        "outside it grows, before the activation's slope is counted.",
        axes=("real part", "imaginary part"),
        legend=[*((f"m m{n % 4}", each) for n, each in enumerate(said.values())), ("circle", "unit circle")],
        when=told["updates"][-1],
        table=(("gate", "real", "imaginary"), table),
        rows=rows,
    )  # fmt: skip


def markers(re: list[float], im: list[float], extent: float, n: int) -> str:
    """A path of marks, another shape for each gate: circle, square, triangle, cross.

    Example:
        >>> markers([0.0], [0.0], 1.0, 1)
        'M487 487h26v26h-26z'
    """
    across = [SPAN / 2 * (1 + a / extent) for a in re]
    down = [SPAN / 2 * (1 - b / extent) for b in im]
    corners = zip(
        shorts(across), shorts(down), shorts(x - SIZE for x in across), shorts(y - SIZE for y in down),
        strict=True,
    )  # fmt: skip
    draw = SHAPES[n % 4]
    return "".join(draw.format(x=x, y=y, left=left, top=top) for x, y, left, top in corners)
