"""`bptt sweep`: the grid, what is done at its points, files that are gone on with, engines that agree."""

import json
import math
import os
import subprocess
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import bptt
from bptt.cli._sweep import _command, _engines, _grid, _heatmap, _table
from bptt.cli._sweep._folder import Folder
from bptt.cli._sweep._grid import Point
from bptt.integrations import ray_sweep
from bptt.remedies import orthogonal, spectral_radius
from bptt.tasks import CELLS

Run = Callable[..., subprocess.CompletedProcess[str]]

REACH: dict[str, Any] = {
    "cells": ["rnn,gru"],
    "remedies": [],
    "tasks": [],
    "radii": ["0.5,1"],
    "lags": ["3", "8"],
    "seeds": 1,
    "hidden": 5,
    "length": None,
    "updates": None,
    "ray": None,
    "processes": 1,
}


SCRIPT = """
import sys
from pathlib import Path
from bptt.cli._sweep import _command
from bptt.cli._sweep._grid import evaluated

def tried(point):
    if point.cell == "gru" and point.radius == 1:
        raise MemoryError("no room")
    return evaluated(point)

if __name__ == "__main__":
    _command.evaluated = tried
    _command.sweep(
        cells=["rnn,gru"], remedies=[], tasks=[], radii=["0.5,1"], lags=["3", "8"], seeds=1, hidden=5, length=None,
        updates=None, out=Path(sys.argv[1]), ray="local" if sys.argv[1] == "ray" else None, processes=2,
    )
"""


def swept(out: Path, **told: Any) -> int:
    """The exit code; 0 where it simply returns."""
    try:
        options: dict[str, Any] = REACH | {"out": out} | told
        _command.sweep(**options)
    except SystemExit as left:
        return int(str(left.code))
    return 0


def results(out: Path) -> dict[str, Any]:
    lines = (out / "results.jsonl").read_text(encoding="utf-8").splitlines()
    return {row["key"]: row["result"] for row in map(json.loads, lines)}


def test_the_grid_is_the_product_of_its_axes() -> None:
    points = _command.grid(
        cells=["gru", "lstm, gru"], remedies=["none,chrono(lag=9)"], radii=["1"], seeds=2
    )
    assert [(p.cell, p.remedy, p.radius, p.seed, p.lags) for p in points] == [
        (cell, remedy, 1.0, seed, (10, 30, 100, 300))
        for cell in ("gru", "lstm")
        for remedy in ("none", "chrono(lag=9)")
        for seed in (0, 1)
    ]
    assert len({point.key for point in points}) == len(points)
    trained = _command.grid(tasks=["adding,copy"], cells=["gru"], length="20", updates=3)
    assert [(p.task, p.radius, p.lags, p.length) for p in trained] == [
        ("adding", None, (), "20"),
        ("copy", None, (), "20"),
    ]


def test_a_point_is_what_measure_says() -> None:
    point = Point("rnn", "orthogonal", seed=3, hidden=6, radius=0.8, lags=(2, 7))
    found = _grid.evaluated(point)
    torch.manual_seed(3)
    layer = CELLS["rnn"](8, 6).double()
    orthogonal(layer, seed=3)
    spectral_radius(layer, radius=0.8)
    x = torch.randn(8, 16, 8, dtype=torch.float64)
    reader = torch.randn(6, dtype=torch.float64)
    site = bptt.measure(layer, x, loss=lambda out: (out[0][-1] @ reader).mean())["l0"]
    assert site.credit is not None
    assert found["horizon"] == site.horizon
    for lag, log in zip((2, 7), found["log10_left"], strict=True):
        assert 10**log == pytest.approx(float(site.credit[lag]), rel=1e-5)


def test_a_linear_recurrence_loses_what_its_radius_says() -> None:
    """ReLU from the identity: where nothing is negative, a step multiplies by the radius, and nothing else."""
    point = Point("relu-rnn", "identity_relu", hidden=64, radius=0.5, lags=(1, 2))
    near, far = _grid.evaluated(point)["log10_left"]
    # Units that are off take their share, so a step keeps half or less, and never more.
    assert near <= math.log10(0.5) + 1e-6
    assert far <= 2 * math.log10(0.5) + 1e-6


