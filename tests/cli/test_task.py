"""`bptt task`: what it prints and writes, its exit codes, and sentences for what cannot be run."""

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bptt import BpttError
from bptt.cli import _task
from bptt.tasks import compared, table

Run = Callable[..., subprocess.CompletedProcess[str]]

QUICK: dict[str, Any] = {
    "length": "6",
    "cell": "gru",
    "remedies": [],
    "seed": 0,
    "updates": 20,
    "paper": False,
    "out": None,
}


def ran(name: str, **told: Any) -> int:
    """The exit code."""
    with pytest.raises(SystemExit) as left:
        _task.task(name, **(QUICK | told))
    return int(str(left.value.code))


def test_as_on_a_shell(python: Run, tmp_path: Path) -> None:
    done = python(
        *("-m", "bptt", "task", "temporal_order", "--length", "10-12", "--cell", "gru"),
        *("--remedy", "chrono", "--remedy", "forget_bias(value=2)", "--seed", "5"),
        *("--updates", "3", "--out", "run.json"),
    )
    assert (done.returncode, done.stderr) == (1, "")
    lines = done.stdout.splitlines()
    assert lines[0].startswith(
        "temporal_order · length 10-12 · gru, 64 units · adam 0.001, batch 32"
    )
    assert lines[0].endswith("at most 3 updates · seed 5")
    assert lines[1].startswith("an answer without memory has loss 1.386")
    assert "memory spans of 2 to" in lines[2]
    assert lines[4].startswith("update 3: loss ")
    assert lines[5].startswith("not solved after 3 updates, no better than without memory")
    saved = json.loads((tmp_path / "run.json").read_text(encoding="utf-8"))
    assert saved["remedies"] == ["chrono", "forget_bias(value=2)"]
    assert saved["variant"]["task"] == {"length": [10, 12]}
    assert [point[0] for point in saved["run"]["curve"]] == [3]


def test_a_solved_task_exits_with_zero(capsys: pytest.CaptureFixture[str]) -> None:
    assert ran("random_permutation", length="3", updates=400) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[-1].startswith("solved at update ")
    assert said[-2].endswith("0.0% wrong")


def test_a_run_that_diverges_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    remedy = "spectral_radius(radius=1e30)"
    assert ran("adding", cell="relu-rnn", length="40", remedies=[remedy]) == 1
    assert "stopped at update 1: loss or gradient were not finite" in capsys.readouterr().out


def test_a_run_stopped_by_hand_keeps_its_curve(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    seen: list[Any] = []

    def say(point: Any) -> None:
        seen.append(point)
        if len(seen) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(_task, "_say", say)
    out = tmp_path / "run.json"
    assert ran("adding", out=out, updates=250) == 130
    assert capsys.readouterr().out.splitlines()[-1] == "stopped by hand"
    run = json.loads(out.read_text(encoding="utf-8"))["run"]
    assert [point[0] for point in run["curve"]] == [100, 200]
    assert (run["solved"], run["diverged"]) == (None, None)


def test_a_file_that_cannot_be_written(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*_: Any, **__: Any) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    assert ran("adding", out=tmp_path / "run.json", updates=1) == 2
    said = capsys.readouterr().err
    assert said == f"bptt: {tmp_path / 'run.json'} could not be written: No space left on device\n"


def test_a_remedy_is_told_the_tasks_lag(capsys: pytest.CaptureFixture[str]) -> None:
    ran("copy", length="30", remedies=["chrono"], updates=1)
    assert "memory spans of 2 to 40 steps" in capsys.readouterr().out
    ran("copy", length="30", remedies=["chrono(lag=9)"], updates=1)
    assert "memory spans of 2 to 9 steps" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "told", "sentence"),
    [
        ("addng", {}, "there is no task 'addng'; did you mean adding?"),
        ("adding", {"cell": "gur"}, "--cell is 'gur', expected one of rnn, relu-rnn"),
        ("adding", {"length": "1"}, "adding has length 1, expected 2 or more"),
        ("adding", {"length": "9-5"}, "adding has length (9, 5)"),
        ("adding", {"length": "long"}, "--length is 'long', expected a number of steps, or"),
        ("adding", {"length": "1-2-3"}, "--length is '1-2-3'"),
        ("permuted_digits", {"length": "9"}, "permuted_digits has no length"),
        ("adding", {"remedies": ["chorno"]}, "there is no remedy 'chorno'; did you mean chrono?"),
        ("adding", {"remedies": ["chrono(lag"]}, "'chrono(lag' is no remedy with arguments"),
        ("adding", {"remedies": ["chrono(5)"]}, "'chrono(5)' is no remedy with arguments"),
        ("adding", {"remedies": ["chrono(lag=x)"]}, "expected chrono(name=value, …)"),
        ("adding", {"remedies": ["chrono(leg=5)"]}, "chrono does not take leg"),
        ("adding", {"remedies": ["chrono"], "cell": "rnn"}, "chrono does not fit"),
        ("adding", {"out": Path("no/such/run.json")}, "--out is no/such/run.json, expected"),
    ],
)
def test_what_cannot_be_run_is_a_sentence(
    name: str, told: dict[str, Any], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ran(name, **told) == 2
    said = capsys.readouterr().err
    assert said.startswith("bptt: ")
    assert sentence in said


def test_arguments_are_read_and_never_run() -> None:
    assert _task.parsed("chrono( lag = 7 )")[1] == {"lag": 7}
    with pytest.raises(BpttError, match="is no remedy with arguments"):
        _task.parsed("chrono(lag=__import__('os').getpid())")


def test_published_settings(capsys: pytest.CaptureFixture[str]) -> None:
    ran("temporal_order", paper=True, length=None, cell=None, updates=1, remedies=["nothing"])
    assert capsys.readouterr().err == "bptt: there is no remedy 'nothing'\n"
    variant = _task._variant(table()["temporal_order"], None, None, None, paper=True)
    assert (variant.task, variant.hidden) == ({"length": (50, 200)}, 50)
    small = _task._variant(table()["temporal_order"], "30", "lstm", 7, paper=False)
    assert (small.task, small.cell, small.updates) == ({"length": 30}, "lstm", 7)


def test_the_list_and_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    _task.tasks()
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == list(table())
    _task.published()
    assert capsys.readouterr().out == compared() + "\n"
