"""What a cure is worth in learning: share of seeds that solve a long-range task, without and with it.

    nice -n 15 python benchmarks/learning.py              # about 40 minutes of one core; goes on where it was stopped
    python benchmarks/learning.py --summary               # the table of what is there

The same task, cell, optimizer, batches and number of updates, five seeds, once as torch initialises the layer and once
with the cure that a finding of vanishing gradients prescribes: chrono for gated cells, orthogonal or identity weights
for simple ones. The gradient's norm is clipped at 1 in both. A run ends when the task is solved: fewer than 1 % of the
answers wrong on fresh sequences. *Below half* is the first evaluation whose loss was under half of the loss of an
answer without memory.
"""

import argparse
from dataclasses import replace

from _trials import CHRONO, IDENTITY, NONE, ORTHOGONAL, Case, complete, saved, table

from bptt.tasks import Variant

SEEDS = 5
BASE = Variant(source="pilot runs of this benchmark", hidden=64, batch=32, lr=1e-3, clip=1.0)
ADDING = replace(BASE, task={"length": 200}, updates=3000)
ORDER = replace(BASE, task={"length": (20, 50)}, updates=4000)
COPY = replace(
    BASE, task={"length": 100}, hidden=128, batch=20, lr=5e-3, updates=12_000, sequences=500
)

CASES = (
    Case("adding", replace(ADDING, cell="gru"), (NONE, CHRONO)),
    Case("adding", replace(ADDING, cell="lstm", updates=4000), (NONE, CHRONO)),
    Case("adding", replace(ADDING, cell="rnn"), (NONE, ORTHOGONAL, IDENTITY)),
    # Simple RNNs fall back to chance after some thousand updates at a learning rate of 1e-3.
    Case(
        "temporal_order",
        replace(ORDER, cell="rnn", hidden=100, lr=3e-4),
        (NONE, ORTHOGONAL, IDENTITY),
    ),
    Case("temporal_order", replace(ORDER, cell="gru"), (NONE, CHRONO)),
    Case("temporal_order", replace(ORDER, cell="lstm"), (NONE, CHRONO)),
    Case("copy", replace(COPY, cell="gru"), (NONE, CHRONO)),
)


def main() -> None:
    """Make the runs that are not there yet; print the table."""
    parser = argparse.ArgumentParser(description="share of seeds that solve a long-range task")
    parser.add_argument("--summary", action="store_true", help="print the table of what is there")
    parser.add_argument("--task", help="runs of this task only")
    parser.add_argument("--seeds", type=int, default=SEEDS, help="how many seeds")
    told = parser.parse_args()
    rows = saved("learning") if told.summary else complete("learning", CASES, told.seeds, told.task)
    print(table(rows))


if __name__ == "__main__":
    main()
