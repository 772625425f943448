"""What a run shows: nothing wider than its place, runs that differ where they do, names that tell folders apart.

Cleaned text is held by tests/report/test_clean.py, pages of damaged and of hostile folders by tests/fuzz/folders.py.
"""

import io
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from bptt.doctor import Run
from bptt.report import (
    Glance,
    Pace,
    Reach,
    compared,
    console,
    glance_of,
    line,
    panel,
    short_names,
    summary,
    table,
    view,
)
from bptt.report._compare import Cell, Line
from bptt.report._panel_rows import plain
from bptt.report.page import comparison
from made_runs import a_run, finding, repair
from properties.drawn import times

name = st.text(max_size=12)
numbers = st.none() | st.floats() | st.integers(-9, 10**9)
digests = st.fixed_dictionaries({}, optional={
    "horizon": st.none() | st.integers(0, 300), "lags": st.none() | st.integers(0, 300),
    "rate": st.none() | st.floats(-50, 50), "kind": st.none() | name,
})  # fmt: skip
glances = st.fixed_dictionaries({
    "script": name, "state": st.sampled_from(["running", "finished", "killed"]), "updates": st.integers(0, 10**9),
    "goal": st.integers(0, 10**6), "seconds": st.floats(0, 1e7), "speed": st.none() | st.floats(1e-6, 1e6),
    "share": st.none() | st.floats(0, 1), "losses": st.lists(st.floats(), max_size=80),
    "sites": st.lists(st.tuples(name, digests), max_size=9),
    "findings": st.lists(st.tuples(name, name, st.sampled_from(["error", "warning", "advice"])), max_size=5),
})  # fmt: skip


def made(told: dict[str, Any]) -> Glance:
    """A glance; built here, for the checker of types looks at random items and no strategy may."""
    sites = [Reach(site, digest) for site, digest in told["sites"]]
    findings = [finding("VG101", called, site, how, 3) for called, site, how in told["findings"]]
    return Glance(**told | {"sites": sites, "findings": findings})


@times(60)
@given(glances, st.integers(10, 200), st.integers(1, 30), st.booleans())
def test_a_panel_keeps_to_its_place(
    told: dict[str, Any], columns: int, rows: int, ascii_only: bool
) -> None:
    glance = made(told)
    found = panel(glance, columns, rows, ascii_only=ascii_only)
    assert 1 <= len(found) <= rows
    for each in [*found, line(glance, columns, ascii_only=ascii_only)]:
        text = plain(each)
        assert cell_len(text) <= columns
        assert text.isprintable()
        assert text.isascii() or not ascii_only
    run = Run(Path("a"), {"script": told["script"], "state": "running"})
    seen = view(run, glance, columns, rows, ascii_only=ascii_only)
    assert len(seen) <= rows
    assert all(cell_len(text.plain) <= columns for text in seen)


@times(60)
@given(glances)
def test_a_glance_puts_what_is_worst_first(told: dict[str, Any]) -> None:
    glance = made(told)
    rank = ["error", "warning", "advice"]
    order = [rank.index(each["severity"]) for each in glance.worst]
    assert order == sorted(order)
    assert len(glance.worst) == len(glance.findings)
    assert len(glance.shortest(3)) == min(3, len(glance.sites))
    for each in glance.sites:
        assert each.share is None or 0 <= each.share <= 1
    if any(not math.isnan(loss) for loss in told["losses"][-64:]):
        assert str(glance.loss) == str(told["losses"][-1])


@times(60)
@given(
    st.lists(st.tuples(st.floats(0, 100), st.integers(0, 1000)), min_size=1, max_size=20),
    st.floats(0.1, 50),
)
def test_a_pace_lies_between_the_slowest_and_the_fastest(
    seen: list[tuple[float, int]], window: float
) -> None:
    pace, times_, counts = Pace(window), sorted(t for t, _ in seen), sorted(n for _, n in seen)
    found = [pace.at(now, updates) for now, updates in zip(times_, counts, strict=True)]
    assert found[0] is None
    total = times_[-1] - times_[0]
    if total > 0 and total < window:
        assert found[-1] == pytest.approx((counts[-1] - counts[0]) / total)
    assert all(each is None or each >= 0 for each in found)


