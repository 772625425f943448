"""The training as a whole: loss, gradient norms with the clip threshold, findings and remedies on one time line."""

from collections.abc import Mapping, Sequence
from typing import Any

from bptt.report.page._figure import figure
from bptt.report.page._markup import Markup, clean, count, name, number, tag
from bptt.report.page._plot import (
    SPAN,
    Axis,
    around,
    band,
    dots,
    line,
    path,
    picture,
    place_name,
    short,
    whole,
)

Rows = Sequence[Mapping[str, Any]]
FINDINGS_DRAWN = 24
DEEP = 12
SHAPES = {"error": "square", "warning": "triangle", "advice": "circle"}


def span(rows: Rows, records: Rows, updates: Any) -> Axis:
    """From the first update to the last, by whatever knows of it."""
    known = [row["update"] for row in rows]
    known += [each["update"] for each in records if isinstance(each.get("update"), int)]
    known += [updates] if isinstance(updates, int) else []
    return Axis(1.0, float(max([2, *known])))


def loss(rows: Rows, x: Axis) -> Markup | None:
    """Mean loss, and the band between the least and the largest."""
    points = _points(rows, "loss")
    values = [v for point in points for v in point[1:] if v is not None]
    if not values:
        return None
    low, high = min(values), max(values)
    # A loss that fell through decades is told in decades; one beside 0, or near its end, as it is.
    y = around(values, log=low > 0 and high / low > 50)
    assert y is not None
    layers, legend = _lines(points, x, y)
    means = [point[2] for point in points if point[2] is not None]
    said = f"from {number(means[0])} to {number(means[-1])}"
    return figure(
        "loss",
        "Loss",
        picture(x, y, layers, f"Training loss by update, {said}."),
        says=" ".join(each for each in (_merged(rows), _unseen(rows, "loss")) if each),
        axes=("update", "loss"),
        legend=legend,
        table=(("update", "least", "mean", "largest"), points),
        wide=True,
        level=3,
    )


def norms(rows: Rows, x: Axis) -> Markup | None:
    """Gradient norm of all parameters before clipping, and the threshold."""
    points = _points(rows, "norm")
    known = [v for point in points for v in point[1:] if v is not None]
    if not known:
        return None
    clips = [[row["update"], row["clip"]] for row in rows if row["clip"] is not None]
    axis = around(known + [v for _, v in clips], log=True)
    y = axis or Axis(1e-3, 1.0, log=True)
    y = Axis(max(y.low, y.high * 10.0**-DEEP), y.high, log=True)
    layers, legend = _lines(points, x, y)
    says = "Norm of the gradient of all parameters, before any clipping. Nothing clips it."
    if clips:
        layers.append(path(line(clips, x, y), "clip"))
        legend.append(("clip", "clip threshold"))
        shares = [row["clipped"] for row in rows if row["clipped"] is not None]
        mean_share = sum(shares) / len(shares) if shares else None
        clipped = (
            ""
            if mean_share is None
            else f"; {number(round(100 * mean_share, 2))} % of the updates were clipped"
        )
        says = f"Norm of the gradient of all parameters, before clipping at {number(clips[-1][1])}{clipped}."
    clip_of = dict(clips)
    says = " ".join(each for each in (says, _unseen(rows, "norm")) if each)
    return figure(
        "norms",
        "Gradient norm",
        picture(x, y, layers, f"Gradient norm by update, logarithmic. {says}"),
        says=says,
        axes=("update", "norm"),
        legend=legend,
        table=(("update", "least", "mean", "largest", "clipped at"), [[*p, clip_of.get(p[0])] for p in points]),
        wide=True,
        level=3,
    )  # fmt: skip


def _lines(points: list[list[Any]], x: Axis, y: Axis) -> tuple[list[Markup], list[tuple[str, str]]]:
    """The mean as a line; behind it, where a point stands for several updates, the band of all."""
    means = [[point[0], point[2]] for point in points]
    mean = [path(line(means, x, y), "s0")]
    if alone := dots(means, x, y):  # one update between others that were not finite
        mean.append(path(alone, "dot s0"))
    if all(point[1] == point[3] for point in points):
        return mean, [("s0", "each update")]
    area = path(band(points, x, y), "range")
    return [area, *mean], [("s0", "mean"), ("range", "least to largest")]


def _points(rows: Rows, key: str) -> list[list[Any]]:
    """Update, least, mean and largest; a gap where none was finite."""
    return [[row["update"], *(row[key] or (None, None, None))] for row in rows]