def test_what_leaves_the_numbers_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A state of the size of 2 ** 1,100 is no number of float64."""
    told = {"cells": ["relu-rnn"], "radii": ["4"]}
    assert swept(tmp_path, **told, lags=["2,1100"], hidden=64) == 0
    said = capsys.readouterr().out
    assert "radius 4 · seed 0: its states overflowed" in said
    assert (tmp_path / "table.txt").read_text(encoding="utf-8").split()[-3:] == [*("-", "-", "-")]


def test_random_numbers_and_threads_are_left_alone() -> None:
    threads, before = torch.get_num_threads(), torch.get_rng_state()
    _grid.evaluated(Point("rnn", hidden=3, lags=(2,), radius=0.9))
    assert torch.get_num_threads() == threads
    assert torch.equal(torch.get_rng_state(), before)


def test_a_training_is_that_of_bptt_task() -> None:
    found = _grid.evaluated(Point("gru", "chrono", task="adding", length="6", updates=2, hidden=4))
    assert (found["solved"], found["updates"]) == (None, 2)
    assert found["chance"] == pytest.approx(1 / 6)
    assert 0 < found["loss"] < 10


def test_what_is_finished_is_not_done_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert swept(tmp_path, radii=["0.5"]) == 0
    kept = (tmp_path / "results.jsonl").read_bytes()
    done: list[Point] = []

    def evaluated(point: Point) -> Any:
        done.append(point)
        return _grid.evaluated(point)

    monkeypatch.setattr(_command, "evaluated", evaluated)
    capsys.readouterr()
    assert swept(tmp_path) == 0
    assert [point.radius for point in done] == [1.0, 1.0]
    assert (tmp_path / "results.jsonl").read_bytes().startswith(kept)
    said = capsys.readouterr().out
    assert said.startswith("2 of 4 points are finished")
    assert "3 of 4 · reach · rnn · none · radius 1 · seed 0: reaches" in said
    assert swept(tmp_path) == 0
    assert len(done) == 2
    # The table and the map are of the points that were asked for.
    assert (tmp_path / "table.txt").read_text(encoding="utf-8").count("\n") == 5
    texts = [each.text for each in ET.parse(tmp_path / "heatmap.svg").getroot().iter() if each.text]
    assert {"rnn", "gru", "0.5", "1", "3", "8"} <= set(texts)


def test_a_line_cut_short_is_done_again(tmp_path: Path) -> None:
    assert swept(tmp_path) == 0
    whole = results(tmp_path)
    file = tmp_path / "results.jsonl"
    file.write_bytes(file.read_bytes()[:-9])
    assert len(Folder(tmp_path).rows) == 3
    assert swept(tmp_path) == 0
    assert results(tmp_path) == whole


def test_a_point_that_fails_leaves_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def evaluated(point: Point) -> Any:
        if point.cell == "rnn" and point.radius == 1:
            raise MemoryError("no room")
        return _grid.evaluated(point)

    monkeypatch.setattr(_command, "evaluated", evaluated)
    assert swept(tmp_path) == 1
    said = capsys.readouterr().out
    assert "radius 1 · seed 0: failed: no room" in said
    assert said.splitlines()[-1].startswith("1 of 4 points are not finished")
    assert len(results(tmp_path)) == 3
    monkeypatch.undo()
    assert swept(tmp_path) == 0
    assert len(results(tmp_path)) == 4


def test_stopped_by_hand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[Point] = []

    def evaluated(point: Point) -> Any:
        calls.append(point)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return _grid.evaluated(point)

    monkeypatch.setattr(_command, "evaluated", evaluated)
    assert swept(tmp_path) == 130
    assert len(results(tmp_path)) == 2


def test_what_makes_no_sense_is_left_out_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert swept(tmp_path, remedies=["none,chrono"], radii=["1"]) == 0
    said = capsys.readouterr().out
    assert said.count("left out: rnn with chrono: chrono does not fit") == 1
    assert len(_table.reach_table(usable(tmp_path)).splitlines()) == 4


def usable(out: Path) -> list[tuple[Point, dict[str, Any]]]:
    points = _command.grid(
        cells=["rnn,gru"], remedies=["none,chrono"], radii=["1"], lags=["3,8"], hidden=5
    )
    return [each for each in Folder(out).results(points) if "refused" not in each[1]]


@pytest.mark.parametrize("engine", ["ray", "plain"])
def test_engines_give_the_same_numbers(engine: str, python: Run, tmp_path: Path) -> None:
    """On Ray and on plain processes, and a point that fails there leaves the others."""
    (tmp_path / "sweeps.py").write_text(SCRIPT, encoding="utf-8")
    done = python("-W", "error", "sweeps.py", engine)
    assert (done.returncode, done.stderr) == (1, "")
    assert "reach · gru · none · radius 1 · seed 0: failed: " in done.stdout
    assert "no room" in done.stdout
    found = results(tmp_path / engine)
    assert len(found) == 3
    assert swept(tmp_path / "here") == 0
    here = results(tmp_path / "here")
    assert {key: here[key] for key in found} == found


def test_without_ray_one_sentence_and_plain_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_sweep, "installed", lambda: False)
    engine = _engines.chosen(None, None)
    assert engine.ray is None
    assert engine.said.endswith("going on with plain processes")
    assert _engines.chosen(None, 2).said == ""
    monkeypatch.setattr(ray_sweep, "installed", lambda: True)
    assert _engines.chosen(None, None) == _engines.Engine("local", None)
    assert _engines.chosen("auto", None) == _engines.Engine("auto", None)


@pytest.mark.parametrize(
    ("told", "sentence"),
    [
        ({"cells": ["gur"]}, "--cell is 'gur', expected one of rnn, relu-rnn, gru, lstm"),
        ({"remedies": ["chorno"]}, "there is no remedy 'chorno'; did you mean chrono?"),
        ({"tasks": ["addng"], "lags": []}, "there is no task 'addng'; did you mean adding?"),
        ({"tasks": ["adding"]}, "--lag is for sweeps of reach"),
        ({"tasks": ["adding"], "lags": [], "length": "1"}, "adding has length 1, expected 2"),
        ({"length": "9"}, "--length and --updates are for trainings"),
        ({"radii": ["0.5,fast"]}, "--radius is 'fast', expected a number above 0"),
        ({"radii": ["nan"]}, "--radius is 'nan', expected a number above 0"),
        ({"radii": ["0"]}, "--radius is '0', expected a number above 0"),
        ({"lags": ["0"]}, "--lag is '0', expected a whole number of 1 or more"),
        ({"lags": ["2.5"]}, "--lag is '2.5', expected a whole number"),
        ({"processes": 0}, "--processes is 0, expected 1 or more"),
        ({"ray": "auto", "processes": 2}, "--processes is for this machine, and --ray is auto"),
    ],
)
def test_what_cannot_be_swept_is_a_sentence(
    told: dict[str, Any], sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert swept(tmp_path, **told) == 2
    said = capsys.readouterr().err
    assert said.startswith("bptt: ")
    assert sentence in said
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_used(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "file"
    file.write_text("", encoding="utf-8")
    assert swept(file) == 2
    assert f"--out is {file}, expected a folder" in capsys.readouterr().err
    (tmp_path / "results.jsonl").write_text("{}\n", encoding="utf-8")
    assert swept(tmp_path) == 2
    assert "line 1, is no result of a sweep: b'{}'" in capsys.readouterr().err


def test_a_full_disk_is_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    assert swept(tmp_path) == 2
    assert "could not be written: No space left on device" in capsys.readouterr().err
    assert (tmp_path / "results.jsonl").read_bytes() == b"", (
        "no half of a line for the next to follow"
    )


def test_tables_take_seeds_together() -> None:
    points = _command.grid(cells=["rnn"], radii=["1"], lags=["4"], seeds=2)
    runs = [{"horizon": 4, "log10_left": [-1.0]}, {"horizon": 2, "log10_left": [-3.0]}]
    table = _table.reach_table(list(zip(points, runs, strict=True)))
    assert table.splitlines()[1].split() == ["rnn", "none", "1", "3", "1.0e-02"]
    runs[0]["log10_left"] = [None]
    table = _table.reach_table(list(zip(points, runs, strict=True)))
    assert table.splitlines()[1].endswith(" -")
    tasks = _command.grid(cells=["gru"], tasks=["adding"], seeds=2)
    ends = [{"solved": 700, "errors": 0.004}, {"solved": None, "errors": 0.25}]
    table = _table.task_table(list(zip(tasks, ends, strict=True)))
    assert table.splitlines()[1].split() == [
        *("adding", "gru", "none", "as", "drawn", "1", "of", "2", "700", "0.4%", "25.0%")
    ]
    squares = ET.fromstring(_table.task_map(list(zip(tasks, ends, strict=True))))
    assert "1/2" in [each.text for each in squares.iter()]


def test_colours() -> None:
    scale = _heatmap.Scale("", -1.0, 1.0, _heatmap.STOPS_DIVERGING)
    assert scale.colour(0.0) == (247, 247, 247)
    assert scale.colour(-9.0) == scale.colour(-1.0) == (33, 102, 172)
    assert scale.colour(0.5) == (244, 165, 130)
    assert scale.colour(None) == (221, 221, 221)
    panel = _heatmap.Panel("<&>", ["a"], ["b"], [[0.0]], [["1 < 2"]])
    texts = [e.text for e in ET.fromstring(_heatmap.svg([panel], scale, "x", "y")).iter()]
    assert {"<&>", "1 < 2"} <= set(texts)