def lines(values: list[Any], better: Any, rough: bool) -> Line:
    """A row of numbers."""
    return Line("loss", "at the end", [Cell(value, str(value)) for value in values], better, rough)


@times(100)
@given(
    st.lists(numbers, min_size=1, max_size=4), st.sampled_from(["low", "high", ""]), st.booleans()
)
def test_a_row_knows_where_runs_differ_and_which_is_best(
    values: list[Any], better: Any, rough: bool
) -> None:
    found = lines(values, better, rough)
    numeric = [each for each in values if each is not None and math.isfinite(each)]
    if all(str(each) == str(values[0]) and each == each for each in values):
        assert not found.differs
    for n in found.best:
        best = min(numeric) if better == "low" else max(numeric)
        assert values[n] == pytest.approx(best, rel=0.006)
    assert better or not found.best
    for n, value in enumerate(values):
        change = found.change(n)
        if change is not None and math.isfinite(change):  # it is not beside the smallest of floats
            assert values[0] > 0
            assert (1 + change) * values[0] == pytest.approx(value, rel=1e-9, abs=1e-9 * values[0])


sizes = st.fixed_dictionaries(
    {"sites": st.integers(0, 3), "updates": st.integers(1, 400), "probes": st.integers(2, 4)}
)
changes = st.fixed_dictionaries({}, optional={
    "script": name, "seconds": st.none() | st.floats(0, 1e6), "overhead": st.none() | st.floats(0, 1),
    "state": name, "updates": st.none() | st.integers(0, 10**9), "argv": st.lists(name, max_size=2),
    "options": st.dictionaries(name, st.floats() | name | st.none(), max_size=2),
})  # fmt: skip


def run_of(size: dict[str, int], change: dict[str, Any]) -> Run:
    """A run of these sizes, with some of `run.json` changed."""
    told: dict[str, Any] = {**size, "sites": max(size["sites"], 1)}
    told |= {} if size["sites"] else {"records": [], "findings": []}
    found = a_run(rows=20, hidden=4, **told)
    found.run.update(change)
    if "script" in change:
        found.run["repairs"] = [repair("l0", 3)]
    return found


@times(12)
@given(sizes, changes)
def test_a_run_beside_itself_is_no_different(size: dict[str, int], change: dict[str, Any]) -> None:
    run = run_of(size, change)
    for each in compared([summary(run), summary(run)]):
        assert not each.differs, each.label
        assert each.best == set()
    glance = glance_of(run)
    assert glance.updates >= 0
    assert len(glance.sites) == len({site for record in run.records for site in record["sites"]})


@times(8)
@given(sizes, changes, sizes, changes, name, name, st.integers(20, 160))
def test_runs_side_by_side_are_shown_whoever_they_are(
    size: dict[str, int], change: dict[str, Any], other: dict[str, int], another: dict[str, Any], one: str, two: str,
    columns: int,
) -> None:  # fmt: skip
    runs = [run_of(size, change), run_of(other, another)]
    rows = compared([summary(run) for run in runs])
    out = io.StringIO()
    where = console(out)
    where.width = columns
    table(rows, [one, two], where)
    assert out.getvalue().count("\n") >= len(rows)
    assert all(char.isprintable() or char == "\n" for char in out.getvalue())
    page = comparison(runs, [False, True], [one, two])
    assert page.count("<script") == page.count("</script>")
    assert page.endswith("</html>\n")


@times(60)
@given(
    st.lists(
        st.lists(st.text("ab", min_size=1, max_size=2), min_size=1, max_size=3),
        min_size=1,
        max_size=4,
    )
)
def test_short_names_tell_folders_apart(parts: list[list[str]]) -> None:
    paths = [Path(*each) for each in parts]
    names = short_names(paths)
    for one, path in zip(names, paths, strict=True):
        for other, another in zip(names, paths, strict=True):
            assert (one == other) == (path == another)
        assert str(path.absolute()).endswith(one)
