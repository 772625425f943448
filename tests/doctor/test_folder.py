"""The run folder: private, never half written, and nobody else's files touched."""

import json
from pathlib import Path
from typing import Any

import pytest

from bptt.doctor import Logbook, RunFolder, RunFolderError, open_run, read_run

RECORD: dict[str, Any] = {
    "update": 1,
    "sites": {"rnn.l0": {"kind": "gru", "steps": 5, "horizon": 3, "rate": float("-inf")}},
    "notes": [{"subject": "x", "reason": "y"}],
}


def finished(path: Path) -> None:
    log = Logbook(RunFolder(path), script="train.py")
    log.begin()
    log.add(RECORD, updates=0, spent=0.1)
    log.end("finished", 0)
    log.release()


def test_round_trip(tmp_path: Path) -> None:
    finished(tmp_path / "a")
    run, tally = read_run(tmp_path / "a")
    assert (run["state"], run["exit_code"], run["probes"]) == ("finished", 0, 1)
    assert tally.sites["rnn.l0"]["rate"] is None  # JSON has no infinities
    assert tally.notes == RECORD["notes"]
    findings = json.loads((tmp_path / "a" / "findings.json").read_text())
    assert findings["version"] == 1
    assert findings["sites"]["rnn.l0"]["horizon"] == 3
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == [
        ".bptt.lock",
        "findings.json",
        "flow.jsonl",
        "run.json",
    ]


def test_private(tmp_path: Path) -> None:
    finished(tmp_path / "b" / "c")
    assert (tmp_path / "b" / "c").stat().st_mode & 0o777 == 0o700


def test_an_earlier_run_is_kept_and_foreign_files_stay(tmp_path: Path) -> None:
    for _ in range(3):
        finished(tmp_path / "a")
        (tmp_path / "a" / "model.pt").write_text("weights")
    assert (tmp_path / "a" / "model.pt").read_text() == "weights"
    earlier = sorted((tmp_path / "a" / "earlier").iterdir())
    assert len(earlier) == 2
    for path in earlier:
        assert read_run(path)[1].probes == 1
        assert not (path / "model.pt").exists()
    assert read_run(tmp_path / "a")[1].probes == 1


def test_another_folder_is_refused_and_untouched(tmp_path: Path) -> None:
    (tmp_path / "run.txt").write_text("")
    with pytest.raises(RunFolderError, match="not a run folder of bptt"):
        RunFolder(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["run.txt"]


def test_a_run_that_goes_on_is_refused(tmp_path: Path) -> None:
    log = Logbook(RunFolder(tmp_path / "a"), script="train.py")
    log.begin()
    assert RunFolder.in_use(tmp_path / "a")
    with pytest.raises(RunFolderError, match="another run is writing"):
        RunFolder(tmp_path / "a")
    log.release()
    assert not RunFolder.in_use(tmp_path / "a")
    RunFolder(tmp_path / "a").close()


def test_a_run_that_has_only_begun_is_refused(tmp_path: Path) -> None:
    first = RunFolder(tmp_path / "a")
    with pytest.raises(RunFolderError, match="another run is writing"):
        RunFolder(tmp_path / "a")
    first.close()


def test_a_line_cut_short_by_a_kill_is_left_out_and_named(tmp_path: Path) -> None:
    finished(tmp_path / "a")
    flow = tmp_path / "a" / "flow.jsonl"
    whole = flow.read_text()
    flow.write_text(whole + whole[:20])
    run, tally = read_run(tmp_path / "a")
    assert (run["state"], tally.probes) == ("finished", 1)
    note = {"subject": "flow.jsonl", "reason": "line 2 is cut short and left out"}
    assert note in tally.notes
    flow.write_text(whole[:20] + "\n" + whole)
    assert open_run(tmp_path / "a").damage == ["flow.jsonl: line 1 is damaged and left out"]


def test_what_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "file" / "a"):
        with pytest.raises(RunFolderError, match="cannot write to the run folder"):
            RunFolder(path)


def test_an_end_that_cannot_be_written_is_told_and_not_raised(tmp_path: Path) -> None:
    log = Logbook(RunFolder(tmp_path / "a"), script="train.py")
    log.begin()
    for path in (tmp_path / "a").iterdir():
        path.unlink()
    (tmp_path / "a").rmdir()
    log.end("finished", 0)
    assert log.trouble is not None
    assert "could not be written" in log.trouble
    log.release()
