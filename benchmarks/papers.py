"""Two published results at sizes that a processor gets through: Pascanu et al. (2013), Tallec & Ollivier (2018).

    nice -n 15 python benchmarks/papers.py               # about 40 minutes of one core; goes on where it was stopped
    python benchmarks/papers.py --task temporal_order    # a third of it
    python benchmarks/papers.py --summary                # the table of what is there

Temporal order: a tanh RNN with the paper's optimizer, learning rate, batch and clipping; with clipping alone, with the
paper's regulariser beside it, and from an orthogonal matrix. Copy: an LSTM with RMSProp, once with a forget gate's bias
of 1 and once with chrono of the paper's longest memory, 3 T / 2. `docs/papers.md` says what is different; `python
docs/papers.py` brings it up to date.
"""

import argparse
from dataclasses import replace

from _trials import NONE, ORTHOGONAL, Case, Cure, complete, saved, table

from bptt.tasks import Variant

SEEDS = 3
OMEGA = Cure("omega", (("weight", 2.0),))
FORGET = Cure("forget_bias", (("value", 1.0),))
DELAY = 100

ORDER = Variant(
    source="Pascanu, Mikolov & Bengio (2013), at lengths 20 to 50 and with 100 units",
    task={"length": (20, 50)},
    cell="rnn",
    hidden=100,
    batch=20,
    optimizer="sgd",
    lr=0.01,
    clip=1.0,
    updates=30_000,
    every=500,
    sequences=10_000,
)
COPY = Variant(
    source="Tallec & Ollivier (2018), at a fifth of their shorter delay",
    task={"length": DELAY},
    cell="lstm",
    hidden=128,
    batch=50,
    optimizer="rmsprop",
    lr=1e-3,
    clip=1.0,
    updates=6000,
    every=250,
    sequences=500,
)
CASES = (
    Case("temporal_order", ORDER, (NONE, OMEGA, ORTHOGONAL)),
    Case("copy", COPY, (FORGET, Cure("chrono", (("lag", 3 * DELAY // 2),)))),
    # The shorter delay shows the difference earlier.
    Case(
        "copy",
        replace(COPY, task={"length": 50}, updates=4000),
        (FORGET, Cure("chrono", (("lag", 75),))),
    ),
)


def main() -> None:
    """Make the runs that are not there yet; print the table."""
    parser = argparse.ArgumentParser(description="published results at small sizes")
    parser.add_argument("--summary", action="store_true", help="print the table of what is there")
    parser.add_argument("--task", help="runs of this task only")
    parser.add_argument("--seeds", type=int, default=SEEDS, help="how many seeds")
    told = parser.parse_args()
    rows = saved("papers") if told.summary else complete("papers", CASES, told.seeds, told.task)
    print(table(rows))


if __name__ == "__main__":
    main()
