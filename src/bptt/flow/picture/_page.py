"""What a notebook shows of a flow: a table, and the credit curves as a drawing inside it; no matplotlib, no script.

Text, lines and grounds take the page's own colour, so that it reads in light and in dark; curves have the hues of
`_axes`. Every name is escaped, and shortened where it is endless.
"""

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

from bptt.flow.picture._axes import DASHES, Style, printable, short

if TYPE_CHECKING:
    from bptt.flow._flow import Flow, Site

WIDTH, HEIGHT = 560, 190
LEFT, RIGHT, TOP, BOTTOM = 52, 12, 10, 34
POINTS = 240
"""Points of a curve that are drawn."""
CURVES = 8
"""Sites whose curves are drawn; the table has all."""
DECADES_BELOW = 3
STROKES: dict[str, str] = dict(zip(DASHES, ("", "7 3", "7 3 2 3", "2 3"), strict=True))
RULE = "border-bottom:1px solid color-mix(in srgb, currentColor 25%, transparent)"
CELL = f"padding:.2em .9em .2em 0;text-align:left;{RULE}"
NUMBER = f"padding:.2em .9em .2em 0;text-align:right;font-variant-numeric:tabular-nums;{RULE}"


def text(value: object) -> str:
    """Escaped, without control characters, no longer than a cell holds.

    Example:
        >>> text("</script>\\x1b[31m")
        '&lt;/script&gt;�[31m'
    """
    return escape(short(str(value)).replace(r"\\$", "$"), quote=True)


def of_flow(flow: "Flow") -> str:
    """A flow as HTML: a row a site, the credit curves, the notes."""
    head = ("site", "cell", "gradient reaches", "per step", "unreached")
    shown = [site for site in flow if site.log_credit is not None][:CURVES]
    key_of = {site.name: n for n, site in enumerate(shown)}
    rows = [_row(site, key_of.get(site.name)) for site in flow]
    notes = "".join(
        f"<div>note: {text(note.subject)}: {escape(printable(note.reason))}</div>"
        for note in flow.notes
    )
    if not rows:
        return f"<div><div>no site was measured</div>{notes}</div>"
    return f"<div>{table(head, rows)}{drawing(shown, flow.threshold)}{notes}</div>"


