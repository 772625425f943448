"""Repairers as tests make them: what one has put in place outlives its monitor, so each is ended and undone."""

from typing import Any

from bptt.doctor import Monitor
from bptt.doctor._repair import Repairer

_all: list[Repairer] = []


def repair(monitor: Monitor, *say: Any) -> Repairer:
    """One at work on a monitor's run."""
    _all.append(Repairer(monitor, *say))
    return _all[-1]


def undo_all() -> None:
    """End those that were made since the last call, and take back what they have done."""
    while _all:
        repairer = _all.pop()
        repairer.close()
        repairer.undo()
