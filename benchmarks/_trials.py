"""What the benchmarks of learning share: cases, one row a run, and files that are gone on with where they were left."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import torch
from _report import RESULTS, write

from bptt.remedies import remedy
from bptt.tasks import Run, Variant, entry, train

Rows = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Cure:
    """A remedy's name and what it is told, besides the task's lag and the run's seed."""

    name: str = ""
    args: tuple[tuple[str, Any], ...] = ()

    def __str__(self) -> str:
        told = ", ".join(f"{name}={value}" for name, value in self.args)
        return f"{self.name}({told})" if told else self.name or "as torch initialises"

    def apply(self, model: torch.nn.Module, optimizer: torch.optim.Optimizer, **known: Any) -> None:
        """Apply it, with those of `known` that it can be told."""
        row = remedy(self.name)
        told = {name: value for name, value in known.items() if name in row.arguments}
        row.apply(model, optimizer, **(told | dict(self.args)))


NONE, CHRONO, ORTHOGONAL = Cure(), Cure("chrono"), Cure("orthogonal")
IDENTITY = Cure("identity_relu", (("std", 0.1),))


@dataclass(frozen=True)
class Case:
    """A task, how it is trained, and the cures that are put to the test."""

    name: str
    variant: Variant
    cures: tuple[Cure, ...]


def complete(file: str, cases: Sequence[Case], seeds: int, task: str | None = None) -> Rows:
    """Make the runs that `results/FILE.json` does not have yet, and write it after each; all its rows.

    Runs of cases that are no longer there, or have other settings now, are dropped.
    """
    torch.set_num_threads(1)
    kinds = {_kind(key_of(case, cure, 0)) for case in cases for cure in case.cures}
    rows = {key: row for key, row in saved(file).items() if _kind(key) in kinds}
    for key, case, cure, seed in _missing(rows, cases, seeds, task):
        rows[key] = one(case, cure, seed)
        write(file, list(rows.values()))
        solved = rows[key]["solved"]
        print(f"{key}: {f'solved at {solved}' if solved else 'not solved'}", flush=True)
    return rows


def saved(file: str) -> Rows:
    """The runs of the result file, by their keys."""
    path = RESULTS / f"{file}.json"
    if not path.exists():
        return {}
    return {row["key"]: row for row in json.loads(path.read_text(encoding="utf-8"))["rows"]}


def _missing(
    rows: Rows, cases: Sequence[Case], seeds: int, task: str | None
) -> Iterator[tuple[str, Case, Cure, int]]:
    """Seed by seed, so that a benchmark cut short has something of everything."""
    for seed in range(seeds):
        for case in cases:
            for cure in case.cures:
                key = key_of(case, cure, seed)
                if key not in rows and task in (None, case.name):
                    yield key, case, cure, seed


def key_of(case: Case, cure: Cure, seed: int) -> str:
    """Task, sizes, settings, cure and seed in words; a run made with other settings has another key."""
    v = case.variant
    sizes = ", ".join(f"{name} {value}" for name, value in v.task.items())
    clip = "unclipped" if v.clip is None else f"clip {v.clip:g}"
    return (
        f"{case.name}, {sizes}: {v.cell}, {v.hidden} units, {v.optimizer} {v.lr:g}, batch {v.batch}, {clip}, "
        f"{v.updates} updates, {cure}, seed {seed}"
    )


def _kind(key: str) -> str:
    """A key without its seed."""
    return key.rsplit(", seed", 1)[0]


def one(case: Case, cure: Cure, seed: int) -> dict[str, Any]:
    """One run as a row."""
    task = entry(case.name).make(**case.variant.task)

    def apply(model: torch.nn.Module, optimizer: torch.optim.Optimizer) -> None:
        cure.apply(model, optimizer, lag=task.lag, seed=seed)

    run = train(task, case.variant, seed=seed, remedy=apply if cure.name else None)
    settings = {name: value for name, value in vars(case.variant).items() if name != "source"}
    row = {
        "key": key_of(case, cure, seed),
        "cure": str(cure) if cure.name else None,
        **run.to_dict(),
    }
    return row | {"below_half": below_half(run), "variant": settings}


def below_half(run: Run) -> int | None:
    """The first update whose evaluation loss is under half the loss of an answer without memory."""
    return next((point.update for point in run.curve if point.loss < run.chance / 2), None)


def table(rows: Rows) -> str:
    """Two lines a task, cell and cure."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for row in rows.values():
        groups.setdefault(_kind(row["key"]), []).append(row)
    lines = []
    for name, group in sorted(groups.items()):
        lines.append(
            f"{name}\n    solved {_share(group, 'solved')}; below half of chance {_share(group, 'below_half')}; "
            f"diverged {sum(row['diverged'] is not None for row in group)}; "
            f"{median(row['seconds'] for row in group):.0f} s a run"
        )
    return "\n".join(lines)


def _share(group: list[dict[str, Any]], what: str) -> str:
    updates = [row[what] for row in group if row[what] is not None]
    when = f", median update {median(updates):g}" if updates else ""
    return f"{len(updates)} of {len(group)}{when}"
