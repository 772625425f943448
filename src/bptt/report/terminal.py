"""The page of a run for a terminal: per site the credit curve, how far it reaches, and what is not known.

It is made from `run.json` and the tally of `flow.jsonl` alone, so a page rebuilt from a run folder equals the one shown
at the end of the run.
"""

import math
from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.text import Text

from bptt.doctor import Tally
from bptt.report._clean import can_encode, clean, to_ascii
from bptt.report._clean import name as named
from bptt.report._findings import findings
from bptt.report._plot import axis, draw
from bptt.report._repairs import repairs

PLOTTED = 6
"""Sites that get a plot each; more of them get a table."""

WIDTH = 60
"""Columns of a plot, where the terminal has them."""

KINDS = {
    "rnn_tanh": "tanh RNN",
    "rnn_relu": "ReLU RNN",
    "gru": "GRU",
    "lstm": "LSTM",
    "own": "own cell",
}

PATHS = ("Results: ", "To look at: ")
UNFINITE = "gradients are not finite"
UNTOUCHED = "no gradient arrives"
UNKNOWN = "reach not measured"

Digest = Mapping[str, Any]


def console(file: Any) -> Console:
    """A console for a text stream: colours only on a terminal and without NO_COLOR."""
    return Console(file=file, highlight=False, markup=False, emoji=False)


def show(
    run: Digest, tally: Tally, out: Console, folder: str | None = None, page: str | None = None
) -> None:
    """Print the page of a run.

    Args:
        run: what `run.json` holds.
        tally: the folded records of `flow.jsonl`.
        out: where to print.
        folder: where the results lie, said at the end.
        page: where `report.html` is, if it is there, for the last line.

    Example:
        >>> import sys
        >>> tally = Tally()
        >>> site = {"kind": "gru", "steps": 4, "horizon": 3, "lags": 3, "rate": -0.1, "unreached": 0.0}
        >>> tally.add({"update": 1, "sites": {"rnn.l0": site}, "notes": []})
        >>> show({"script": "train.py", "updates": 1, "probes": 1}, tally, console(sys.stdout))
        bptt · train.py · 1 update, 1 probe
        <BLANKLINE>
        rnn.l0  GRU · gradient reaches all 4 steps · ×0.905 per step · 0 % of steps unreached
    """
    ascii_only = not can_encode(out.encoding)
    threshold = float(run.get("options", {}).get("threshold") or 1e-3)
    columns = out.width if out.is_terminal else WIDTH + 9
    lines: list[str | Text] = [_head(run)]
    if run.get("sentence"):
        lines += ["", clean(f"bptt: {run['sentence']}")]
    lines += findings(tally.verdict)
    lines += repairs(run.get("repairs") or (), tally.verdict)
    if len(tally.sites) > PLOTTED:
        lines += ["", *_table(tally)]
    else:
        for name, digest in tally.sites.items():
            lines += ["", *plot(name, digest, tally.first[name], threshold, columns, ascii_only)]
    if tally.notes:
        lines += ["", Text("Not measured, or only in part", style="bold")]
        lines += [f"  {named(note['subject'])}: {clean(note['reason'])}" for note in tally.notes]
    if folder is not None:
        lines += ["", f"{PATHS[0]}{clean(folder, 4096)}"]
        lines += [f"{PATHS[1]}{clean(page, 4096)}"] if page is not None else []
    for line in lines:
        text = Text(line) if isinstance(line, str) else line
        if ascii_only:
            text.plain = to_ascii(text.plain)
        for row in folded(text, out) if out.is_terminal else [text]:
            out.print(row, soft_wrap=True)


def reach(digest: Digest) -> str:
    """How far the gradient reaches, in words.

    Example:
        >>> reach({"horizon": 11, "lags": 127}), reach({"horizon": 127, "lags": 127})
        ('11 of 128 steps', 'all 128 steps')
        >>> reach({"horizon": None, "total": [[0, None], [1, None]]})
        'gradients are not finite'
    """
    horizon, lags = digest.get("horizon"), digest.get("lags") or 0
    if horizon is None or unfinite(digest):
        return UNFINITE if unfinite(digest) else UNTOUCHED if untouched(digest) else UNKNOWN
    if lags == 0:
        return "no earlier step: there is none" if digest.get("steps") == 1 else "no earlier step"
    return f"all {lags + 1} steps" if horizon >= lags else f"{horizon} of {lags + 1} steps"


def unfinite(digest: Digest) -> bool:
    """Whether the gradients of a site were measured, and nothing of them but nan and infinities was found.

    Example:
        >>> unfinite({"total": [[0, None]]}), unfinite({"total": [[0, 0.5]]}), unfinite({})
        (True, False, False)
    """
    values = _totals(digest)
    return bool(values) and all(value is None for value in values) and not digest.get("lags")


def untouched(digest: Digest) -> bool:
    """Whether no gradient arrives at a site: it was measured, and is 0 at every step.

    Example:
        >>> untouched({"total": [[0, 0.0]]}), untouched({"total": [[0, 0.5]]}), untouched({})
        (True, False, False)
    """
    values = _totals(digest)
    return bool(values) and all(value == 0 for value in values)


