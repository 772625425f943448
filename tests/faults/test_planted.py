"""A bug planted at every door of the package: the training ends as without it, and one line says what failed."""

import inspect
import os
import pty
import termios
import threading
import time
from typing import Any

import pytest

import planting
from bptt.cli._live import Live
from planting import ARMOUR, SCENES, Place, harm, places, stepped
from scripts import ROOT

SHORT = ("monitor, optimizer", "bptt run, by hand")
"""`benchmarks/faults.py` plants in all scenes, and in every function instead of those at the door."""


def doors() -> list[tuple[str, Place]]:
    """Every function that torch or a script calls, each in the first scene that comes by it."""
    found: dict[Place, str] = {}
    for scene in SHORT:
        for place, door in places(scene).items():
            if door and (place.file, place.name) not in ARMOUR:
                found.setdefault(place, scene)
    return [(scene, place) for place, scene in found.items()]


@pytest.mark.parametrize("part", range(3))
def test_a_bug_at_any_door_costs_the_watching_and_no_more(part: int) -> None:
    wanted = {scene: SCENES[scene][1](lambda: None) for scene in SHORT}
    planted = doors()
    assert len(planted) > 12, "hooks of modules, of optimizers, of the graph, and what ends a run"
    planted = planted[part::3]
    done = {f"{each.file} {each.name}": harm(scene, each, wanted[scene]) for scene, each in planted}
    assert {name: each for name, each in done.items() if each is not None} == {}


def test_what_stands_at_the_doors_is_short() -> None:
    """No code can keep its own first line from failing: what keeps faults in is a page of code, and read by all."""
    found = {(p.file, p.name): p.line for scene in SHORT for p in places(scene)}
    assert set(ARMOUR) <= set(found), "an entry that is not reached is no longer needed"
    for file, name in sorted(ARMOUR):
        lines = (ROOT / "src" / "bptt" / file).read_text(encoding="utf-8").splitlines()
        block = inspect.getblock([f"{line}\n" for line in lines[found[file, name] - 1 :]])
        assert len(block) <= 30, (file, name)


def test_a_planted_bug_is_seen_by_this_test() -> None:
    """What raises in an entry that nothing keeps in does harm, and is counted."""
    scene = "monitor, optimizer"
    place = next(p for p in places(scene) if p.name == "_announced.<locals>.call")
    assert (
        harm(scene, place, stepped(lambda: None))
        == f"it reached the training: Bug: planted in {place.name}"
    )


def test_a_page_that_cannot_be_made() -> None:
    wanted, scene = planting.by_hand(lambda: None), "bptt run, by hand"
    inside = [place for place in places(scene) if place.file.startswith("report/page/")]
    assert len(inside) > 5
    for place in inside[:: max(len(inside) // 3, 1)]:
        assert harm(scene, place, wanted) is None, place


def test_a_panel_that_cannot_be_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its thread ends, the terminal is given back, and `trouble` says why."""
    monkeypatch.setenv("TERM", "xterm")
    said: list[Any] = []
    monkeypatch.setattr(threading, "excepthook", said.append)
    monkeypatch.setattr("bptt.report._live._in_foreground", lambda fd: True)
    lead, follow = pty.openpty()
    termios.tcsetwinsize(follow, (24, 80))
    with os.fdopen(follow, "w") as stream:
        live = Live("train.py", stream)
        live.begin()
        assert live.trouble is None
        monkeypatch.setattr("bptt.report._live.draw", _fails)
        until = time.monotonic() + 10
        while live.trouble is None and time.monotonic() < until:
            time.sleep(0.01)
        monkeypatch.undo()
        live.close()
    os.close(lead)
    assert said == []
    assert live.trouble == (
        "the live panel could not be drawn (ZeroDivisionError: planted); the training was not affected"
    )


def _fails(*_: object) -> str:
    raise ZeroDivisionError("planted")
