"""The live panel: a few rows that say how a run goes, for the foot of a terminal or for `bptt watch`.

── bptt · train.py · update 1,240 · 41.2/s · 5:02 · 1.9 % of the time ─────────
loss     2.413  █▆▅▄▃▂▂▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁  from 4.81
rnn.l0   ██▊······························  11 of 128 steps · ×0.502 per step
error VG101 vanishing-through-time · rnn.l0 · since update 1
"""

import math
from collections.abc import Sequence

from rich.cells import cell_len, set_cell_size

from bptt.report._clean import fitted, name, to_ascii
from bptt.report._findings import STYLES, title
from bptt.report._panel_glance import Digest, Glance, Reach
from bptt.report._panel_marks import bar, sparks, thinned
from bptt.report._panel_rows import Piece, cut, in_ascii
from bptt.report.terminal import reach

LABEL, PICTURE, WORDS = 24, 48, 40
"""Columns at most: of a site's name, of its bar, of what is said of it."""
NARROW = 60
"""Columns from which on there is room for a panel; below, for a line."""
LOW = 16
"""Rows from which on there is room for a panel."""
ALARMS = {"error": "red", "warning": "yellow"}


def room(columns: int, rows: int) -> int:
    """How many of a terminal's rows the panel may have: a third, or one if it is small.

    Example:
        >>> room(80, 24), room(120, 60), room(40, 24), room(80, 12)
        (8, 12, 1, 1)
    """
    return 1 if columns < NARROW or rows < LOW else min(rows // 3, 12)


def panel(
    glance: Glance, columns: int, rows: int, *, ascii_only: bool = False
) -> list[list[Piece]]:
    """At most `rows` rows of at most `columns` columns; one row is the status line.

    What is worst stays where room is short: sites with the shortest reach, findings of the highest severity.

    Example:
        >>> sites = [Reach("rnn.l0", {"horizon": 11, "lags": 127, "rate": -0.69})]
        >>> glance = Glance("train.py", updates=1240, share=0.019, losses=[4.81, 2.413], sites=sites)
        >>> from bptt.report._panel_rows import plain
        >>> for row in panel(glance, 60, 8, ascii_only=True):
        ...     print(plain(row))
        -- bptt - train.py - update 1,240 - 1.9 % of the time -----
        loss    2.413   #_  from 4.81
        rnn.l0  #................  11 of 128 steps - x0.502 per step
        nothing found so far
    """
    if rows < 2:
        return [line(glance, columns, ascii_only=ascii_only)]
    found = _findings(glance, max((rows - 2) // 2, 1))
    sites = _sites(glance, columns, max(rows - 2 - len(found), 1), ascii_only)
    made = [_head(glance, columns), _loss(glance, columns, ascii_only), *sites, *found][:rows]
    return [cut(in_ascii(row) if ascii_only else row, columns) for row in made]


def line(glance: Glance, columns: int, *, ascii_only: bool = False) -> list[Piece]:
    """All of it in one row; what has no room is left out, the last parts first.

    Example:
        >>> from bptt.report._panel_rows import plain
        >>> sites = [Reach("rnn.l0", {"horizon": 11, "lags": 127})]
        >>> plain(line(Glance("train.py", updates=1240, share=0.019, losses=[2.413], sites=sites), 80))
        'bptt · update 1,240 · rnn.l0 11 of 128 steps · loss 2.413 · 1.9 % of the time'
        >>> plain(line(Glance("train.py", updates=1240, sites=sites), 30))
        'bptt · update 1,240'
    """
    script = name(glance.script)
    begun = glance.updates or glance.sites
    parts = [f"update {glance.updates:,}" if begun else _short(script, columns - len("bptt · "))]
    parts += [f"{name(each.site)} {reach(each.last)}" for each in glance.shortest(1)]
    worst = glance.worst
    parts += [f"{_many(worst)}"] if worst else []
    parts += [f"loss {glance.loss:.4g}"] if glance.loss is not None else []
    parts += [f"{100 * glance.share:.1f} % of the time"] if glance.share is not None else []
    said = _joined(["bptt", *parts], columns)
    return in_ascii([(said, "")]) if ascii_only else [(said, "")]


def _short(text: str, cells: int) -> str:
    return fitted(text, min(cell_len(text), max(cells, 0)))


def _joined(parts: Sequence[str], cells: int) -> str:
    said = set_cell_size(parts[0], min(cell_len(parts[0]), cells))
    for part in parts[1:]:
        if cell_len(f"{said} · {part}") <= cells:
            said = f"{said} · {part}"
    return said


def _many(findings: Sequence[object]) -> str:
    return f"{len(findings)} finding{'s' * (len(findings) != 1)}"


def _head(glance: Glance, columns: int) -> list[Piece]:
    parts = ["bptt", _short(name(glance.script), columns // 3)]
    of = f" of {glance.goal:,}" if glance.goal else ""
    parts += [f"update {glance.updates:,}{of}"] if glance.updates else []
    parts += [glance.state] if glance.state != "running" else []
    parts += [f"{100 * glance.share:.1f} % of the time"] if glance.share is not None else []
    parts += [pace(glance.speed)] if glance.speed else []
    parts += [clock(glance.seconds)] if glance.seconds >= 1 else []
    said = _joined(parts, columns - 6)
    rule = "─" * max(columns - 5 - cell_len(said), 0)
    return [("── ", "dim"), (said[:4], "bold"), (f"{said[4:]} ", ""), (rule, "dim")]


def pace(speed: float) -> str:
    """Updates a second, or what is easier to read.

    Example:
        >>> pace(1234.5), pace(4.23), pace(0.05)
        ('1,234/s', '4.2/s', '20 s each')
    """
    return (
        f"{speed:,.0f}/s"
        if speed >= 100
        else f"{speed:.1f}/s"
        if speed >= 1
        else f"{1 / speed:.2g} s each"
    )


def clock(seconds: float) -> str:
    """A time as clocks show it.

    Example:
        >>> clock(302.7), clock(3 * 3600 + 62.0)
        ('5:02', '3:01:02')
    """
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _label(glance: Glance) -> int:
    longest = max((cell_len(name(each.site)) for each in glance.sites), default=4)
    return max(min(longest, LABEL), 4)


def _loss(glance: Glance, columns: int, ascii_only: bool) -> list[Piece]:
    label = _label(glance)
    if glance.loss is None:
        return [(fitted("loss", label), "bold"), ("  none seen so far", "dim")]
    now = f"{glance.loss:.4g}".ljust(6)  # so that the picture keeps its place
    course = thinned(glance.losses, PICTURE)
    known = [each for each in glance.losses[:8] if math.isfinite(each)]
    words = f"  from {known[0]:.4g}" if known else ""
    cells = min(PICTURE, columns - label - len(now) - len(words) - 4)
    row = [
        (fitted("loss", label), "bold"),
        (f"  {now}", "" if math.isfinite(glance.loss) else "bold red"),
    ]
    if cells >= 4 and len(course) > 1:
        row.append((f"  {sparks(glance.losses, cells, ascii_only=ascii_only)}", "cyan"))
    return [*row, (words, "dim")]


def _sites(glance: Glance, columns: int, rows: int, ascii_only: bool) -> list[list[Piece]]:
    if not glance.sites:
        return [[("no gradient measured so far", "dim")]]
    few = glance.sites if len(glance.sites) <= rows else glance.shortest(max(rows - 1, 1))
    label = _label(glance)
    words = min(WORDS, max(cell_len(_words(each)) for each in few), columns - label - 12)
    cells = min(PICTURE, columns - label - words - 4)
    made = [_site(each, glance, (label, cells), ascii_only) for each in few]
    if len(few) < len(glance.sites) and rows > 1:
        n = len(glance.sites) - len(few)
        made.append([(f"{n:,} more site{'s' * (n != 1)} with a longer reach", "dim")])
    return made


def _site(at: Reach, glance: Glance, sizes: tuple[int, int], ascii_only: bool) -> list[Piece]:
    label, cells = sizes
    wrong = [str(each.get("severity")) for each in glance.worst if each.get("site") == at.site]
    style = ALARMS.get(wrong[0], "cyan") if wrong else "cyan"
    done, rest = bar(at.share or 0.0, cells, ascii_only=ascii_only)
    shown = to_ascii(name(at.site)) if ascii_only else name(at.site)
    return [
        (fitted(shown, label), "bold"),
        (f"  {done}", style),
        (rest, "dim"),
        (f"  {_words(at)}", ""),
    ]


def _words(at: Reach) -> str:
    parts = [reach(at.last)]
    rate = at.last.get("rate")
    if rate is not None:
        parts.append(f"×{math.exp(rate):.3g} per step")
    return " · ".join(parts)


def _findings(glance: Glance, rows: int) -> list[list[Piece]]:
    """A row for each code: the sites where it was found stand in it."""
    alike: dict[tuple[str, str], list[Digest]] = {}
    for each in glance.worst:
        alike.setdefault((str(each.get("severity")), str(each.get("code"))), []).append(each)
    if not alike:
        return [[("nothing found so far", "dim")]]
    groups = list(alike.values())
    shown = groups if len(groups) <= rows else groups[: max(rows - 1, 1)]
    made = [_finding(group) for group in shown]
    left = sum(len(group) for group in groups[len(shown) :])
    if left and rows > 1:
        made.append([(f"{left:,} more finding{'s' * (left != 1)}", "dim")])
    return made


def _finding(alike: Sequence[Digest]) -> list[Piece]:
    sites = sorted({name(each["site"]) for each in alike if each.get("site")})
    where = ", ".join(sites[:3]) + (f" and {len(sites) - 3:,} more" if len(sites) > 3 else "")
    since = min((each.get("update") or 0 for each in alike), default=0)
    severity, rest = title({**alike[0], "site": "", "update": None})
    said = [rest, *([where] if where else []), *([f"since update {since:,}"] if since else [])]
    return [(severity, STYLES.get(severity, "bold")), (" · ".join(said), "")]
