"""How far a gradient reaches in fresh layers, before and after each remedy: cells × remedies × sequence lengths.

    python benchmarks/horizons.py            measures, writes results/horizons.json, prints the table
    python benchmarks/horizons.py --page     writes the table into docs/remedies.md, from the JSON
    python benchmarks/horizons.py --check    says whether the page holds the JSON's table

I = 8, H = 128, B = 64, inputs N(0, 1), cross-entropy of ten random labels on the last step; float64; one seed. The
horizon is design's: the lag up to which the credit curve, the geometric mean over samples of what is left of a gradient
in the joint state, stays at a thousandth or more. "all" means that it never falls below within the sequence.
"""

import json
import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from _report import RESULTS, write
from torch import Tensor, nn
from torch.nn import functional as F

import bptt
from bptt.remedies import remedy

I, H, B = 8, 128, 64
LENGTHS = (100, 784, 2000)
PAGE = Path(__file__).parents[1] / "docs" / "remedies.md"
BEGIN, END = "<!-- table: benchmarks/horizons.py -->", "<!-- end -->"

Steps = tuple[tuple[str, dict[str, Any]], ...]
PLAIN: Steps = ()
LAG = "T"
"""Stands for the length of the sequence."""

ROWS: dict[str, tuple[type[nn.RNNBase], tuple[Steps, ...]]] = {
    "tanh RNN": (
        nn.RNN,
        (
            PLAIN,
            (("orthogonal", {}),),
            (("spectral_radius", {"radius": 1.0}),),
            (("identity_relu", {}),),
            (("to_relu", {}),),
            (("to_gru", {"lag": LAG}),),
            (("to_lstm", {}),),
            (("to_lstm", {"lag": LAG}),),
        ),
    ),
    "GRU": (
        nn.GRU,
        (
            PLAIN,
            (("orthogonal", {}),),
            (("forget_bias", {"value": 1.0}),),
            (("forget_bias", {"value": 3.0}),),
            (("chrono", {"lag": LAG}),),
            (("to_lstm", {"lag": LAG}),),
        ),
    ),
    "LSTM": (
        nn.LSTM,
        (
            PLAIN,
            (("orthogonal", {}),),
            (("forget_bias", {"value": 1.0}),),
            (("orthogonal", {}), ("forget_bias", {"value": 1.0})),
            (("forget_bias", {"value": 3.0}),),
            (("chrono", {"lag": LAG}),),
        ),
    ),
}


def named(steps: Steps) -> str:
    """`orthogonal, forget_bias(value=1.0)`."""
    words = []
    for name, args in steps:
        told = ", ".join(f"{key}={value}" for key, value in args.items())
        words.append(f"`{name}({told})`" if told else f"`{name}`")
    return ", ".join(words) or "as torch draws it"


def measured(make: Callable[..., nn.RNNBase], steps: Steps, length: int) -> dict[str, Any]:
    """Horizon, rate, and what is left at the far end."""
    torch.manual_seed(0)
    rnn, readout = make(I, H).double(), nn.Linear(H, 10).double()
    x, labels = torch.randn(length, B, I).double(), torch.randint(10, (B,))
    for name, args in steps:
        told: dict[str, Any] = {k: length if v == LAG else v for k, v in args.items()}
        remedy(name).apply(rnn, **told)

    def loss(output: tuple[Tensor, Any]) -> Tensor:
        return F.cross_entropy(readout(output[0][-1]), labels)

    site = bptt.measure(rnn, x, loss=loss)["l0"]
    assert site.credit is not None
    assert site.horizon is not None
    last = float(site.credit[-1])
    return {
        "horizon": int(site.horizon),
        "all": int(site.horizon) >= length - 1,
        "at_1e-7": int(site.horizon_at(1e-7) or 0),
        "rate": None if site.rate is None or not math.isfinite(site.rate) else site.rate,
        "far_end": last if math.isfinite(last) else None,
    }


def table(rows: list[dict[str, Any]]) -> str:
    """The page's table, from the JSON's rows."""
    heads = [f"T = {length}" for length in LENGTHS]
    lines = [f"| cell | remedy | {' | '.join(heads)} | left at the far end, T = 784 |"]
    lines.append("|---|---|" + "--:|" * (len(heads) + 1))
    for row in rows:
        cells = [
            "all" if row[str(length)]["all"] else f"{row[str(length)]['horizon']}"
            for length in LENGTHS
        ]
        far = row["784"]["far_end"]
        left = (
            "-"
            if far is None
            else ("0" if far == 0 else f"{far:.0e}" if far < 0.01 else f"{far:.2g}")
        )
        lines.append(f"| {row['cell']} | {row['remedy']} | {' | '.join(cells)} | {left} |")
    return "\n".join(lines)


def page(rows: list[dict[str, Any]]) -> tuple[str, str]:
    """The page as it is, and as it should be."""
    text = PAGE.read_text(encoding="utf-8")
    head, rest = text.split(BEGIN, 1)
    tail = rest.split(END, 1)[1]
    return text, f"{head}{BEGIN}\n{table(rows)}\n{END}{tail}"


def main(arguments: list[str]) -> int:
    """Measure, or bring the page up to date, or check it."""
    if arguments[:1] in (["--page"], ["--check"]):
        rows = json.loads((RESULTS / "horizons.json").read_text(encoding="utf-8"))["rows"]
        found, right = page(rows)
        if arguments[0] == "--page":
            PAGE.write_text(right, encoding="utf-8")
        elif found != right:
            print(f"{PAGE.name} differs from results/horizons.json; run with --page")
            return 1
        return 0
    rows = []
    for cell, (make, options) in ROWS.items():
        for steps in options:
            row: dict[str, Any] = {"cell": cell, "remedy": named(steps)}
            for length in LENGTHS:
                row[str(length)] = measured(make, steps, length)
            rows.append(row)
            print(cell, row["remedy"], *(row[str(n)]["horizon"] for n in LENGTHS), flush=True)
    write("horizons", rows)
    print(table(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
