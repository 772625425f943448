"""Runs side by side as a page: what it draws of which runs, and what it says it leaves out."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from bptt.doctor import Logbook, Run, RunFolder, RunFolderError
from bptt.report import compare_html
from bptt.report.page import comparison
from bptt.report.page._overlay import OVERLAID
from bptt.report.page._thin import PICTURED
from made_runs import a_run


def small(**more: Any) -> Run:
    return a_run(probes=3, rows=20, hidden=4, **more)


def of(*runs: Run) -> str:
    return comparison(runs, [False] * len(runs), [f"run{n}" for n in range(len(runs))])


def data(text: str) -> list[dict[str, Any]]:
    (told,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', text)
    return json.loads(told)["overlays"]


def test_the_numbers_are_those_of_the_runs() -> None:
    a, b = small(), small(updates=500)
    loss, horizon, credit = data(of(a, b))
    assert [name for name, _ in loss["columns"]] == ["run0", "run1"]
    last = a.updates[-1]
    assert loss["xs"][-1] == last["update"] == 2000
    assert loss["columns"][0][1][-1] == float(f"{last['loss'][1]:.4g}")
    assert loss["columns"][1][1][-1] is None, "the other run had ended"
    site = a.records[-1]["sites"]["decoder.rnn.l0"]
    assert horizon["columns"][0][1][-1] == site["horizon"]
    assert credit["x"] == "steps back"
    assert credit["columns"][0][1] == [float(f"{value:.4g}") for _, value in site["credit"]]


def test_sites_that_only_some_runs_have() -> None:
    told = data(of(small(), small(sites=2)))
    assert [len(each["columns"]) for each in told] == [2, 2, 2, 1, 1]
    assert told[3]["columns"][0][0] == "run1"


def test_different_thresholds_are_both_drawn() -> None:
    a, b = small(), small()
    b.run["options"] = {"threshold": 1e-2}
    text = of(a, b)
    assert "threshold, 0.001" in text
    assert "threshold, 0.01<" in text


def test_more_runs_than_can_be_drawn_are_counted() -> None:
    text = of(*[a_run(probes=1, rows=4, hidden=2)] * (OVERLAID + 1))
    assert f"the first {OVERLAID} of {OVERLAID + 1} runs" in text
    assert [len(each["columns"]) for each in data(text)] == [OVERLAID] * 3


def test_more_sites_than_can_be_drawn_are_counted() -> None:
    run = a_run(probes=1, rows=4, hidden=2)
    brief = {"kind": "gru", "horizon": 1, "lags": 1, "credit": [[0, 1.0], [1, 0.5]]}
    run.records[0]["sites"] = {f"l{n}": brief for n in range(PICTURED + 1)}
    text = of(run, run)
    assert f"Pictures are of {PICTURED} of {PICTURED + 1} sites" in text
    assert len(data(text)) == 1 + 2 * PICTURED


def test_runs_without_anything_in_them() -> None:
    empty = Run(Path("a"), {"script": "train.py"}, damage=["run.json: not all of it is there"])
    text = of(empty, small())
    assert "Damaged, and left out, of run0: run.json: not all of it is there" in text
    both = of(empty, empty)
    assert "No run kept its losses." in both
    assert "No recurrence was measured." in both
    assert data(both) == []


def test_runs_of_which_nothing_is_known_but_names() -> None:
    run = small()
    site = dict.fromkeys(run.records[0]["sites"]["decoder.rnn.l0"])
    for record in run.records:
        record["sites"] = {"decoder.rnn.l0": site}
    for row in run.updates:
        row |= {"loss": None, "norm": None, "from": None}
    run.run.update(dict.fromkeys(("updates", "seconds", "state", "script", "argv")))
    text = of(run, run)
    assert "No run kept its losses." in text
    assert "Nothing could be drawn." in text
    assert "None" not in text.replace("default-src 'none'", "")


def test_from_folders(tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("before", "after")]
    for folder, state in zip(folders, ("finished", "failed"), strict=True):
        log = Logbook(RunFolder(folder), script="train.py")
        log.begin()
        log.end(state, 0)
        log.release()
    text = compare_html(folders)
    assert text.startswith("<!doctype html>\n")
    assert "<title>bptt · before and after</title>" in text
    assert ">failed<" in text
    with pytest.raises(RunFolderError, match="nothing"):
        compare_html([folders[0], tmp_path / "nothing"])