def of_parts(parts: Mapping[str, Any]) -> str:
    """Anything by site as a table of two columns: the site, and what is said of it in text."""
    return f"<div>{table(('site', 'found'), [[text(k), text(v)] for k, v in parts.items()])}</div>"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Rows of cells that are HTML already; columns after the third hold numbers."""
    heads = "".join(
        f'<th scope="col" style="{_cell(n)}">{each}</th>' for n, each in enumerate(head)
    )
    body = "".join(
        "<tr>"
        + "".join(f'<td style="{_cell(n)}">{each}</td>' for n, each in enumerate(row))
        + "</tr>"
        for row in rows
    )
    return (
        '<table style="border-collapse:collapse;background:none;color:inherit">'
        f"<thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table>"
    )


def _cell(n: int) -> str:
    return CELL if n < 3 else NUMBER


def _row(site: "Site", n: int | None) -> list[str]:
    """Cells of a site; `n`: the number of its curve in the drawing, if it has one."""
    rate = "" if site.rate is None else f"×{math.exp(site.rate):.3g}"
    unreached = "" if site.unreached is None else f"{100 * site.unreached:.0f} %"
    name = text(site.name) if n is None else f"{_key(n)}&nbsp;{text(site.name)}"
    return [name, text(site.kind), text(site.reach()), rate, unreached]


def _key(n: int) -> str:
    return f'<svg width="26" height="8" aria-hidden="true"><path d="M0 4H26" {_stroke(n)}/></svg>'


def _stroke(n: int) -> str:
    style = Style.of(n)
    return f'fill="none" stroke="{style.hue}" stroke-width="1.8" stroke-dasharray="{STROKES[style.dash]}"'


class Frame:
    """Lags 0 to `lags` over the width, decades `low` to `high` over the height of a drawing."""

    def __init__(self, curves: Sequence[Sequence[tuple[int, float]]], threshold: float) -> None:
        values = [value for curve in curves for _, value in curve if math.isfinite(value)]
        level = math.log10(threshold)
        self.lags = max((lag for curve in curves for lag, _ in curve), default=0) or 1
        self.high = max(0, math.ceil(max(values, default=0.0) - 0.05))
        low = max(min(values, default=level), level - DECADES_BELOW)
        self.low = math.floor(min(low, level - 1))

    def x(self, lag: int | float) -> float:
        """Across, in pixels."""
        return round(LEFT + lag / self.lags * (WIDTH - LEFT - RIGHT), 1)

    def y(self, decade: int | float) -> float:
        """Down, in pixels. What is below the floor is outside; how far is of no interest."""
        share = (self.high - max(decade, self.low - 2 * DECADES_BELOW)) / (self.high - self.low)
        return round(TOP + share * (HEIGHT - TOP - BOTTOM), 1)


def drawing(sites: "Sequence[Site]", threshold: float) -> str:
    """Credit curves as SVG: decades over lags, the threshold dotted, a dot at each horizon; empty if there are none."""
    curves = [_decades(site) for site in sites]
    if not any(curves):
        return ""
    frame, parts = Frame(curves, threshold), []
    level, floor = frame.y(math.log10(threshold)), HEIGHT - BOTTOM
    parts.append(_grid(frame))
    parts.append(
        f'<path d="M{LEFT} {level}H{WIDTH - RIGHT}" stroke="currentColor" stroke-dasharray="2 3" opacity=".7"/>'
        f'<text x="{WIDTH - RIGHT}" y="{level - 4}" text-anchor="end">threshold {threshold:g}</text>'
    )
    # An SVG in the SVG cuts off what lies outside of it.
    inner = f'x="{LEFT}" y="0" width="{WIDTH - LEFT}" height="{floor}" viewBox="{LEFT} 0 {WIDTH - LEFT} {floor}"'
    parts.append(f"<svg {inner}>")
    for n, (site, curve) in enumerate(zip(sites, curves, strict=True)):
        name = text(site.name)
        parts.append(f'<path d="{_path(frame, curve)}" {_stroke(n)}><title>{name}</title></path>')
        if site.horizon is not None and site.log_credit is not None:
            cy = frame.y(float(site.log_credit[site.horizon]) / math.log(10))
            dot = (
                f'<circle cx="{frame.x(site.horizon)}" cy="{cy}" r="3.5" fill="{Style.of(n).hue}">'
            )
            parts.append(f"{dot}<title>{name}: {text(site.reach())}</title></circle>")
    parts.append("</svg>")
    words = "; ".join(f"{text(site.name)}: {text(site.reach())}" for site in sites)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="credit by lag. {words}" style="max-width:{WIDTH}px;width:100%;margin-top:.4em" '
        f'font-size="11" font-family="sans-serif" fill="currentColor">{"".join(parts)}</svg>'
    )


def _decades(site: "Site") -> list[tuple[int, float]]:
    """`(lag, log10 credit)` of a curve, thinned; the horizon is among them."""
    if site.log_credit is None or site.lags < 1:
        return []
    stride = max(1, math.ceil(site.lags / POINTS))
    lags = sorted({*range(0, site.lags + 1, stride), site.lags, site.horizon or 0})
    return [(lag, float(site.log_credit[lag]) / math.log(10)) for lag in lags]


def _path(frame: Frame, curve: Sequence[tuple[int, float]]) -> str:
    """A line through what is finite; where nothing is left it falls off."""
    points = [
        (frame.x(lag), frame.y(-1e9 if value == -math.inf else value))
        for lag, value in curve
        if not math.isnan(value) and value != math.inf
    ]
    return "M" + "L".join(f"{x} {y}" for x, y in points)


def _grid(frame: Frame) -> str:
    """Decades at the left, lags below."""
    every = max(1, math.ceil((frame.high - frame.low) / 5))
    lines = []
    for decade in range(frame.low, frame.high + 1, every):
        y, word = frame.y(decade), "1" if decade == 0 else f"1e{decade}"
        lines.append(f'<path d="M{LEFT} {y}H{WIDTH - RIGHT}" stroke="currentColor" opacity=".15"/>')
        lines.append(f'<text x="{LEFT - 6}" y="{y + 4}" text-anchor="end">{word}</text>')
    for lag in sorted({0, frame.lags // 2, frame.lags}):
        x, anchor = frame.x(lag), "end" if lag == frame.lags else "middle"
        lines.append(
            f'<text x="{x}" y="{HEIGHT - BOTTOM + 14}" text-anchor="{anchor}">{lag}</text>'
        )
    middle = (LEFT + WIDTH - RIGHT) / 2
    lines.append(
        f'<text x="{middle}" y="{HEIGHT - 5}" text-anchor="middle">lag (steps back)</text>'
    )
    at = (TOP + HEIGHT - BOTTOM) / 2
    turned = f'transform="rotate(-90 12 {at})" text-anchor="middle"'
    lines.append(f'<text x="12" y="{at}" {turned}>credit</text>')
    return "".join(lines)
