"""A run on a whole screen, for who watches it from another terminal: the panel, what is wrong, the credit curves."""

import textwrap

from rich.text import Text

from bptt.doctor import Run
from bptt.report._clean import clean, to_ascii
from bptt.report._findings import findings
from bptt.report._panel import panel
from bptt.report._panel_glance import Glance
from bptt.report._panel_rows import as_text
from bptt.report.terminal import plot

SITES = 24
"""Sites with a row of their own, where there is room for them."""


def view(
    run: Run, glance: Glance, columns: int, rows: int | None, *, ascii_only: bool = False
) -> list[Text]:
    """At most `rows` rows for a terminal of `columns`; None for as many as there are to say.

    First the panel, with every site; then the findings in full; then as many credit curves as there is room for, those
    with the shortest reach.

    Example:
        >>> from pathlib import Path
        >>> from bptt.report._panel_glance import glance_of
        >>> site = {"kind": "gru", "horizon": 3, "lags": 9, "credit": [[0, 1.0], [9, 1e-6]]}
        >>> run = Run(Path("a"), {"script": "train.py", "state": "running"}, [{"update": 1, "sites": {"l0": site}}])
        >>> [row.plain.split("  ")[0] for row in view(run, glance_of(run, alive=True), 40, 7)]
        ['── bptt · train.py · update 1 ─────────', 'loss', 'l0', 'nothing found so far']
    """
    groups = {(each.get("severity"), each.get("code")) for each in glance.findings}
    wanted = 2 + min(len(glance.sites), SITES) + max(len(groups), 1)
    head = panel(glance, columns, max(min(wanted, rows or wanted), 2), ascii_only=ascii_only)
    lines = [as_text(row) for row in head]
    blocks = [_texts(findings(glance.findings), columns), *_plots(run, glance, columns, ascii_only)]
    blocks.append([Text(clean(f"damaged: {each}"), style="yellow") for each in glance.damage])
    for block in blocks:
        if block and (rows is None or len(lines) + len(block) + (block[0].plain != "") <= rows):
            lines += [*([Text("")] if block[0].plain else []), *block]
    for text in lines:
        if ascii_only:
            text.plain = to_ascii(text.plain)
        text.no_wrap = True
        text.truncate(columns)
    return lines if rows is None else lines[:rows]


def _texts(lines: list[str | Text], columns: int) -> list[Text]:
    """Sentences wrapped to the terminal, below where they began."""
    wrapped: list[Text] = []
    for each in lines:
        if isinstance(each, Text):
            wrapped.append(each)
        else:
            parts = textwrap.wrap(each, columns, subsequent_indent="  ", drop_whitespace=True)
            wrapped += [Text(part) for part in parts or [""]]
    return wrapped


def _plots(run: Run, glance: Glance, columns: int, ascii_only: bool) -> list[list[Text]]:
    threshold = float(run.run.get("options", {}).get("threshold") or 1e-3)
    shown = glance.shortest(6)
    return [
        [
            _fitting(block[0], columns),
            *(Text(line) if isinstance(line, str) else line for line in block[1:]),
        ]
        for each in shown
        if len(block := plot(each.site, each.last, each.first, threshold, columns, ascii_only)) > 1
    ]


def _fitting(title: str | Text, columns: int) -> Text:
    """As many of a title's parts as there is room for: part of a number would be another number.

    Example:
        >>> _fitting("l0  GRU · gradient reaches 33 of 50 steps · ×0.815 per step", 44).plain
        'l0  GRU · gradient reaches 33 of 50 steps'
    """
    text = Text(title) if isinstance(title, str) else title.copy()
    while text.cell_len > columns and " · " in text.plain:
        text = text[: text.plain.rindex(" · ")]
    return text
