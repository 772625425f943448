"""`bptt bench`: a table behind a gate of equal numbers."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bptt._errors import BpttError
from bptt.cli import _bench

Run = Callable[..., subprocess.CompletedProcess[str]]
TINY = ("--hidden", "8", "--batch", "2", "--seconds", "0", "--threads", "1")


def test_table_and_json(python: Run, tmp_path: Path) -> None:
    layers = ("--layer", "gru", "--layer", "ReLU-RNN")
    done = python("-m", "bptt", "bench", *TINY, *layers, "--json", "a.json")
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert "1 threads" in lines[0]
    assert "torch 2." in lines[0]
    rows = [line.split() for line in lines if "×" in line and "%" in line]
    assert [row[:-4] for row in rows] == [["GRU", "8", "2"], ["ReLU", "RNN", "8", "2"]]
    assert lines[-2].startswith("GRU: ")
    assert lines[-2].endswith("× at worst")

    found = json.loads((tmp_path / "a.json").read_text(encoding="utf-8"))
    assert (found["threads"], found["mode"]) == (1, "padded")
    assert [row["layer"] for row in found["rows"]] == ["GRU", "ReLU RNN"]
    for shown, row in zip(rows, found["rows"], strict=True):
        assert float(shown[-2].removesuffix("×")) == pytest.approx(row["ratio"], abs=0.006)
        assert row["torch_us"] > 0
        assert row["ours_us"] > 0


def bench(**options: Any) -> None:
    """The command's function with small options but for those given."""
    told = {"layers": ["lstm"], "hidden": [8], "batch": [2], "mode": "padded", "threads": None}
    _bench.bench(**{**told, "seconds": 0.0, "json_file": None, **options})


@pytest.mark.parametrize("mode", ["packed", "no-grad", "tokens"])
def test_modes(mode: str, capsys: pytest.CaptureFixture[str]) -> None:
    bench(mode=mode)
    title = "forward alone" if mode == "no-grad" else f"forward and backward, {mode}"
    assert f"{title}, float32" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("option", "sentence"),
    [
        ({"layers": ["grü"]}, "--layer is 'grü'; expected rnn, relu-rnn, gru, lstm."),
        ({"mode": "fast"}, "--mode is 'fast'; expected padded, packed, no-grad, tokens."),
        ({"hidden": [8, 0]}, "--hidden is 0; expected 1 or more."),
        ({"batch": [-2]}, "--batch is -2; expected 1 or more."),
        ({"threads": 0}, "--threads is 0; expected 1 or more."),
        ({"seconds": float("nan")}, "--seconds is nan; expected 0 or more."),
        ({"json_file": Path("absent/a.json")}, "its folder does not exist. Make it first."),
    ],
)
def test_what_cannot_be_used_is_a_sentence(
    option: dict[str, Any], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as left:
        bench(**option)
    assert left.value.code == 2
    assert sentence in capsys.readouterr().err


def test_no_time_of_wrong_numbers(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def differs(*case: Any, **options: Any) -> None:
        raise BpttError("bptt's and torch's layer differ")

    monkeypatch.setattr(_bench, "compare", differs)
    with pytest.raises(SystemExit) as left:
        bench()
    shown = capsys.readouterr()
    assert (left.value.code, shown.err) == (1, "bptt: bptt's and torch's layer differ\n")
    assert "×" not in shown.out
