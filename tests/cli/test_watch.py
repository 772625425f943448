"""`bptt watch`: a run followed through its folder, by a reader that can do it no harm."""

import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from bptt.cli._watch import Seen, watch
from bptt.doctor import Logbook, RunFolder
from terminals import Terminal


def digest(horizon: int) -> dict[str, Any]:
    credit = [[k, 0.5**k] for k in range(0, 128, 8)]
    return {
        "kind": "gru",
        "steps": 128,
        "horizon": horizon,
        "lags": 127,
        "rate": -0.7,
        "credit": credit,
    }


class Run:
    """A run that goes on as the test says."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = Logbook(RunFolder(folder), script="train.py")
        self.log.begin()

    def probe(self, update: int, horizon: int, *codes: str) -> None:
        self.log.tally.verdict = [
            {
                "code": code,
                "name": "n",
                "site": "rnn.l0",
                "severity": "error",
                "message": f"{code} says",
            }
            | {"update": update, "prescriptions": [], "evidence": {}, "persists": True}
            for code in codes
        ]
        record = {"update": update, "time": 1.0, "cost": 0.0, "sites": {"rnn.l0": digest(horizon)}}
        self.log.add({**record, "notes": []}, update, 0.01)

    def end(self, state: str = "finished") -> None:
        self.log.end(state, 0)
        self.log.release()


Out = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bptt.cli._watch.LOOK", 0.02)


def test_it_waits_for_the_folder_tells_the_news_and_ends_with_the_page(
    tmp_path: Path, capsys: Out
) -> None:
    def script() -> None:
        time.sleep(0.1)
        run = Run(tmp_path / "a")
        for update, horizon, codes in (
            (1, 11, ()),
            (3, 12, ("VG101",)),
            (10, 14, ("VG101", "EG202")),
        ):
            run.probe(update, horizon, *codes)
            time.sleep(0.15)
        run.end()

    thread = threading.Thread(target=script)
    thread.start()
    watch(tmp_path / "a", once=False, wait=30.0)
    thread.join()
    out = capsys.readouterr().out
    news, _, page = out.partition("bptt · train.py · 10 updates, 3 probes")
    assert "bptt · update 3 · rnn.l0 12 of 128 steps" in news
    assert news.count("error VG101 rnn.l0: VG101 says") == 1, "told once, when it arises"
    assert news.count("error EG202 rnn.l0: EG202 says") == 1
    assert "rnn.l0  GRU · gradient reaches 14 of 128 steps" in page
    assert "killed" not in page
    assert "\x1b" not in out


def test_a_finished_run_is_shown_and_left(tmp_path: Path, capsys: Out) -> None:
    run = Run(tmp_path)
    run.probe(1, 11)
    run.end("failed")
    watch(tmp_path, once=False, wait=0.0)
    out = capsys.readouterr().out
    assert out.startswith("bptt · train.py · 1 update, 1 probe")
    assert "failed" in out.splitlines()[0]
    assert out.splitlines()[-1] == f"Results: {tmp_path}"


def test_a_killed_run_is_said_to_be_one(tmp_path: Path, capsys: Out) -> None:
    run = Run(tmp_path)
    run.probe(1, 11)
    run.log.release()  # as the end of its process does
    watch(tmp_path, once=False, wait=0.0)
    out = capsys.readouterr().out
    assert out.splitlines()[0].endswith("killed")
    assert "bptt: nobody writes to this folder any more" in out


def test_once_shows_a_run_that_goes_on_and_leaves(tmp_path: Path, capsys: Out) -> None:
    run = Run(tmp_path)
    run.probe(1, 11, "VG101")
    watch(tmp_path, once=True, wait=0.0)
    out = capsys.readouterr().out
    lines = out.splitlines()
    assert lines[0].startswith("── bptt · train.py · update 1")
    assert any(line.startswith("error VG101 n · rnn.l0") for line in lines)
    assert any("┼" in line for line in lines)
    run.end()


@pytest.mark.parametrize("what", ["nothing", "file", "empty", "other"])
def test_what_is_no_run_is_refused(tmp_path: Path, what: str, capsys: Out) -> None:
    path = tmp_path / "a\x1b[2J"
    if what == "file":
        path.touch()
    elif what != "nothing":
        path.mkdir()
    if what == "other":
        (path / "run.json").write_text('{"program": "another"}')
    with pytest.raises(SystemExit) as left:
        watch(path, once=False, wait=0.05)
    assert left.value.code == 2
    said = capsys.readouterr().err
    assert said.startswith("bptt: ")
    assert "\x1b" not in said


def test_an_unchanged_folder_is_not_read_again(tmp_path: Path) -> None:
    run = Run(tmp_path)
    run.probe(1, 11)
    seen = Seen(tmp_path)
    first, _ = seen.look()
    assert seen.look()[0] is first
    run.probe(2, 12)
    again, glance = seen.look()
    assert again is not first
    assert glance.updates == 2
    run.end()
    assert seen.look()[1].state == "finished"


def test_on_a_terminal_it_takes_the_other_screen_and_gives_it_back(tmp_path: Path) -> None:
    run = Run(tmp_path / "a")
    run.probe(1, 11, "VG101")
    here = {"PYTHONPATH": os.pathsep.join(sys.path)}
    command = ["-m", "bptt", "watch", str(tmp_path / "a")]
    terminal = Terminal(command, tmp_path, rows=24, columns=80, env=here)
    terminal.wait_for("Ctrl-C leaves the run alone")
    rows = terminal.rows
    assert rows[0].startswith("── bptt · train.py · update 1")
    assert any(row.startswith("rnn.l0  ██") for row in rows)
    assert any(row.startswith("error VG101") for row in rows)
    terminal.resize(30, 70)
    run.probe(3, 127)
    terminal.wait_for("all 128 steps")
    os.kill(terminal.process.pid, signal.SIGINT)
    assert terminal.finish() == 130
    assert b"Traceback" not in terminal.raw
    assert terminal.raw.count(b"\x1b[?1049h") == terminal.raw.count(b"\x1b[?1049l") == 1
    assert terminal.raw.rindex(b"\x1b[?25h") > terminal.raw.rindex(b"\x1b[?25l"), (
        "the cursor is shown"
    )
    run.probe(4, 100)
    run.end()
    assert Seen(tmp_path / "a").look()[1].state == "finished", "the run was left alone"
