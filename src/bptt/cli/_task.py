"""`bptt task`: a long-range task with its published settings or small ones, with or without a remedy."""

import ast
import json
import re
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from bptt import __version__
from bptt._errors import BpttError
from bptt._files import put_out
from bptt.remedies import Remedy, remedy
from bptt.tasks import (
    CELLS,
    Entry,
    Point,
    Run,
    Task,
    TaskError,
    Variant,
    compared,
    entry,
    table,
    train,
)

NOT_SOLVED, UNUSABLE, STOPPED = 1, 2, 130


def tasks() -> None:
    """One line a task: its name, and what is to be done."""
    width = max(map(len, table()))
    for name, row in table().items():
        print(f"{name.ljust(width)}  {row.page.splitlines()[0]}")


def published() -> None:
    """Published and measured numbers, with the differences in set-up."""
    print(compared())


def task(
    name: str,
    *,
    length: str | None,
    cell: str | None,
    remedies: list[str],
    seed: int,
    updates: int | None,
    paper: bool,
    out: Path | None,
) -> None:
    """Train on the task and print the curve; exit code 1 if it is not solved, 2 if it cannot be run, 130 at Ctrl-C."""
    try:
        if out is not None:
            _check_folder(out)
        row = entry(name)
        variant = _variant(row, length, cell, updates, paper)
        subject = row.make(**variant.task)
        cures = [parsed(word) for word in remedies]
        cure = _all_of(cures, subject, seed)
        print(_head(subject, variant, seed))
        run, stopped = _trained(subject, variant, seed, cure)
        print("stopped by hand" if stopped else _end(run, subject))
        if out is not None:
            _save(out, run, variant, remedies)
    except BpttError as error:
        print(f"bptt: {error}", file=sys.stderr)
        raise SystemExit(UNUSABLE) from None
    raise SystemExit(STOPPED if stopped else 0 if run.solved is not None else NOT_SOLVED)


def _trained(
    task: Task, variant: Variant, seed: int, cure: Callable[[Any, Any], None]
) -> tuple[Run, bool]:
    """The run, and whether it was stopped by Ctrl-C; its curve up to there is kept."""
    points: list[Point] = []

    def watch(point: Point) -> None:
        points.append(point)
        _say(point)

    try:
        return train(task, variant, seed=seed, remedy=cure, watch=watch), False
    except KeyboardInterrupt:
        return Run(task.name, task.chance_loss(), seed, points), True


def parsed(word: str) -> tuple[Remedy, dict[str, Any]]:
    """A remedy and its arguments, from `chrono` or `chrono(lag=100)`, as findings print them.

    Raises:
        BpttError: there is no such remedy, or what stands in the parentheses cannot be read.
    """
    name, _, inside = word.partition("(")
    if not inside:
        return remedy(name), {}
    try:
        call = ast.parse(word.strip(), mode="eval").body
        if not isinstance(call, ast.Call) or call.args:
            raise ValueError
        args = {str(each.arg): ast.literal_eval(each.value) for each in call.keywords}
    except (
        SyntaxError,
        ValueError,
        RecursionError,
        MemoryError,
    ):  # the latter two: nested too deeply
        raise BpttError(
            f"{word[:200]!r} is no remedy with arguments; expected {name}(name=value, …)"
        ) from None
    return remedy(name.strip()), args


def _variant(
    row: Entry, length: str | None, cell: str | None, updates: int | None, paper: bool
) -> Variant:
    variant = row.paper if paper else row.small
    if length is not None:
        if "length" not in row.arguments:
            raise TaskError(f"{row.name} has no length; leave --length out")
        variant = replace(variant, task=variant.task | {"length": _length(length)})
    if cell is not None:
        if cell not in CELLS:
            raise TaskError(f"--cell is {cell!r}, expected one of {', '.join(CELLS)}")
        variant = replace(variant, cell=cell)
    if updates is not None:
        variant = replace(variant, updates=updates, every=min(variant.every, max(updates, 1)))
    return variant


def _length(word: str) -> int | tuple[int, int]:
    ends = word.split("-")
    if not 1 <= len(ends) <= 2 or not all(re.fullmatch("[0-9]{1,9}", end) for end in ends):
        raise TaskError(
            f"--length is {word[:200]!r}, expected a number of steps, or a range such as 50-200"
        )
    return (int(ends[0]), int(ends[1])) if len(ends) == 2 else int(ends[0])


def _all_of(
    cures: list[tuple[Remedy, dict[str, Any]]], task: Task, seed: int
) -> Callable[[Any, Any], None]:
    """Every remedy in turn; a lag and a seed that were not given are the task's and the run's."""

    def apply(model: Any, optimizer: Any) -> None:
        for row, args in cures:
            known: dict[str, Any] = {"lag": task.lag, "seed": seed}
            known = {key: value for key, value in known.items() if key in row.arguments}
            change = row.apply(model, optimizer, **(known | args))
            print("\n".join(change.said))

    return apply


def _head(task: Task, variant: Variant, seed: int) -> str:
    sizes = " · ".join(f"{key} {_plain(value)}" for key, value in variant.task.items())
    clip = (
        "no clipping"
        if variant.clip is None
        else f"clipped at {variant.clip:g} by {variant.clip_by}"
    )
    return (
        f"{task.name} · {sizes} · {variant.cell}, {variant.hidden} units · {variant.optimizer} {variant.lr:g}, "
        f"batch {variant.batch}, {clip} · at most {variant.updates:,} updates · seed {seed}\n"
        f"an answer without memory has loss {task.chance_loss():.4g}; solved below {task.allowed:.0%} of wrong answers"
    )


def _plain(value: Any) -> str:
    return "-".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _say(point: Point) -> None:
    print(f"update {point.update:,}: loss {point.loss:.4g}, {point.errors:.1%} wrong", flush=True)


def _end(run: Run, task: Task) -> str:
    if run.diverged is not None:
        return f"stopped at update {run.diverged:,}: loss or gradient were not finite · {run.seconds:.0f} s"
    last = run.curve[-1]
    if run.solved is not None:
        return f"solved at update {run.solved:,} · {run.seconds:.0f} s"
    memory = "" if last.loss < 0.95 * run.chance else ", no better than without memory"
    return f"not solved after {last.update:,} updates{memory} · {run.seconds:.0f} s"


def _check_folder(out: Path) -> None:
    if not out.parent.is_dir() or out.is_dir():
        raise BpttError(f"--out is {out}, expected a file in a folder that exists")


def _save(out: Path, run: Run, variant: Variant, remedies: list[str]) -> None:
    content = {
        "version": 1,
        "bptt": __version__,
        "remedies": remedies,
        "variant": vars(variant),
        "run": run.to_dict(),
    }
    try:
        put_out(out, (json.dumps(content, indent=1) + "\n").encode())
    except OSError as error:
        raise BpttError(f"{out} could not be written: {error.strerror}") from None
