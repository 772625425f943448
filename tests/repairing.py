"""Repairers as tests make them: what one has put in place outlives its monitor, so each is undone after its test."""

from typing import Any

from bptt.doctor import Monitor
from bptt.doctor._repair import Repairer

_all: list[Repairer] = []


def repair(monitor: Monitor, *say: Any) -> Repairer:
    """One at work on a monitor's run."""
    _all.append(Repairer(monitor, *say))
    return _all[-1]


def undo_all() -> None:
    """Take back what those have done that were made since the last call."""
    while _all:
        _all.pop().undo()
