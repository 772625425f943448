"""Reading run folders: of this format, of the one before, of a later one, and while a run goes on."""

import json
import random
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from bptt._files import link, seal
from bptt.doctor import Logbook, Run, RunFolder, RunFolderError, open_run, read_run
from bptt.doctor import _folder as folder_module
from bptt.doctor._series import Update

RECORD: dict[str, Any] = {
    "update": 1,
    "sites": {"rnn.l0": {"kind": "gru", "steps": 5, "horizon": 3}},
    "notes": [{"subject": "x", "reason": "y"}],
}


def before(path: Path, **changed: bytes) -> Path:
    """A folder of format 1, as it was written before there were checksums."""
    path.mkdir()
    run = {
        "version": 1,
        "program": "bptt",
        "script": "a.py",
        "argv": [],
        "options": {},
        "state": "finished",
    }
    findings = {
        "version": 1,
        "script": "a.py",
        "sites": {},
        "findings": [{"code": "VG101"}],
        "notes": [],
    }
    content = {
        "run.json": json.dumps(run, indent=1).encode(),
        "findings.json": json.dumps(findings, indent=1).encode(),
        "flow.jsonl": (json.dumps(RECORD) + "\n").encode(),
    }
    for name, data in (content | {k.replace("_", "."): v for k, v in changed.items()}).items():
        (path / name).write_bytes(data)
    return path


def test_a_folder_of_format_1(tmp_path: Path) -> None:
    run = open_run(before(tmp_path / "a"))
    assert run.records == [RECORD]
    assert run.findings == [{"code": "VG101"}]
    assert (run.spectra, run.updates, run.damage) == ([], [], [])
    told, tally = read_run(tmp_path / "a")
    assert (told["script"], tally.sites["rnn.l0"]["horizon"]) == ("a.py", 3)


def test_a_damaged_folder_of_format_1(tmp_path: Path) -> None:
    lines = b'{"update": 1, "sites"\n[1]\n' + json.dumps(RECORD).encode() + b'\n{"upd'
    run = open_run(before(tmp_path / "a", flow_jsonl=lines, findings_json=b'{"findings": 3}'))
    assert run.records == [RECORD]
    assert run.findings == []
    assert run.damage == [
        "flow.jsonl: line 1 is damaged, it is not JSON, and left out",
        "flow.jsonl: line 4 is cut short and left out",
        "flow.jsonl: 1 lines have another shape and are left out",
        "findings.json: it is damaged: it has no checksum and is of version None; its findings are left out",
    ]


def test_a_newer_format_is_refused_with_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_bytes(seal({"program": "bptt"}, 3))
    with pytest.raises(
        RunFolderError, match=r"run\.json cannot be used: it is of format 3, .* install bptt"
    ):
        open_run(tmp_path)


def test_what_is_no_run_folder(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match="is not a run folder of bptt"):
        open_run(tmp_path / "missing")
    (tmp_path / "run.json").write_bytes(seal({"program": "another"}, 2))
    with pytest.raises(RunFolderError, match="of another program"):
        open_run(tmp_path)
    with pytest.raises(RunFolderError, match=r"run\.json"):
        open_run(before(tmp_path / "b", run_json=b""))


def test_a_run_that_goes_on_can_be_read_at_any_moment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also right after a series was shortened, and before `run.json` states its new end."""
    monkeypatch.setitem(folder_module.MOST, "flow.jsonl", 3000)
    folder = RunFolder(tmp_path / "a")
    log = Logbook(folder, script="a.py")
    log.begin()
    written = folder.write_run

    def look(*_: Any) -> None:
        assert open_run(tmp_path / "a").damage == []

    monkeypatch.setattr(folder, "write_run", lambda run: (look(), written(run), look()))
    for n in range(1, 60):
        log.saw([Update(n, 1.0, 1.0, 1.0, 1.0, 1.0)])
        log.add({**RECORD, "update": n}, n, 0.0)
        look()
    log.end("finished")
    log.release()
    run = open_run(tmp_path / "a")
    kept = [record["update"] for record in run.records]
    assert run.damage == []
    assert (kept[0], kept[-1], len(run.updates)) == (1, 59, 59)
    assert {1, 3, 10, 30} <= set(kept) < set(range(60))
    assert (tmp_path / "a" / "flow.jsonl").stat().st_size <= 3000


def test_a_record_of_another_shape_is_left_out_and_named(tmp_path: Path) -> None:
    log = Logbook(RunFolder(tmp_path / "a"), script="a.py")
    log.begin()
    log.release()
    first, crc = link({"update": 1, "sites": [], "notes": []})
    second, _ = link(RECORD, crc)
    (tmp_path / "a" / "flow.jsonl").write_bytes(first + second)
    run = open_run(tmp_path / "a")
    assert run.records == [RECORD]
    assert run.damage == ["flow.jsonl: 1 lines have another shape and are left out"]


def test_files_that_were_taken_away_are_named(tmp_path: Path) -> None:
    log = Logbook(RunFolder(tmp_path / "a"), script="a.py")
    log.begin()
    log.add(RECORD, 1, 0.0)
    log.end("finished")
    log.release()
    for name in ("flow.jsonl", "findings.json"):
        (tmp_path / "a" / name).unlink()
    assert open_run(tmp_path / "a").damage == [
        "flow.jsonl: cannot be read (No such file or directory)",
        "findings.json: cannot be read (No such file or directory)",
    ]


WRITER = """
import sys
from bptt.doctor import Logbook, Run, RunFolder, _folder
from bptt.doctor._series import Series, Update
_folder.MOST["flow.jsonl"] = 4000
log = Logbook(RunFolder(sys.argv[1]), script="a.py")
log.series = Series(most=50)
log.begin()
print("begun", flush=True)
n = 0
while True:
    n += 1
    log.saw([Update(n, 1.0, 1.0, 1.0, 1.0, 1.0)])
    if n % 5 == 0:
        log.add({"update": n, "sites": {"l0": {"horizon": n}}, "notes": []}, n, 0.0)
"""


def test_a_run_is_killed_at_random_moments(tmp_path: Path) -> None:
    """Read while it writes, then killed with SIGKILL: what is there is whole, but for a last line cut short."""
    draw = random.Random(0)
    for kill in range(6):
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path / "a")], stdout=subprocess.PIPE
        )
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"begun\n"
        until = time.monotonic() + draw.uniform(0.05, 0.4)
        while time.monotonic() < until:
            check(open_run(tmp_path / "a"))
        assert RunFolder.in_use(tmp_path / "a")
        writer.kill()
        writer.communicate()
        assert not RunFolder.in_use(tmp_path / "a")
        run = open_run(tmp_path / "a")
        check(run)
        assert run.run["state"] == "running"
        earlier = tmp_path / "a" / "earlier"
        assert len(list(earlier.iterdir()) if kill else []) == kill
    RunFolder(tmp_path / "a").close()
    left = [path.name for path in (tmp_path / "a").iterdir()]
    assert [name for name in left if name.endswith(".0")] == [], "what was half written is swept"


def check(run: Run) -> None:
    assert all(sentence.endswith("is cut short and left out") for sentence in run.damage)
    assert len(run.damage) <= 1
    ends = [each["update"] for each in run.updates]
    assert ends == sorted(set(ends))
    assert all(a["update"] + 1 == b["from"] for a, b in pairwise(run.updates))
