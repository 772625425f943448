"""Keeps the speed tables in README.md and docs/fast.md equal to what benchmarks/layers.py wrote.

    python tools/speed.py            # write the tables from benchmarks/results/layers_*.json
    python tools/speed.py --check    # exit 1 if a table is not what the files say

A table stands between `<!-- speed: NAME -->` and `<!-- end -->`. NAME is `summary`, or a grid's file
without `layers_`, such as `padded`.
"""

import json
from pathlib import Path
from statistics import geometric_mean
from typing import Any

from _tables import keep, table

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"
PAGES = (ROOT / "README.md", ROOT / "docs" / "fast.md")

LAYERS = ("RNN", "ReLU RNN", "GRU", "LSTM")
GRIDS = {
    "padded": "forward and backward",
    "packed": "the same, packed sequences",
    "no_grad": "forward alone",
    "tokens": "token input, forward and backward",
}
COSTS = {
    "step_gradients": "cost of reading every step's gradient",
    "grad_clip": "cost of `grad_clip`",
}


def read(table: str) -> dict[str, Any]:
    """A result file."""
    return json.loads((RESULTS / f"layers_{table}.json").read_text(encoding="utf-8"))


def of_layer(rows: list[dict[str, Any]], layer: str) -> list[float]:
    """The ratios of one layer."""
    return [row["ratio"] for row in rows if row["layer"] == layer]


def times(ratios: list[float]) -> str:
    return f"{geometric_mean(ratios):.1f}× ({min(ratios):.2f}×)" if ratios else ""


def cost(ratios: list[float]) -> str:
    if not ratios:
        return ""
    return f"{100 * (geometric_mean(ratios) - 1):.1f} % ({100 * (max(ratios) - 1):.1f} %)"


def summary() -> str:
    """One row a case: the mean over its grid, and in brackets the worst."""
    files = {name: read(name) for name in (*GRIDS, *COSTS, "bf16", "contention")}
    rows = [
        [what, *(times(of_layer(files[name]["rows"]["rows"], layer)) for layer in LAYERS)]
        for name, what in GRIDS.items()
    ]
    gains = {
        layer: [1 / ratio for ratio in of_layer(files["bf16"]["rows"], layer)] for layer in LAYERS
    }
    rows.append(["bfloat16 products, over our float32", *(times(gains[layer]) for layer in LAYERS)])
    for name, what in COSTS.items():
        rows.append([what, *(cost(of_layer(files[name]["rows"], layer)) for layer in LAYERS)])
    for library in ("bptt", "torch"):
        slow = [r for r in files["contention"]["rows"] if r["library"] == library]
        at_most = (
            max((r["slow_down"] for r in slow if r["layer"] == n), default=0) for n in LAYERS
        )
        rows.append(
            [f"slow-down beside a second such program, {library}"]
            + [f"{x:.1f}×" if x else "" for x in at_most]
        )
    return table(["", *LAYERS], rows) + "\n\n" + machine(files["padded"])


def machine(file: dict[str, Any]) -> str:
    """Where the numbers come from."""
    return (
        f"{file['processor']}, {file['threads']} threads, torch {file['versions']['torch']}, {file['date']}. Geometric "
        "means over the grid; the\nworst stands in brackets."
    )


def grid(name: str) -> str:
    """How many times faster, by layer, hidden size and batch."""
    rows = read(name)["rows"]["rows"]
    batches = sorted({row["batch"] for row in rows})
    found = {(row["layer"], row["hidden"], row["batch"]): row["ratio"] for row in rows}
    pairs = dict.fromkeys((row["layer"], row["hidden"]) for row in rows)
    body = [
        [f"{layer}, H = {hidden}"]
        + [f"{found[key]:.2f}×" if (key := (layer, hidden, b)) in found else "" for b in batches]
        for layer, hidden in pairs
    ]
    return table(["", *(f"B = {b}" for b in batches)], body)


def made(name: str) -> str:
    """A table by its name."""
    return summary() if name == "summary" else grid(name)


def main() -> None:
    """Write or compare."""
    keep("speed.py", "speed", PAGES, made)


if __name__ == "__main__":
    main()
