"""A page of whatever folder there is: damaged, of the first format, far too large for a page."""

import json
import re
from pathlib import Path
from typing import Any

from bptt.doctor import Logbook, Run, RunFolder, open_run
from bptt.report.page import page, write_page
from bptt.report.page._thin import PICTURED, ROWS
from made_runs import a_run


def data(text: str) -> dict[str, Any]:
    (told,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', text)
    return json.loads(told)


def a_folder(path: Path, run: Run) -> Path:
    log = Logbook(RunFolder(path), script="train.py")
    log.begin()
    for record in run.records:
        log.add({"notes": [], **record}, record["update"], 0.01)
    log.end("finished", 0)
    log.release()
    return path


def test_damage_is_said_and_the_rest_is_shown(tmp_path: Path) -> None:
    folder = a_folder(tmp_path / "a", a_run(probes=4, hidden=4))
    flow = folder / "flow.jsonl"
    lines = flow.read_bytes().splitlines(keepends=True)
    lines[1] = lines[1].replace(b"0", b"1", 1)
    flow.write_bytes(b"".join(lines[:-1]) + lines[-1][:40])
    damage = open_run(folder).damage
    assert damage
    text = write_page(folder).read_text(encoding="utf-8")
    about = text.partition("Damaged, and left out")[2].partition("</ul>")[0]
    assert about.count("<li>") == len(damage)
    assert len(data(text)["sites"][0]["curve"]["updates"]) == 2


def test_a_folder_of_the_first_format_has_what_it_held(tmp_path: Path) -> None:
    """No checksums, no series beside the credit curve, no updates, no spectra."""
    folder = tmp_path / "old"
    folder.mkdir()
    digest = {"kind": "gru", "steps": 10, "horizon": 3, "lags": 9, "rate": -2.0, "unreached": 0.5}
    digest["credit"] = [[0, 1.0], [9, 1e-8]]
    record = {"update": 1, "time": 0.1, "cost": 0.01, "sites": {"l0": digest}, "notes": []}
    run = {"version": 1, "program": "bptt", "script": "old.py", "state": "finished", "updates": 5}
    (folder / "run.json").write_text(json.dumps(run), encoding="utf-8")
    (folder / "flow.jsonl").write_text(json.dumps(record) + "\n", encoding="utf-8")
    found = {"version": 1, "script": "old.py", "sites": {}, "findings": []}
    (folder / "findings.json").write_text(json.dumps(found), encoding="utf-8")
    assert open_run(folder).damage == []
    text = write_page(folder).read_text(encoding="utf-8")
    assert "A gradient in l0 reaches 3 of 10 steps back" in text
    assert re.findall('<figure.*? data-kind="(.*?)"', text) == ["heat", "credit"]
    assert "No losses and no gradient norms were kept." in text


def test_a_series_may_be_ahead_of_the_run() -> None:
    run = a_run(updates=300, probes=3, rows=300, hidden=2)
    run.run["updates"] = 290
    assert '<p class="quiet">300 updates in ' in page(run)


def test_what_is_thinned_is_said_with_numbers() -> None:
    run = a_run(probes=100, rows=2000, hidden=2)
    text = page(run)
    told = data(text)
    assert len(told["sites"][0]["curve"]["updates"]) == 64
    assert len(told["training"]) <= ROWS
    assert "Of up to 100 probes a site, the map and the credit curve show 64" in text
    size = max(row["update"] - row["from"] + 1 for row in told["training"])
    assert f"Losses and gradient norms of up to {size} neighbouring updates are one point" in text
    assert "evenly chosen" not in page(a_run(probes=5, rows=5, hidden=2))


def test_the_extremes_of_what_is_told_together_stay() -> None:
    run = a_run(probes=1, rows=2000, hidden=2)
    told = data(page(run))["training"]
    for key in ("loss", "norm"):
        assert min(row[key][0] for row in told) == float(
            f"{min(row[key][0] for row in run.updates):.4g}"
        )
        assert max(row[key][2] for row in told) == float(
            f"{max(row[key][2] for row in run.updates):.4g}"
        )


def test_more_sites_than_are_pictured_are_all_in_the_table() -> None:
    run = a_run(probes=1, rows=4, hidden=2)
    brief = {"kind": "gru", "horizon": 1, "lags": 1, "credit": [[0, 1.0], [1, 0.5]]}
    run.records[0]["sites"] = {f"l{n}": brief for n in range(PICTURED + 1)}
    text = page(run)
    assert f"Pictures are of the first {PICTURED} of {PICTURED + 1} sites" in text
    assert text.count('<th scope="row">') == PICTURED + 1
    assert len(data(text)["sites"]) == PICTURED


def test_where_gradients_stop_being_finite_the_last_numbers_are_shown() -> None:
    run = a_run(probes=4, hidden=2)
    for record in run.records[2:]:
        site = record["sites"]["decoder.rnn.l0"]
        site["total"] = [[t, None] for t, _ in site["total"]]
        site["attribution"] = {"weight": [[0, None]]}
    (site,) = data(page(run))["sites"]
    last = run.records[1]["update"]
    assert site["gradients"]["updates"][-1] == site["causes"]["updates"][-1] == last
    assert site["curve"]["updates"][-1] == run.records[-1]["update"]
