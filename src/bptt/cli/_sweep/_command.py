"""What `bptt sweep` does: reads the grid, does what is missing, prints the table, draws the map."""

import re
import sys
from collections.abc import Sequence
from itertools import product
from math import isfinite
from pathlib import Path
from typing import Any

from bptt._errors import BpttError
from bptt.cli._sweep import _table
from bptt.cli._sweep._engines import Engine, chosen
from bptt.cli._sweep._folder import Folder
from bptt.cli._sweep._grid import NONE, Point, evaluated, steps_of
from bptt.cli._task import _variant
from bptt.tasks import CELLS, entry

UNFINISHED, UNUSABLE, STOPPED = 1, 2, 130
RADII = ("0.5", "0.7", "0.9", "1", "1.1", "1.3")
LAGS = ("10", "30", "100", "300")

_COMMA = re.compile(r",(?![^(]*\))")
"""A comma outside parentheses: those inside belong to a remedy's arguments."""


def sweep(
    *,
    cells: Sequence[str],
    remedies: Sequence[str],
    tasks: Sequence[str],
    radii: Sequence[str],
    lags: Sequence[str],
    seeds: int,
    hidden: int | None,
    length: str | None,
    updates: int | None,
    out: Path,
    ray: str | None,
    processes: int | None,
) -> None:
    """Do the points that the folder does not have; leaves with 1 if some could not be finished, 2 if none can begin."""
    try:
        points = grid(
            cells=cells,
            remedies=remedies,
            tasks=tasks,
            radii=radii,
            lags=lags,
            seeds=seeds,
            hidden=hidden,
            length=length,
            updates=updates,
        )
        engine = chosen(ray, processes)
        folder = Folder(out)
        failed = _done(points, folder, engine)
        _shown(points, folder)
    except BpttError as error:
        print(f"bptt: {error}", file=sys.stderr)
        raise SystemExit(UNUSABLE) from None
    except KeyboardInterrupt:
        print("stopped by hand; the same command goes on from here")
        raise SystemExit(STOPPED) from None
    if failed:
        print(f"{failed} of {len(points)} points are not finished; the same command tries again")
        raise SystemExit(UNFINISHED)


def grid(
    *,
    cells: Sequence[str] = (),
    remedies: Sequence[str] = (),
    tasks: Sequence[str] = (),
    radii: Sequence[str] = (),
    lags: Sequence[str] = (),
    seeds: int = 1,
    hidden: int | None = None,
    length: str | None = None,
    updates: int | None = None,
) -> list[Point]:
    """All points of what was asked for: the product of its axes. Without tasks, reach over radius and lag.

    Raises:
        BpttError: a word that is not known, a number out of range, or options that do not go together.

    Example:
        >>> [str(point) for point in grid(cells=["rnn,gru"], radii=["0.9"], lags=["5"])]
        ['reach · rnn · none · radius 0.9 · seed 0', 'reach · gru · none · radius 0.9 · seed 0']
    """
    named = _words(cells) or ["rnn", "lstm"]
    cures = _words(remedies) or [NONE]
    asked = _words(tasks)
    _check(named, cures, asked, bool(_words(lags)), length, updates)
    far = () if asked else tuple(sorted(_number("--lag", w, int, 1) for w in _words(lags or LAGS)))
    pace = [_number("--radius", word, float, 0) for word in _words(radii or () if asked else radii)]
    if not asked and not pace:
        pace = [float(word) for word in RADII]
    return [
        Point(cell, cure, seed, hidden, radius, far, task, length, updates)
        for task, cell, cure, radius, seed in product(
            asked or [None], named, cures, pace or [None], range(seeds)
        )
    ]


def _check(
    cells: list[str],
    cures: list[str],
    tasks: list[str],
    lags: bool,
    length: str | None,
    updates: int | None,
) -> None:
    """Whatever can be seen to be wrong before the first point is begun."""
    for cell in cells:
        if cell not in CELLS:
            raise BpttError(f"--cell is {cell!r}, expected one of {', '.join(CELLS)}")
    for cure in cures:
        list(steps_of(cure))
    for task in tasks:
        row = entry(task)
        row.make(**_variant(row, length, None, updates, paper=False).task)
    if tasks and lags:
        raise BpttError("--lag is for sweeps of reach; a task brings its own lag: see --length")
    if not tasks and (length is not None or updates is not None):
        raise BpttError(
            "--length and --updates are for trainings; name a --task, or leave them out"
        )


def _words(told: Sequence[str]) -> list[str]:
    """What was given, split at its commas; each once, in its order."""
    split = (word.strip() for each in told for word in _COMMA.split(each))
    return list(dict.fromkeys(word for word in split if word))


def _number(option: str, word: str, kind: type[Any], least: int) -> Any:
    try:
        value = kind(word)
        usable = isfinite(value) and value >= least and value != 0
    except (ValueError, OverflowError):  # the latter: a whole number of hundreds of digits
        value, usable = None, False
    if not usable:
        expected = "a whole number of 1 or more" if kind is int else "a number above 0"
        raise BpttError(
            f"{option} is {word!r}, expected {expected}, or several with commas between"
        )
    return value


def _done(points: list[Point], folder: Folder, engine: Engine) -> int:
    """Do what is missing; how many points failed."""
    missing = folder.missing(points)
    before, failed = len(points) - len(missing), 0
    if before:
        print(f"{before} of {len(points)} points are finished: {folder.file}")
    if not missing:
        return 0
    if engine.said:
        print(engine.said)
    for n, (point, result) in enumerate(engine.each(evaluated, missing), 1):
        if isinstance(result, BaseException):
            failed += 1
            word = f"failed: {' '.join(str(result).split())[:300] or type(result).__name__}"
        else:
            folder.add(point, result)
            word = told(point, result)
        print(f"{before + n} of {len(points)} · {point}: {word}", flush=True)
    return failed


def told(point: Point, result: dict[str, Any]) -> str:
    """A point's result in a few words."""
    if "refused" in result:
        return f"left out: {result['refused']}"
    if not point.task and result["horizon"] is None:
        return "its states overflowed"
    if not point.task:
        return f"reaches {result['horizon']} of {max(point.lags)} steps"
    if result["solved"] is not None:
        return f"solved at update {result['solved']:,}"
    if result["diverged"] is not None:
        return f"diverged at update {result['diverged']:,}"
    return f"not solved after {result['updates']:,} updates, {result['errors']:.1%} wrong"


def _shown(points: list[Point], folder: Folder) -> None:
    """The table on the screen and in the folder, and the map."""
    results = folder.results(points)
    usable = [each for each in results if "refused" not in each[1]]
    if not usable:
        print("no point of this grid has a result")
        return
    reach = points[0].task is None
    lines = [_table.reach_table(usable) if reach else _table.task_table(usable)]
    lines += [f"left out: {why}" for why in _table.refusals(results)]
    text = "\n".join(lines)
    folder.write("table.txt", f"{text}\n")
    picture = _table.reach_map(usable) if reach else _table.task_map(usable)
    print(f"\n{text}\n\nResults: {folder.write('heatmap.svg', picture).parent}")