def _totals(digest: Digest) -> list[float | None]:
    total = digest.get("total")
    pairs = total if isinstance(total, (list, tuple)) else ()
    return [each[1] for each in pairs if isinstance(each, (list, tuple)) and len(each) == 2]


def kind(digest: Digest) -> str:
    """A site's cell in words.

    Example:
        >>> kind({"kind": "rnn_tanh"})
        'tanh RNN'
    """
    known = named(digest.get("kind"))
    return KINDS.get(known, known)


def _head(run: Digest) -> Text:
    parts = ["bptt", named(run.get("script") or "a training loop")]
    parts.append(f"{_count(run.get('updates'), 'update')}, {_count(run.get('probes'), 'probe')}")
    if run.get("overhead"):
        parts.append(f"{100 * run['overhead']:.1f} % of the time")
    if run.get("state") in ("failed", "interrupted", "killed"):
        parts.append(run["state"])
    head = Text(" · ".join(parts))
    head.stylize("bold", 0, 4)
    return head


def plot(
    name: str, digest: Digest, first: Digest, threshold: float, columns: int, ascii_only: bool
) -> list[str | Text]:
    """One site: what is known of it in a line, and its credit curve, as wide as there are columns for.

    Example:
        >>> site = {"kind": "gru", "horizon": 3, "lags": 9, "credit": [[0, 1.0], [9, 1e-6]]}
        >>> len(plot("rnn.l0", site, site, 1e-3, 80, True)), len(plot("rnn.l0", {"horizon": 3}, {}, 1e-3, 80, True))
        (8, 1)
    """
    curve = [point for point in digest.get("credit") or () if point[1] is not None]
    lines: list[str | Text] = [_title(name, digest, first)]
    if len(curve) < 2:
        return lines
    width = min(WIDTH, max(columns - 9, 24))
    for row in draw(digest["credit"], threshold, width=width, ascii_only=ascii_only):
        line = Text(f"{row.label:>6} ", no_wrap=True).append(
            "┼" if row.at_threshold else "│", style="dim"
        )
        style = "yellow" if row.at_threshold else "cyan"
        lines.append(line.append(row.cells, style=style))
    return [*lines, Text(" " * 8 + axis(digest.get("lags") or 0, width), style="dim")]


def _title(name: str, digest: Digest, first: Digest) -> Text:
    parts, said = [kind(digest)], reach(digest)
    known = said not in (UNFINITE, UNTOUCHED, UNKNOWN)
    parts.append(f"gradient reaches {said}" if known else said)
    if digest.get("rate") is not None:
        parts.append(f"×{math.exp(digest['rate']):.3g} per step")
    if known and digest.get("unreached") is not None:
        parts.append(f"{100 * digest['unreached']:.0f} % of steps unreached")
    if not known and first.get("horizon") is not None and not unfinite(first):
        parts.append(f"gradient reached {reach(first)} at update {first.get('update')}")
    elif first.get("horizon") not in (None, digest.get("horizon")):
        parts.append(f"{first['horizon']} at update {first.get('update')}")
    return Text().append(named(name), style="bold").append(f"  {' · '.join(parts)}")


def _table(tally: Tally) -> list[str | Text]:
    """One line a site, for models with many of them."""
    rows = [("site", "cell", "gradient reaches", "per step", "unreached")]
    for name, digest in tally.sites.items():
        rate, unreached = digest.get("rate"), digest.get("unreached")
        rows.append(
            (
                named(name),
                kind(digest),
                reach(digest),
                "" if rate is None else f"×{math.exp(rate):.3g}",
                "" if unreached is None or unfinite(digest) else f"{100 * unreached:.0f} %",
            )
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines: list[str | Text] = []
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        lines.append("  ".join(cells).rstrip())
    lines[0] = Text(str(lines[0]), style="bold")
    return lines


def folded(text: Text, out: Console) -> list[Text]:
    """A line wider than the terminal, broken between words; what follows is indented as far as its text, or by two.

    Pictures and paths stay whole: a path that is broken cannot be copied.

    Example:
        >>> import io
        >>> out = Console(file=io.StringIO(), width=20)
        >>> [row.plain for row in folded(Text("  a gradient reaches 11 of 60 steps"), out)]
        ['  a gradient reaches', '  11 of 60 steps']
    """
    if text.cell_len <= out.width or text.no_wrap or text.plain.startswith(PATHS):
        return [text]
    indent = len(text.plain) - len(text.plain.lstrip(" "))
    first, *rest = text[indent:].wrap(out, max(out.width - max(indent, 2), 10))
    rows = [Text(" " * indent).append_text(first)]
    rows += [Text(" " * max(indent, 2)).append_text(each) for each in rest]
    for row in rows:
        row.rstrip()
    return rows


def _count(n: int | None, what: str) -> str:
    return f"an unknown number of {what}s" if n is None else f"{n:,} {what}{'s' * (n != 1)}"
