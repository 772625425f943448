"""Runs side by side, as numbers: what each came to, and in which rows they differ.

One row is one quantity. The first run is the one the others are compared with.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from bptt.report._panel_glance import WORST
from bptt.report._summary import is_number

SAME = 0.005
"""Relative differences up to which measured numbers count as the same."""

Better = Literal["low", "high", ""]


@dataclass(frozen=True)
class Cell:
    """One run's entry in a row.

    Attributes:
        value: what is compared; None where the run has none.
        text: how it is shown.
    """

    value: Any
    text: str


NOTHING = Cell(None, "–")


@dataclass(frozen=True)
class Line:
    """One quantity of all runs.

    Attributes:
        group: the heading it stands under.
        label: its name.
        cells: one a run.
        better: whether a low or a high value is the better one.
        rough: measured, so that a difference of half a percent is none.

    Example:
        >>> row = Line("training", "loss", [Cell(2.0, "2"), Cell(1.5, "1.5"), NOTHING], better="low", rough=True)
        >>> row.differs, row.best, row.change(1)
        (True, {1}, -0.25)
    """

    group: str
    label: str
    cells: Sequence[Cell]
    better: Better = ""
    rough: bool = False

    @property
    def differs(self) -> bool:
        """Whether the runs are different here."""
        first = self.cells[0].value
        return any(not self._same(each.value, first) for each in self.cells)

    def _same(self, a: Any, b: Any) -> bool:
        if self.rough and is_number(a) and is_number(b):
            return math.isclose(a, b, rel_tol=SAME, abs_tol=1e-12)
        return bool(a == b)

    @property
    def best(self) -> set[int]:
        """Which runs have the best value, if some have a worse one and one can be better."""
        known = [each.value for each in self.cells if is_number(each.value)]
        if not self.better or len(known) < 2 or self._same(min(known), max(known)):
            return set()
        best = min(known) if self.better == "low" else max(known)
        return {n for n, each in enumerate(self.cells) if self._same(each.value, best)}

    def change(self, n: int) -> float | None:
        """How much run `n` differs from the first, as a share of the first; None where that says nothing."""
        first, here = self.cells[0].value, self.cells[n].value
        if n == 0 or not (is_number(first) and is_number(here)) or not self.better or first <= 0:
            return None
        return None if self._same(here, first) else here / first - 1


def changed(share: float | None) -> str:
    """A change as it stands behind a number: in percent, or from a hundredfold on as a factor.

    Example:
        >>> changed(-0.25), changed(4.8e17), changed(None)
        (' (-25 %)', ' (×4.8e+17)', '')
    """
    if share is None:
        return ""
    return f" ({share:+.0%})".replace("%", " %") if share < 99 else f" (×{1 + share:.3g})"


def rows(told: Sequence[Mapping[str, Any]]) -> list[Line]:
    """The rows of runs' summaries; of their settings, those that differ.

    Example:
        >>> from pathlib import Path
        >>> from bptt.doctor import Run
        >>> from bptt.report import summary
        >>> runs = [summary(Run(Path("a"), {"script": "a.py", "state": state})) for state in ("finished", "failed")]
        >>> [(row.label, [cell.text for cell in row.cells]) for row in rows(runs) if row.differs]
        [('state', ['finished', 'failed'])]
    """
    made = [
        _row(told, "run", "state", lambda t: Cell(t["state"], t["state"])),
        _row(told, "run", "updates", lambda t: Cell(t["updates"], f"{t['updates']:,}")),
        _row(told, "run", "time", lambda t: _cell(t["seconds"], _seconds), rough=True),
        _row(
            told,
            "run",
            "updates a second",
            lambda t: _cell(t["speed"], _digits),
            "high",
            rough=True,
        ),
        _row(told, "run", "cost of watching", lambda t: _cell(t["overhead"], _percent), rough=True),
        _row(told, "run", "parameters", lambda t: _cell(t["parameters"], lambda n: f"{n:,}")),
        *_setting_rows(told),
        _row(told, "loss", "at first", lambda t: _cell(t["loss"]["first"], _digits), rough=True),
        _row(
            told,
            "loss",
            "at the end",
            lambda t: _cell(t["loss"]["last"], _digits),
            "low",
            rough=True,
        ),
        _row(
            told,
            "loss",
            "least of all",
            lambda t: _cell(t["loss"]["least"], _digits),
            "low",
            rough=True,
        ),
        *_site_rows(told),
        *_finding_rows(told),
    ]
    if any(each["remedies"] for each in told):
        made.append(_row(told, "repairs", "done", lambda t: _texts(t["remedies"])))
    return [each for each in made if any(cell.value is not None for cell in each.cells)]


def _row(
    told: Sequence[Mapping[str, Any]],
    group: str,
    label: str,
    cell: Callable[[Mapping[str, Any]], Cell],
    better: Better = "",
    *,
    rough: bool = False,
) -> Line:
    return Line(group, label, [cell(each) for each in told], better, rough)


def _setting_rows(told: Sequence[Mapping[str, Any]]) -> list[Line]:
    names = dict.fromkeys(name for each in told for name in each["settings"])
    made = [
        _row(
            told, "settings that differ", name, lambda t, name=name: _texts(t["settings"].get(name))
        )
        for name in names
    ]
    return [each for each in made if each.differs]


def _site_rows(told: Sequence[Mapping[str, Any]]) -> list[Line]:
    names = dict.fromkeys(name for each in told for name in each["sites"])
    made: list[Line] = []
    for name in names:
        of = lambda t, name=name: t["sites"].get(name)  # noqa: E731
        made += [
            _row(told, f"site {name}", "reach", lambda t, of=of: _reach(of(t)), "high"),
            _row(told, f"site {name}", "kept a step", lambda t, of=of: _rate(of(t)), rough=True),
            _row(told, f"site {name}", "unreached", lambda t, of=of: _unreached(of(t)), rough=True),
        ]
    return made


def _finding_rows(told: Sequence[Mapping[str, Any]]) -> list[Line]:
    found = [{(each["severity"], each["code"]): each for each in t["findings"]} for t in told]
    # Of a run that nothing was measured of, no finding says nothing.
    looked = [bool(t["findings"] or t["sites"] or t["updates"]) for t in told]
    keys = sorted(
        {key for each in found for key in each}, key=lambda key: (WORST.get(key[0], 3), key)
    )
    if not keys:
        none = [Cell(0, "none") if each else NOTHING for each in looked]
        return [Line("findings", "all", none)]
    return [
        Line(
            "findings",
            " ".join(key),
            [
                _sites(each.get(key)) if seen else NOTHING
                for each, seen in zip(found, looked, strict=True)
            ],
            "low",
        )
        for key in keys
    ]


def _sites(found: Mapping[str, Any] | None) -> Cell:
    if found is None:
        return Cell(0, "none")
    names = [str(each) for each in found["sites"] if each]
    return Cell(len(found["sites"]), ", ".join(names) if names else "found")


def _reach(site: Mapping[str, Any] | None) -> Cell:
    if site is None:
        return NOTHING
    (first, last), lags = site["horizon"], site["lags"]
    before = f"{first} → " if is_number(first) and first != last else ""
    if not site["finite"]:
        return Cell("not finite", f"{before}not finite")
    if not is_number(last):
        return NOTHING
    if not isinstance(lags, int):
        return Cell(last, f"{before}{last}")
    # As everywhere else: the largest lag of n steps is n - 1, and a gradient that gets there reaches all of them.
    return Cell(
        last, f"{before}all {lags + 1}" if last >= lags else f"{before}{last} of {lags + 1}"
    )


def _rate(site: Mapping[str, Any] | None) -> Cell:
    if site is None or not is_number(site["rate"][1]):
        return NOTHING
    first, last = site["rate"]
    shown = [f"×{math.exp(each):.3g}" for each in (first, last) if is_number(each)]
    return Cell(math.exp(last), " → ".join(dict.fromkeys(shown)))


def _unreached(site: Mapping[str, Any] | None) -> Cell:
    if site is None or not is_number(site["unreached"][1]):
        return NOTHING
    shown = [f"{100 * each:.0f} %" for each in site["unreached"] if is_number(each)]
    return Cell(site["unreached"][1], " → ".join(dict.fromkeys(shown)))


def _texts(told: Any) -> Cell:
    if not told:
        return NOTHING
    text = "; ".join(told) if isinstance(told, list) else str(told)
    return Cell(text, text)


def _cell(value: Any, show: Callable[[Any], str]) -> Cell:
    return Cell(value, show(value)) if is_number(value) else NOTHING


def _digits(value: float) -> str:
    return f"{value:.4g}"


def _percent(value: float) -> str:
    return f"{100 * value:.1f} %"


def _seconds(value: float) -> str:
    return f"{value:.1f} s" if value < 120 else f"{value / 60:.1f} min"
