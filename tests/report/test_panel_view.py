"""A run on a whole screen: never more than it holds, and what matters most comes first."""

from pathlib import Path
from typing import Any

import pytest
from rich.cells import cell_len

from bptt.doctor import Run
from bptt.report import glance_of, view
from bptt.report._panel_glance import losses
from hostile import HOSTILE

CREDIT = [[k, 0.5**k] for k in range(0, 128, 2)]


def a_run(sites: int = 2, found: int = 1, name: str = "rnn.l{}", **told: Any) -> Run:
    digest = {
        "kind": "gru",
        "steps": 128,
        "horizon": 9,
        "lags": 127,
        "rate": -0.69,
        "credit": CREDIT,
    }
    names = [name.format(n) for n in range(sites)]
    record = {"update": 1, "notes": [], "sites": dict.fromkeys(names, digest)}
    findings = [
        {"code": f"VG10{n}", "name": "x", "severity": "error", "site": names[0], "update": 1}
        | {"message": "a gradient reaches 9 of 128 steps. " * 4, "prescriptions": []}
        for n in range(found)
    ]
    run = {"script": "train.py", "state": "running", "updates": 40, "seconds": 4.0} | told
    updates = [{"update": n, "loss": [0, 1 / n, 2], "norm": [1, 1, 1]} for n in range(1, 41)]
    return Run(Path("runs/a"), run, [record], [], updates, findings)


def rows(run: Run, columns: int, height: int | None, **how: Any) -> list[str]:
    return [each.plain for each in view(run, glance_of(run, alive=True), columns, height, **how)]


@pytest.mark.parametrize("columns", [40, 79, 200])
@pytest.mark.parametrize("height", [2, 7, 24, 60, None])
@pytest.mark.parametrize(("sites", "found"), [(0, 0), (1, 2), (30, 9)])
def test_it_keeps_to_the_screen(columns: int, height: int | None, sites: int, found: int) -> None:
    for ascii_only in (False, True):
        made = rows(a_run(sites, found), columns, height, ascii_only=ascii_only)
        assert height is None or len(made) <= height
        assert all(cell_len(row) <= columns for row in made)
        assert all(row.isascii() for row in made) or not ascii_only


def test_the_panel_then_the_findings_then_the_curves() -> None:
    made = rows(a_run(), 79, None)
    where = [
        next(n for n, row in enumerate(made) if row.startswith(start))
        for start in (
            "── bptt",
            "loss",
            "rnn.l0  █",
            "error VG100",
            "  a gradient reaches",
            "rnn.l0  GRU",
        )
    ]
    assert where == sorted(where)
    assert any("┼" in row for row in made)
    assert not any("┼" in row for row in rows(a_run(), 79, 12)), "no room for a curve"


@pytest.mark.parametrize("columns", [46, 60, 79])
def test_no_number_is_cut(columns: int) -> None:
    (title,) = [each for each in rows(a_run(1, 0), columns, 40) if " GRU · " in each]
    assert title.endswith(("9 of 128 steps", "×0.502 per step")), title


def test_what_a_folder_holds() -> None:
    run = a_run(state="finished")
    glance = glance_of(run)
    assert (glance.state, glance.updates, glance.speed) == ("finished", 40, 10.0)
    assert glance.loss == 1 / 40
    assert glance_of(a_run(), alive=False).state == "killed"
    assert glance_of(a_run(), alive=True).state == "running"
    empty = glance_of(Run(Path("a"), {}), alive=True)
    assert (empty.script, empty.updates, empty.loss, list(empty.sites)) == (
        "a training loop",
        0,
        None,
        [],
    )


@pytest.mark.parametrize("told", [None, [], [1.0], ["1", "2", "3"], {"mean": 1}, 3.0])
def test_a_loss_of_another_shape_is_none(told: Any) -> None:
    found = losses(Run(Path("a"), {}, updates=[{"update": 1, "loss": told}]))
    assert len(found) == 1
    assert found[0] != found[0], "nan"


def test_damage_is_said() -> None:
    run = a_run()
    run.damage.append("flow.jsonl: line 3 is damaged")
    assert "damaged: flow.jsonl: line 3 is damaged" in rows(run, 79, None)


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_hostile_names(text: str) -> None:
    run = a_run(1, 1, name=text.replace("{", "").replace("}", ""), script=text)
    run.findings[0] |= {
        "message": text,
        "name": text,
        "prescriptions": [{"remedy": text, "args": {}}],
    }
    for row in rows(run, 79, None):
        assert row.isprintable()
        assert cell_len(row) <= 79
