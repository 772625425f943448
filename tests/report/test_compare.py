"""What runs came to, and in which rows they differ."""

import json
from pathlib import Path
from typing import Any

import pytest

from bptt.doctor import Run
from bptt.report import compared, summary
from bptt.report._compare import NOTHING, Cell, Line


def site(horizon: int | None, rate: float = -0.1, unreached: float = 0.5) -> dict[str, Any]:
    return {
        "kind": "gru",
        "steps": 100,
        "horizon": horizon,
        "lags": 99,
        "rate": rate,
        "unreached": unreached,
    }


def a_run(
    folder: str = "a", losses: tuple[float, ...] = (4.0, 2.0), last: int = 30, **told: Any
) -> Run:
    records = [
        {"update": 1, "sites": {"rnn.l0": site(10)}, "notes": []},
        {"update": 9, "sites": {"rnn.l0": site(last, -0.05, 0.2)}, "notes": []},
    ]
    updates = [{"update": n, "loss": [x / 2, x, 2 * x]} for n, x in enumerate(losses, 1)]
    found = [{"code": "VG101", "name": "x", "severity": "error", "site": "rnn.l0", "message": ""}]
    run = {
        "script": "train.py",
        "state": "finished",
        "updates": 100,
        "seconds": 50.0,
        "overhead": 0.02,
    }
    return Run(Path(folder), run | told, records, [], updates, [] if last > 50 else found)


def row(runs: list[Run], group: str, label: str) -> Line:
    made = [
        each
        for each in compared([summary(run) for run in runs])
        if (each.group, each.label) == (group, label)
    ]
    assert len(made) == 1, (group, label)
    return made[0]


def texts(line: Line) -> list[str]:
    return [cell.text for cell in line.cells]


def test_what_is_better_stands_out() -> None:
    runs = [a_run("a"), a_run("b", losses=(4.0, 1.0), last=90)]
    loss = row(runs, "loss", "at the end")
    assert (texts(loss), loss.best, loss.change(1)) == (["2", "1"], {1}, -0.5)
    reach = row(runs, "site rnn.l0", "reach")
    assert (texts(reach), reach.best) == (["10 → 30 of 100", "10 → 90 of 100"], {1})
    assert reach.change(1) == 2.0
    assert texts(row(runs, "site rnn.l0", "kept a step")) == ["×0.905 → ×0.951"] * 2
    assert texts(row(runs, "site rnn.l0", "unreached")) == ["50 % → 20 %"] * 2
    found = row(runs, "findings", "error VG101")
    assert (texts(found), found.best) == (["rnn.l0", "none"], {1})
    assert texts(row(runs, "loss", "least of all")) == ["1", "0.5"]


def test_the_same_run_twice_differs_in_nothing() -> None:
    assert not any(line.differs for line in compared([summary(a_run())] * 3))


def test_measured_numbers_differ_from_half_a_percent_on() -> None:
    a, b, c = (
        Line("g", "l", [Cell(1.0, ""), Cell(x, "")], "low", rough=True) for x in (1.004, 1.006, 0.9)
    )
    assert [each.differs for each in (a, b, c)] == [False, True, True]
    assert [each.best for each in (a, b, c)] == [set(), {0}, {1}]
    assert a.change(1) is None
    assert Line("g", "l", [Cell(100, ""), Cell(101, "")]).differs, "counts are exact"


@pytest.mark.parametrize("value", [float("nan"), float("inf"), None, "text", True])
def test_what_is_no_number_is_not_ranked(value: Any) -> None:
    line = Line("g", "l", [Cell(1.0, "1"), Cell(value, "?")], "low", rough=True)
    assert line.best == set()
    assert line.change(1) is None
    assert Line("g", "l", [NOTHING, Cell(2.0, "2")], "low").change(1) is None


def test_a_loss_is_the_mean_of_a_twentieth() -> None:
    losses = tuple(float(n) for n in range(100, 0, -1))
    told = summary(a_run(losses=losses))["loss"]
    assert told == {"first": 98.0, "last": 3.0, "least": 0.5}
    assert summary(a_run(losses=()))["loss"] == {"first": None, "last": None, "least": None}


