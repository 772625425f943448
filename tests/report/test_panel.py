"""The panel's rows: what they say at each size, and that no name can break them."""

import math
from typing import Any

import pytest
from rich.cells import cell_len

from bptt.report import Glance, Reach, panel
from bptt.report._panel import NARROW, room
from bptt.report._panel_rows import escaped, plain
from hostile import HOSTILE

LOSSES = [2.4 + 2.4 * math.exp(-n / 100) for n in range(1240)]


def digest(horizon: int, rate: float = -0.5) -> dict[str, Any]:
    return {"kind": "gru", "horizon": horizon, "lags": 127, "rate": rate, "steps": 128}


def finding(code: str, severity: str, update: int = 1, site: str = "rnn.l0") -> dict[str, Any]:
    return {"code": code, "name": "some-name", "severity": severity, "site": site, "update": update}


def glance(sites: int = 2, findings: int = 1, **changes: Any) -> Glance:
    known: dict[str, Any] = {
        "updates": 1240,
        "seconds": 302.0,
        "speed": 41.2,
        "share": 0.019,
        "losses": LOSSES,
        "sites": [Reach(f"rnn.l{n}", digest(11 + 10 * n)) for n in range(sites)],
        "findings": [finding(f"VG10{n}", "error" if n == 0 else "advice") for n in range(findings)],
    }
    return Glance("train.py", **known | changes)


def lines(given: Glance, columns: int = 79, rows: int = 8, **how: Any) -> list[str]:
    return [plain(row) for row in panel(given, columns, rows, **how)]


def test_a_panel() -> None:
    head, loss, first, second, found = lines(glance())
    assert head.startswith(
        "── bptt · train.py · update 1,240 · 1.9 % of the time · 41.2/s · 5:02 ──"
    )
    assert loss.startswith("loss    2.4     █")
    assert loss.endswith("  from 4.8")
    assert first.startswith("rnn.l0  ██")
    assert first.endswith("·  11 of 128 steps · ×0.607 per step")
    assert second.index("  21 of") == first.index("  11 of"), "the bars are of one length"
    assert found == "error VG100 some-name · rnn.l0 · since update 1"


@pytest.mark.parametrize("columns", [1, 10, 59, 60, 79, 119, 300])
@pytest.mark.parametrize("rows", [1, 2, 3, 5, 8, 12])
@pytest.mark.parametrize(("sites", "findings"), [(0, 0), (1, 1), (24, 0), (3, 9), (24, 24)])
def test_it_keeps_to_the_room_there_is(columns: int, rows: int, sites: int, findings: int) -> None:
    for ascii_only in (False, True):
        made = lines(glance(sites, findings), columns, rows, ascii_only=ascii_only)
        assert 1 <= len(made) <= rows
        assert all(cell_len(row) <= columns for row in made)
        assert all(row.isascii() for row in made) or not ascii_only


def test_what_is_worst_stays_and_the_rest_is_counted() -> None:
    sites = [Reach(f"l{n}", digest(120 if n != 17 else 3)) for n in range(24)]
    found = [finding("VG102", "advice", 9 - n, f"l{n}") for n in range(5)]
    found += [finding(f"EG20{n}", "warning") for n in range(4)] + [finding("NF601", "error")]
    made = lines(Glance("a", sites=sites, findings=found))
    assert len(made) == 8
    assert any(row.startswith("l17  ") for row in made)
    assert "22 more sites with a longer reach" in made
    assert "error NF601 some-name · rnn.l0 · since update 1" in made
    assert "8 more findings" in made
    alike = lines(Glance("a", sites=sites, findings=found[:5]))
    assert alike[-1] == "advice VG102 some-name · l0, l1, l2 and 2 more · since update 5"


def test_a_site_whose_gradients_are_not_finite_comes_first() -> None:
    lost = Reach("enc.l9", {"horizon": None, "lags": 0, "total": [[0, None], [1, None]]})
    made = lines(Glance("train.py", sites=[*glance(9).sites, lost]), rows=5)
    assert any(each.startswith("enc.l9  ·") and "gradients are not finite" in each for each in made)


def test_before_anything_is_known() -> None:
    head, loss, site, found = lines(Glance("train.py"))
    assert head.startswith("── bptt · train.py ──")
    assert (loss, site) == ("loss  none seen so far", "no gradient measured so far")
    assert found == "nothing found so far"
    assert lines(Glance("train.py"), 79, 1) == ["bptt · train.py"]


def test_a_loss_that_is_no_number_is_said() -> None:
    made = panel(glance(losses=[4.0, 3.0, math.nan]), 79, 8)
    assert plain(made[1]).startswith("loss    nan     █▁ ")
    assert ("  nan   ", "bold red") in made[1]


def test_how_much_room_there_is() -> None:
    assert room(NARROW, 24) == 8
    assert room(NARROW - 1, 24) == room(200, 15) == 1
    assert all(room(columns, rows) <= rows for columns in range(1, 200, 9) for rows in range(4, 90))


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_hostile_names(text: str) -> None:
    hostile = Glance(
        text,
        updates=3,
        losses=[1.0],
        sites=[Reach(text, digest(3))],
        findings=[{"code": text, "name": text, "severity": text, "site": text, "update": 1}],
    )
    for rows in (1, 8):
        for row in panel(hostile, 79, rows):
            out = escaped(row, 79, color=False)
            assert out.isprintable()
            assert cell_len(out) <= 79
