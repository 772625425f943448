"""Runs side by side, as numbers: what each came to, and in which rows they differ.

One row is one quantity. The first run is the one the others are compared with.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from bptt.doctor import Run
from bptt.report._panel_glance import WORST, glance_of
from bptt.report.terminal import unfinite

TWENTIETH = 20
"""A loss is the mean over this part of a run, at its beginning or its end: a single batch says little."""
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
        if self.rough and _is_number(a) and _is_number(b):
            return math.isclose(a, b, rel_tol=SAME, abs_tol=1e-12)
        return bool(a == b)

    @property
    def best(self) -> set[int]:
        """Which runs have the best value, if some have a worse one and one can be better."""
        known = [each.value for each in self.cells if _is_number(each.value)]
        if not self.better or len(known) < 2 or self._same(min(known), max(known)):
            return set()
        best = min(known) if self.better == "low" else max(known)
        return {n for n, each in enumerate(self.cells) if self._same(each.value, best)}

    def change(self, n: int) -> float | None:
        """How much run `n` differs from the first, as a share of the first; None where that says nothing."""
        first, here = self.cells[0].value, self.cells[n].value
        if n == 0 or not (_is_number(first) and _is_number(here)) or not self.better or first <= 0:
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


def summary(run: Run, *, alive: bool = False) -> dict[str, Any]:
    """What a run came to, as JSON holds it.

    Args:
        run: as it was read.
        alive: whether it still goes on.

    Example:
        >>> from pathlib import Path
        >>> records = [{"update": u, "sites": {"l0": {"horizon": h, "lags": 9}}} for u, h in ((1, 3), (9, 9))]
        >>> updates = [{"update": n, "loss": [1 / n] * 3} for n in range(1, 10)]
        >>> told = summary(Run(Path("a"), {"script": "train.py", "updates": 9, "seconds": 3.0}, records, [], updates))
        >>> told["loss"]["first"], told["speed"], told["sites"]["l0"]["horizon"]
        (1.0, 3.0, [3, 9])
    """
    glance = glance_of(run, alive=alive)
    told = run.run
    model = told.get("model")
    return {
        "folder": str(run.path),
        "script": glance.script,
        "state": glance.state,
        "started": told.get("started"),
        "updates": glance.updates,
        "probes": len(run.records),
        "seconds": glance.seconds,
        "speed": glance.speed,
        "overhead": glance.share,
        "parameters": model.get("parameters") if isinstance(model, Mapping) else None,
        "loss": _loss(run, glance.losses),
        "sites": {each.site: _site(each.first, each.last) for each in glance.sites},
        "findings": _findings(run.findings),
        "remedies": [
            _remedy(each) for each in told.get("repairs") or () if isinstance(each, Mapping)
        ],
        "settings": _settings(told),
        "damage": list(run.damage),
    }


def _loss(run: Run, course: Sequence[float]) -> dict[str, float | None]:
    part = max(len(course) // TWENTIETH, 1)
    lows = [
        float(low)
        for each in run.updates
        if isinstance(told := each.get("loss"), list) and told and _is_number(low := told[0])
    ]
    return {
        "first": _mean(course[:part]),
        "last": _mean(course[-part:]),
        "least": min(lows, default=None),
    }


def _mean(values: Sequence[float]) -> float | None:
    known = [each for each in values if math.isfinite(each)]
    return sum(known) / len(known) if known else None


def _site(first: Mapping[str, Any], last: Mapping[str, Any]) -> dict[str, Any]:
    told = {key: last.get(key) for key in ("kind", "steps", "lags")}
    looks = [{} if unfinite(each) else each for each in (first, last)]
    pairs = {key: [each.get(key) for each in looks] for key in ("horizon", "rate", "unreached")}
    return {**told, **pairs, "finite": not unfinite(last)}


def _findings(found: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """One entry a code and severity, with the sites."""
    told: dict[tuple[str, str], dict[str, Any]] = {}
    for each in found:
        key = str(each.get("severity")), str(each.get("code"))
        entry = {"code": key[1], "name": each.get("name"), "severity": key[0], "sites": []}
        told.setdefault(key, entry)["sites"].append(each.get("site"))
    return list(told.values())


def _remedy(each: Mapping[str, Any]) -> str:
    args = ", ".join(f"{key}={value}" for key, value in (each.get("args") or {}).items())
    return f"{each.get('remedy')}({args}) at update {each.get('update')}: {each.get('outcome')}"


def _settings(run: Mapping[str, Any]) -> dict[str, str]:
    told: dict[str, str] = {
        "script": str(run.get("script")),
        "arguments": " ".join(map(str, run.get("argv") or [])),
    }
    for group in ("options", "versions"):
        entries = run.get(group)
        if isinstance(entries, Mapping):
            told |= {str(key): str(value) for key, value in entries.items()}
    return told


def rows(told: Sequence[Mapping[str, Any]]) -> list[Line]:
    """The rows of runs' summaries; of their settings, those that differ.

    Example:
        >>> from pathlib import Path
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
    before = f"{first} → " if _is_number(first) and first != last else ""
    if not site["finite"]:
        return Cell("not finite", f"{before}not finite")
    if not _is_number(last):
        return NOTHING
    if not isinstance(lags, int):
        return Cell(last, f"{before}{last}")
    # As everywhere else: the largest lag of n steps is n - 1, and a gradient that gets there reaches all of them.
    return Cell(
        last, f"{before}all {lags + 1}" if last >= lags else f"{before}{last} of {lags + 1}"
    )


def _rate(site: Mapping[str, Any] | None) -> Cell:
    if site is None or not _is_number(site["rate"][1]):
        return NOTHING
    first, last = site["rate"]
    shown = [f"×{math.exp(each):.3g}" for each in (first, last) if _is_number(each)]
    return Cell(math.exp(last), " → ".join(dict.fromkeys(shown)))


def _unreached(site: Mapping[str, Any] | None) -> Cell:
    if site is None or not _is_number(site["unreached"][1]):
        return NOTHING
    shown = [f"{100 * each:.0f} %" for each in site["unreached"] if _is_number(each)]
    return Cell(site["unreached"][1], " → ".join(dict.fromkeys(shown)))


def _texts(told: Any) -> Cell:
    if not told:
        return NOTHING
    text = "; ".join(told) if isinstance(told, list) else str(told)
    return Cell(text, text)


def _cell(value: Any, show: Callable[[Any], str]) -> Cell:
    return Cell(value, show(value)) if _is_number(value) else NOTHING


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _digits(value: float) -> str:
    return f"{value:.4g}"


def _percent(value: float) -> str:
    return f"{100 * value:.1f} %"


def _seconds(value: float) -> str:
    return f"{value:.1f} s" if value < 120 else f"{value / 60:.1f} min"
