"""A figure of the page: title, drawing, legend, what it says, and its numbers as a table."""

from collections.abc import Sequence
from typing import Any

from bptt.report.page._markup import Markup, number, tag
from bptt.report.page._thin import keep

TABLE_ROWS = 64

KEYS = {
    "circle": "M7 6a6 6 0 1 0 12 0a6 6 0 1 0 -12 0",
    "m m0": "M8 6a5 5 0 1 0 10 0a5 5 0 1 0 -10 0",
    "m m1": "M8 1h10v10h-10z",
    "m m2": "M13 1l5 10h-10z",
    "m m3": "M8 1l10 10m0 -10l-10 10",
}
"""What stands beside a name for marks; for lines a piece of the line."""

Table = tuple[Sequence[str], Sequence[Sequence[Any]]]
"""Heads of the columns, and rows of numbers or text."""


def figure(
    kind: str,
    title: str,
    drawing: Markup,
    *,
    says: str,
    axes: tuple[str, str],
    legend: Sequence[tuple[str, str]] = (),
    when: int | None = None,
    table: Table | None = None,
    rows: int = TABLE_ROWS,
    more: Markup | None = None,
    wide: bool = False,
    level: int = 4,
    overlay: int | None = None,
    place: str = "",
) -> Markup:
    """One figure.

    Args:
        kind: by which the page's script knows it.
        title: what is drawn.
        drawing: the picture.
        says: how to read it, a sentence or two.
        axes: what stands along x, and what along y.
        legend: style and name of each line.
        when: the update that is drawn.
        table: the numbers.
        rows: how many of its rows the page holds; the script writes them all.
        more: below the drawing, such as a scale of colours.
        wide: whether it takes the whole width.
        level: of its title among the page's headings.
        overlay: which of the overlays in the page's data the script reads for it.
        place: what tells it from others with its title on the page, for the name of its table.

    Example:
        >>> figure("loss", "Loss", tag("svg"), says="", axes=("update", "loss"))[:43]
        '<figure class="card" data-kind="loss"><figc'
    """
    at = tag("span", f"at update {when:,}", class_="when") if when is not None else None
    keys = [tag("li", _key(style), tag("span", said)) for style, said in legend]
    return tag(
        "figure",
        tag("figcaption", tag(f"h{level}", title, class_="title")),
        tag("div", tag("span", axes[1], aria_hidden="true"), at, class_="over"),
        tag("div", drawing, class_="frame"),
        tag("div", axes[0], class_="xlabel", aria_hidden="true"),
        tag("ul", *keys, class_="legend") if keys else None,
        more,
        tag("p", says, class_="says") if says else None,
        numbers(f"{title}, {place}" if place else title, table, rows) if table else None,
        class_="card wide" if wide else "card",
        data_kind=kind,
        data_overlay=overlay,
    )


def _key(style: str) -> Markup:
    line = tag("path", class_=style, d=KEYS.get(style, "M1 6H25"))
    return tag("svg", line, class_="key", aria_hidden="true")


def numbers(title: str, table: Table, rows: int = TABLE_ROWS) -> Markup:
    """The numbers of a figure, folded away: at most `rows` rows, and a word where that leaves some out.

    Example:
        >>> print(numbers("Loss", (("update", "loss"), [[1, 2.5]])).partition("<tbody>")[2])
        <tr><td>1</td><td>2.5</td></tr></tbody></table></div></details>
    """
    heads, every = table
    shown = [every[n] for n in keep(len(every), rows)]
    left = f", {len(shown)} of {len(every)} rows" if len(shown) < len(every) else ""
    body = tag(
        "table",
        tag("thead", tag("tr", *(tag("th", head, scope="col") for head in heads))),
        tag("tbody", *(tag("tr", *(tag("td", _cell(cell)) for cell in row)) for row in shown)),
    )
    return tag(
        "details",
        tag("summary", "Numbers", tag("span", f" of {title}{left}", class_="quiet")),
        tag("div", body, class_="scroll", tabindex="0", role="region", aria_label=f"Numbers of {title}"),
        class_="numbers",
    )  # fmt: skip


def _cell(cell: Any) -> Any:
    if isinstance(cell, int) and not isinstance(cell, bool):
        return f"{cell:,}"
    return number(cell) if cell is None or isinstance(cell, float) else cell