def _unseen(rows: Rows, key: str) -> str:
    sizes = [(row["update"] - row["from"] + 1, row[key]) for row in rows]
    missing = sum(size for size, told in sizes if told is None)
    every = sum(size for size, _ in sizes)
    what = "loss" if key == "loss" else "norm"
    return (
        f"At {count(missing)} of {count(every)} updates no finite {what} was seen."
        if missing
        else ""
    )


def _merged(rows: Rows) -> str:
    size = max((row["update"] - row["from"] + 1 for row in rows), default=1)
    return (
        ""
        if size <= 1
        else f"Each point stands for up to {count(size)} updates: their least, mean and largest."
    )


def lanes(findings: Rows, repairs: Rows, x: Axis) -> Markup | None:
    """Findings as bars from where they began to where they were last seen, remedies as marks, below the same axis."""
    told = [_lane(each, x) for each in findings[:FINDINGS_DRAWN]]
    told += [_mark(each, x) for each in repairs[:FINDINGS_DRAWN]]
    if not told:
        return None
    left = len(findings) + len(repairs) - len(told)
    ticks = [(each, place_name(each)) for each in whole(x.ticks(4))]
    labels = [
        tag("text", said, class_="x", x=f"{(x.at(place) or 0) / 10:g}%", y="12")
        for place, said in ticks
    ]
    axis = tag("g", *labels, class_="across")
    ruler = tag("svg", axis, class_="ruler", aria_hidden="true", data_x=str(x), data_y="0 1 linear")
    return tag(
        "figure",
        tag("figcaption", tag("h3", "Findings on the time line", class_="title")),
        tag("div", tag("ol", *told, class_="lanes"), ruler, class_="frame lanes-frame"),
        tag("p", f"{left} more are listed above.", class_="says") if left else None,
        class_="card wide",
        data_kind="lanes",
    )


def _lane(finding: Mapping[str, Any], x: Axis) -> Markup:
    severity = str(finding.get("severity"))
    began = finding.get("update")
    start = x.at(began if isinstance(began, int) else 1) or 0.0
    last = finding.get("last")
    end = x.at(last) if isinstance(last, int) else None
    if finding.get("persists", True) or end is None:
        end = float(SPAN) if finding.get("persists", True) else start
    bar = f"M{short(start)} 500H{short(max(end, start))}"
    said = f"update {count(began)}" + (" to the end" if finding.get("persists", True) else "")
    title = [
        tag("b", clean(finding.get("code"), 12)),
        f" {clean(finding.get('name', ''))} ",
        name(finding.get("site") or ""),
    ]
    return tag(
        "li",
        tag("span", *title, tag("span", f" {said}", class_="quiet"), class_="lane-title"),
        _strip([path(bar, f"bar {severity}")], start, severity),
    )


def _mark(repair: Mapping[str, Any], x: Axis) -> Markup:
    at = x.at(repair.get("update") if isinstance(repair.get("update"), int) else 1) or 0.0
    outcome = clean(repair.get("outcome"), 16)
    title = [
        tag("b", "remedy"),
        " ",
        clean(repair.get("remedy")),
        " ",
        name(repair.get("site") or ""),
    ]
    said = f" update {count(repair.get('update'))}, {outcome}"
    return tag(
        "li",
        tag("span", *title, tag("span", said, class_="quiet"), class_="lane-title"),
        _strip([], at, "remedy"),
    )


def _strip(layers: list[Markup], start: float, style: str) -> Markup:
    """One lane: bars in stretched coordinates, and a mark that keeps its shape."""
    inner = tag(
        "svg", tag("path", class_="lane-line", d=f"M0 500H{SPAN}"), *layers, class_="in",
        viewBox=f"0 0 {SPAN} {SPAN}", preserveAspectRatio="none", width="100%", height="100%",
    )  # fmt: skip
    style = style if style in (*SHAPES, "remedy") else "advice"
    shape = {
        "error": "M-6 -6H6V6H-6Z",
        "warning": "M0 -7L7 6H-7Z",
        "advice": "M-6 0a6 6 0 1 0 12 0a6 6 0 1 0 -12 0",
        "remedy": "M0 -8L6 0L0 8L-6 0Z",
    }[style]
    mark = tag(
        "svg", tag("path", d=shape, class_=f"mark {style}"), x=f"{short(start / 10)}%", y="50%",
        class_="mark-at", data_at=short(start),
    )  # fmt: skip
    return tag("svg", inner, mark, class_="lane", aria_hidden="true")
