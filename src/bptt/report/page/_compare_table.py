"""The rows of a comparison as a table: those that differ first, those that do not folded away."""

from collections.abc import Sequence

from bptt.report._compare import Line, changed
from bptt.report.page._markup import Markup, clean, name, tag

LONGEST = 240
"""Characters of an entry at most."""


def differences(rows: Sequence[Line], names: Sequence[str]) -> list[Markup]:
    """Two tables.

    Args:
        rows: what is compared.
        names: of the runs, cleaned.

    Example:
        >>> from bptt.report._compare import Cell
        >>> row = Line("loss", "at the end", [Cell(2.0, "2"), Cell(1.5, "1.5")], "low", rough=True)
        >>> made = differences([row], ["a", "b"])
        >>> len(made), "<td>2</td>" in made[0], "<b>1.5</b>" in made[0], "(-25 %)" in made[0]
        (1, True, True, True)
    """
    apart, alike = ([row for row in rows if row.differs is kind] for kind in (True, False))
    made = (
        [_table(apart, names, "Rows that differ")]
        if apart
        else [tag("p", "Nothing.", class_="quiet")]
    )
    if alike:
        said = f"{len(alike)} more row{'s are' if len(alike) > 1 else ' is'} the same in all"
        made.append(
            tag("details", tag("summary", said), _table(alike, names, "Rows that are the same"))
        )
    return made


def _table(rows: Sequence[Line], names: Sequence[str], label: str) -> Markup:
    heads = [tag("td"), *(tag("th", name(each), scope="col") for each in names)]
    groups = dict.fromkeys(row.group for row in rows)
    bodies = [
        tag(
            "tbody",
            tag(
                "tr", tag("th", clean(group), colspan=len(heads), scope="rowgroup"), class_="group"
            ),
            *(_row(row) for row in rows if row.group == group),
        )
        for group in groups
    ]
    table = tag("table", tag("thead", tag("tr", *heads)), *bodies, class_="sides")
    return tag("div", table, class_="scroll", tabindex="0", role="region", aria_label=label)


def _row(row: Line) -> Markup:
    return tag(
        "tr",
        tag("th", clean(row.label), scope="row"),
        *(_cell(row, n) for n in range(len(row.cells))),
    )


def _cell(row: Line, n: int) -> Markup:
    """An entry; where it is the best it is bold and says so, for bold alone is easily overlooked."""
    text, more = clean(row.cells[n].text, LONGEST), changed(row.change(n))
    best = tag("span", " best", class_="best") if n in row.best else None
    return tag(
        "td",
        tag("b", text) if best else text,
        tag("span", more, class_="quiet") if more else None,
        best,
    )
