"""What a comparison comes to, in words: which run learned best, where gradients reach furthest, what only some have."""

from collections.abc import Mapping, Sequence
from typing import Any

from bptt.report._compare import Line
from bptt.report.page._markup import Markup, clean, join, number, tag

Told = Mapping[str, Any]
SAID = 3
"""Findings of which each gets a sentence."""


def called(name: str) -> Markup:
    """A run's name within a sentence.

    Example:
        >>> called("before")
        '<bdi>before</bdi>'
    """
    return tag("bdi", clean(name))


def headline(rows: Sequence[Line], names: Sequence[str]) -> Markup:
    """The first line of the page.

    Example:
        >>> from bptt.report._compare import Cell
        >>> loss = Line("loss", "at the end", [Cell(2.0, "2"), Cell(1.5, "1.5")], "low", rough=True)
        >>> headline([loss], ["a", "b"])
        '<bdi>b</bdi> ends with the lower loss.'
    """
    low, long = ("lower", "longer") if len(names) == 2 else ("lowest", "longest")
    loss, reach = winner(_losses(rows)), winner(_reaches(rows))
    if loss is not None and loss == reach:
        said = [called(names[loss]), f" has the {low} loss and the {long} reach."]
    elif loss is not None and reach is not None:
        said = [called(names[loss]), f" has the {low} loss, ", called(names[reach]), f" the {long} reach."]  # fmt: skip
    elif loss is not None:
        same = _reaches(rows) and not any(row.differs for row in _reaches(rows))
        more = "; gradients reach as far in all." if same else "."
        said = [called(names[loss]), f" ends with the {low} loss{more}"]
    elif reach is not None:
        same = _losses(rows) and not any(row.differs for row in _losses(rows))
        more = ", at the same loss." if same else "."
        said = ["Gradients reach furthest in ", called(names[reach]), more]
    elif not any(row.differs for row in rows):
        said = ["The runs differ in nothing that was measured."]
    else:
        said = ["No run is ahead of the others in both loss and reach."]
        if not any(row.differs for row in (*_losses(rows), *_reaches(rows))):
            said = ["Loss and reach do not tell the runs apart."]
    return join(said)


def winner(rows: Sequence[Line]) -> int | None:
    """The one run that is best wherever the rows differ; None where there is no such run.

    Example:
        >>> from bptt.report._compare import Cell
        >>> winner([Line("site l0", "reach", [Cell(3, "3"), Cell(9, "9")], "high")])
        1
    """
    told = [row.best for row in rows if row.best]
    best = set.intersection(*told) if told else set()
    return best.pop() if len(best) == 1 else None


def lead(rows: Sequence[Line], told: Sequence[Told], names: Sequence[str]) -> list[Markup]:
    """The sentences below it: the numbers, the findings that only some have, and what makes losses hard to compare."""
    said: list[Markup] = []
    if len({each["script"] for each in told}) > 1:
        said.append(join(["They are of different scripts, whose losses need not mean the same."]))
    said += [_loss(row, names) for row in _losses(rows) if row.best]
    reach = [row for row in _reaches(rows) if row.best]
    said += [_reach(row, names) for row in sorted(reach, key=_spread, reverse=True)[:1]]
    said += [_finding(row, names) for row in _findings(rows)[:SAID]]
    left = len(_findings(rows)) - SAID
    said += [join([f"{left} more findings are not in all runs."])] if left > 0 else []
    return said


def _losses(rows: Sequence[Line]) -> list[Line]:
    return [row for row in rows if (row.group, row.label) == ("loss", "at the end")]


def _reaches(rows: Sequence[Line]) -> list[Line]:
    """Of sites that several runs have: a site of one run alone is no difference in reach."""
    found = [row for row in rows if row.group.startswith("site ") and row.label == "reach"]
    return [row for row in found if sum(isinstance(cell.value, int) for cell in row.cells) > 1]


def _findings(rows: Sequence[Line]) -> list[Line]:
    return [
        row
        for row in rows
        if row.group == "findings" and row.differs and row.label.startswith(("error", "warning"))
    ]


def _ends(row: Line) -> tuple[int, int]:
    """The runs with the least and the largest value."""
    known = [n for n, cell in enumerate(row.cells) if isinstance(cell.value, (int, float))]
    return min(known, key=lambda n: row.cells[n].value), max(
        known, key=lambda n: row.cells[n].value
    )


def _spread(row: Line) -> float:
    least, most = _ends(row)
    return row.cells[most].value / max(row.cells[least].value, 1)


def _loss(row: Line, names: Sequence[str]) -> Markup:
    least, most = _ends(row)
    low, high = row.cells[least].value, row.cells[most].value
    return join(
        ["The loss ends at ", number(low), " in ", called(names[least]), " and at ", number(high), " in ",
         called(names[most]), "."]
    )  # fmt: skip


def _reach(row: Line, names: Sequence[str]) -> Markup:
    least, most = _ends(row)
    text = [row.cells[n].text.rpartition("→ ")[2] for n in (most, least)]
    site = clean(row.group.removeprefix("site "))
    return join(
        ["In ", tag("bdi", site, class_="name"), f", a gradient reaches {text[0]} steps in ", called(names[most]),
         f", {text[1]} in ", called(names[least]), "."]
    )  # fmt: skip


def _finding(row: Line, names: Sequence[str]) -> Markup:
    code = row.label.split()[-1]
    has = [n for n, cell in enumerate(row.cells) if cell.value]
    lacks = [n for n, cell in enumerate(row.cells) if cell.value == 0]
    if not lacks and len(has) < len(row.cells):  # the others were not looked at
        return join([f"{clean(code, 12)} was found in ", _some(has, names), "."])
    if not lacks:
        return join([f"{clean(code, 12)} was found in all, not at the same number of sites."])
    return join(
        [
            f"{clean(code, 12)} was found in ",
            _some(has, names),
            ", not in ",
            _some(lacks, names),
            ".",
        ]
    )


def _some(runs: Sequence[int], names: Sequence[str]) -> Markup:
    """Names in a row; of many the first, and how many more there are."""
    shown = [called(names[n]) for n in runs[:3]]
    more = f" and {len(runs) - 3} more" if len(runs) > 3 else ""
    return join([*[part for each in shown for part in (", ", each)][1:], more])
