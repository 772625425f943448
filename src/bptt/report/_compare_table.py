"""Runs side by side in a terminal: a table where there is room for one, else each row in lines of its own."""

from collections.abc import Sequence
from pathlib import Path

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from bptt.report._clean import can_encode, clean, fitted, name, to_ascii
from bptt.report._compare import Line, changed

WIDEST = 34
"""Columns that a run has at most."""
LONGEST = 240
"""Characters of an entry at most, where it stands in a line of its own."""
DIFFERENT, ALIKE = "≠ ", "  "


def table(rows: Sequence[Line], names: Sequence[str], out: Console) -> None:
    """Print the rows. Those in which the runs differ are marked; the others are dim, and the best value stands out.

    Args:
        rows: what is compared.
        names: of the runs.
        out: where to print.

    Example:
        >>> import sys
        >>> from bptt.report._compare import Cell
        >>> from bptt.report.terminal import console
        >>> row = Line("loss", "at the end", [Cell(2.0, "2"), Cell(1.5, "1.5")], better="low", rough=True)
        >>> table([row], ["a", "b"], console(sys.stdout))
                        a  b
        <BLANKLINE>
          loss
        ≠ at the end    2  1.5 (-25 %)
    """
    ascii_only = not can_encode(out.encoding)
    columns = out.width if out.is_terminal else max(out.width, 160)
    cells = [[_shown(row, n) for n in range(len(names))] for row in rows]
    heads = [name(each) for each in names]
    widths = [
        min(max([cell_len(head), *(cell_len(line[n]) for line in cells)]), WIDEST)
        for n, head in enumerate(heads)
    ]
    label = max([cell_len(name(row.label)) for row in rows], default=0) + 4
    fits = label + sum(widths) + 2 * (len(widths) - 1) <= columns
    made = (
        _side_by_side(rows, cells, heads, widths, label) if fits else _stacked(rows, cells, heads)
    )
    for text in made:
        if ascii_only:
            text.plain = to_ascii(text.plain)
        text.rstrip()
        out.print(text, soft_wrap=True)


def _side_by_side(
    rows: Sequence[Line],
    cells: Sequence[Sequence[str]],
    heads: Sequence[str],
    widths: Sequence[int],
    label: int,
) -> list[Text]:
    header = "  ".join(fitted(head, width) for head, width in zip(heads, widths, strict=True))
    made = [Text(" " * (label + 2) + header, style="bold")]
    group = ""
    for row, line in zip(rows, cells, strict=True):
        if row.group != group:
            group = row.group
            made += [Text(""), Text("  " + name(group), style="bold")]
        text = Text(DIFFERENT if row.differs else ALIKE, style="" if row.differs else "dim")
        text.append(fitted(name(row.label), label))
        for n, (cell, width) in enumerate(zip(line, widths, strict=True)):
            text.append(fitted(cell, width), style=_style(row, n)).append("  ")
        made.append(text)
    return made


def _stacked(
    rows: Sequence[Line], cells: Sequence[Sequence[str]], heads: Sequence[str]
) -> list[Text]:
    """For a narrow terminal. What all runs share is said once."""
    made: list[Text] = []
    group = ""
    widest = max(cell_len(head) for head in heads)
    for row, line in zip(rows, cells, strict=True):
        if row.group != group:
            made += [*([Text("")] if group else []), Text("  " + name(row.group), style="bold")]
            group = row.group
        if not row.differs:
            made.append(Text(f"{ALIKE}{name(row.label)}: {line[0]}", style="dim"))
            continue
        made.append(Text(f"{DIFFERENT}{name(row.label)}"))
        for n, (head, cell) in enumerate(zip(heads, line, strict=True)):
            text = Text("    ").append(fitted(head, min(widest, 24))).append("  ")
            made.append(text.append(cell, style=_style(row, n)))
    return made


def _shown(row: Line, n: int) -> str:
    return clean(row.cells[n].text, LONGEST) + changed(row.change(n))


def _style(row: Line, n: int) -> str:
    return "bold green" if n in row.best else ""


def short_names(paths: Sequence[Path]) -> list[str]:
    """What tells the folders apart: as many of their last parts as that takes.

    Example:
        >>> short_names([Path("runs/a"), Path("runs/b")]), short_names([Path("one/run"), Path("two/run")])
        (['a', 'b'], ['one/run', 'two/run'])
    """
    full = [Path(each).absolute() for each in paths]
    for n in range(1, max(len(each.parts) for each in full) + 1):
        names = ["/".join(each.parts[-n:]) for each in full]
        if len(set(names)) == len(set(full)):
            return names
    return [str(each) for each in full]
