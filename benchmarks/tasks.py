"""Every task at its small size, three seeds, without a remedy and with chrono: what `bptt task --table` prints.

    nice -n 15 python benchmarks/tasks.py                 # about ten minutes of one core; goes on where it was stopped

Writes `results/tasks.json` with the curves, and what is left of them without, as the package's own data file.
"""

import argparse
import json
from dataclasses import replace
from typing import Any

from _trials import CHRONO, NONE, ORTHOGONAL, Case, Rows, complete, table

from bptt.tasks import entry
from bptt.tasks import table as tasks
from bptt.tasks._compare import MEASURED

SEEDS = 3
CASES = (
    *(Case(name, row.small, (NONE, CHRONO)) for name, row in tasks().items()),
    # The published cell of the temporal order task, with the cure for a simple RNN.
    Case(
        "temporal_order",
        replace(entry("temporal_order").small, cell="rnn", hidden=100, lr=3e-4),
        (NONE, ORTHOGONAL),
    ),
)


def kept(rows: Rows) -> list[dict[str, Any]]:
    """One row a task, variant and remedy; of each seed the update at which it was solved, and the last evaluation."""
    groups: dict[str, dict[str, Any]] = {}
    for key, row in sorted(rows.items()):
        group = groups.setdefault(
            key.rsplit(", seed", 1)[0],
            {"task": row["task"], "remedy": row["cure"], "variant": row["variant"], "runs": []},
        )
        last = row["curve"][-1] if row["curve"] else None
        group["runs"].append({"seed": row["seed"], "solved": row["solved"], "last": last})
    return list(groups.values())


def main() -> None:
    """Make the runs that are not there yet; write the package's file; print the tables."""
    parser = argparse.ArgumentParser(description="every task at its small size")
    parser.add_argument("--task", help="runs of this task only")
    parser.add_argument("--seeds", type=int, default=SEEDS, help="how many seeds")
    told = parser.parse_args()
    rows = complete("tasks", CASES, told.seeds, told.task)
    content = {"command": "python benchmarks/tasks.py", "rows": kept(rows)}
    MEASURED.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    print(table(rows))


if __name__ == "__main__":
    main()