def test_settings_are_shown_where_they_differ() -> None:
    runs = [
        a_run(
            "a", options={"budget": 0.02, "lag": 50}, argv=["--lr", "1"], versions={"torch": "2.13"}
        ),
        a_run(
            "b",
            options={"budget": 0.02, "lag": None},
            argv=["--lr", "2"],
            versions={"torch": "2.13"},
        ),
    ]
    shown = {
        line.label: texts(line)
        for line in compared([summary(run) for run in runs])
        if line.group == "settings that differ"
    }
    assert shown == {"lag": ["50", "None"], "arguments": ["--lr 1", "--lr 2"]}


def test_sites_that_one_run_lacks() -> None:
    other = a_run("b")
    for record in other.records:
        record["sites"] = {"encoder.l1": record["sites"]["rnn.l0"]}
    assert texts(row([a_run("a"), other], "site rnn.l0", "reach")) == ["10 → 30 of 100", "–"]
    assert texts(row([a_run("a"), other], "site encoder.l1", "reach")) == ["–", "10 → 30 of 100"]


def test_a_reach_is_told_as_everywhere() -> None:
    assert row([a_run(last=99)], "site rnn.l0", "reach").cells[0].text == "10 → all 100"
    assert row([a_run(last=98)], "site rnn.l0", "reach").cells[0].text == "10 → 98 of 100"
    lost = a_run("b")
    gone = {"horizon": 0, "lags": 0, "rate": None, "unreached": 0.98, "total": [[0, None]]}
    lost.records[-1]["sites"]["rnn.l0"] |= gone
    reach = row([a_run(), lost], "site rnn.l0", "reach")
    assert reach.cells[1].text == "10 → not finite"
    assert reach.differs
    assert not reach.best
    assert row([a_run(), lost], "site rnn.l0", "unreached").cells[1] == NOTHING


def test_a_run_that_saw_nothing_has_no_verdict() -> None:
    nothing = Run(Path("c"), {"script": "train.py", "state": "finished", "updates": 0})
    found = row([a_run(), nothing, a_run(last=60)], "findings", "error VG101")
    assert [each.text for each in found.cells] == ["rnn.l0", "–", "none"]
    assert found.best == {2}
    clean = row([a_run(last=60), nothing], "findings", "all")
    assert [each.text for each in clean.cells] == ["none", "–"]


def test_remedies_and_a_run_that_goes_on() -> None:
    repair = {"remedy": "forget_bias", "args": {"value": 3.0}, "update": 4, "outcome": "kept"}
    mended = a_run("b", repairs=[repair], state="running")
    assert texts(row([a_run("a"), mended], "repairs", "done")) == [
        "–",
        "forget_bias(value=3.0) at update 4: kept",
    ]
    assert summary(mended, alive=True)["state"] == "running"
    assert summary(mended)["state"] == "killed"


def test_a_summary_is_json() -> None:
    told = summary(a_run(model={"parameters": 12}))
    assert json.loads(json.dumps(told, allow_nan=False)) == told
    assert told["parameters"] == 12
    assert told["sites"]["rnn.l0"]["horizon"] == [10, 30]


@pytest.mark.parametrize(
    "broken",
    [
        {
            "updates": "many",
            "seconds": None,
            "overhead": "x",
            "model": 3,
            "repairs": [1],
            "options": 4,
        },
        {"argv": None, "versions": [], "model": {"parameters": "n"}, "state": None, "script": None},
    ],
)
def test_a_folder_with_values_of_other_kinds(broken: dict[str, Any]) -> None:
    run = a_run(**broken)
    run.records[1]["sites"]["rnn.l0"] |= {"horizon": "far", "rate": None, "lags": "x"}
    lines = compared([summary(run), summary(a_run())])
    assert any(line.group == "loss" for line in lines)
