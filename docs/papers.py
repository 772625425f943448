"""Every table on docs/papers.md and docs/sweeps.md, from the files of benchmarks/results.

    python docs/papers.py           writes the tables into the pages
    python docs/papers.py --check   says which differ

A table stands between `<!-- table: NAME -->` and `<!-- end -->`.
"""

import json
import re
import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

from bptt.tasks import Variant, entry
from bptt.tasks._compare import differences, variant_of

PAGES = tuple(Path(__file__).parent / name for name in ("papers.md", "sweeps.md"))
RESULTS = Path(__file__).parents[1] / "benchmarks" / "results"
BLOCK = re.compile(r"(?P<head><!-- table: (?P<name>\w+) -->\n).*?(?=<!-- end -->)", re.DOTALL)

FIGURE = {
    "tanh RNN": ("falls exponentially", "falls"),
    "IRNN": ("falls exponentially", "falls"),
    "LSTM, forget bias 1": ("falls exponentially", "falls"),
    "uRNN": ("flat", "falls, much less than the others"),
}
"""What the paper says of its picture, at the start and after 100 updates. It has no numbers."""


def saved(file: str) -> list[dict[str, Any]]:
    """The rows of a result file; none where it has not been made yet."""
    path = RESULTS / f"{file}.json"
    return json.loads(path.read_text(encoding="utf-8"))["rows"] if path.exists() else []


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Markdown."""
    names = list(head)
    lines = [names, ["---"] * len(names), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def figure4() -> str:
    """Published words beside two measured numbers a panel."""

    def told(found: dict[str, Any]) -> list[str]:
        return [f"{found['factor']:.3f}", f"{found['left']:.1e}"]

    head = ("model", "start: published", "per step", "left at step 1")
    head = (*head, "100 updates: published", "per step", "left at step 1")
    rows = []
    for row in saved("figure4"):
        before, after = FIGURE.get(row["model"], ("not in it", "not in it"))
        rows.append([row["model"], before, *told(row["0"]), after, *told(row["100"])])
    return table(head, rows)


def groups(task: str) -> list[list[dict[str, Any]]]:
    """Runs of benchmarks/papers.py that differ in nothing but their seed."""
    found: dict[str, list[dict[str, Any]]] = {}
    for row in saved("papers"):
        if row["task"] == task:
            found.setdefault(row["key"].rsplit(", seed", 1)[0], []).append(row)
    return list(found.values())


def measured(task: str, paper: Variant) -> str:
    """One row a set-up: remedy, what came of it, and what is different from the paper's settings."""
    rows = []
    for runs in groups(task):
        variant = variant_of(runs[0]["variant"])
        rows.append([
            runs[0]["cure"] or "none",
            share(runs, "solved"),
            share(runs, "below_half"),
            ", ".join(f"{run['curve'][-1][3]:.1%}" for run in runs if run["curve"]),
            "; ".join(differences(alike(paper, variant, task), variant)) or "nothing",
        ])  # fmt: skip
    if not rows:
        return "Not measured yet: `python benchmarks/papers.py`."
    head = ("remedy", "seeds that solved it", "below half of chance", "wrong at the end")
    return table((*head, "different from the paper"), rows)


def alike(paper: Variant, ours: Variant, task: str) -> Variant:
    """The paper's settings; what is not known of Tallec & Ollivier's is taken from ours, so that it is not compared."""
    if task != "copy":
        return paper
    unknown = ("updates", "sequences", "clip", "clip_by")
    return replace(paper, **{name: getattr(ours, name) for name in unknown})


def share(runs: list[dict[str, Any]], what: str) -> str:
    """`2 of 3, median update 1,500`."""
    updates = [run[what] for run in runs if run[what] is not None]
    when = f", median update {median(updates):,.0f}" if updates else ""
    return f"{len(updates)} of {len(runs)}{when}"


def order() -> str:
    """Temporal order with simple RNNs."""
    return measured("temporal_order", entry("temporal_order").paper)


def copy() -> str:
    """The copy problem with LSTMs."""
    paper = replace(entry("copy").paper, task={"length": 500}, hidden=128, batch=50)
    return measured("copy", paper)


def phase() -> str:
    """How far the gradient reaches, a column a cell."""
    found: dict[str, dict[str, str]] = {}
    for row in saved("phase"):
        point, result = json.loads(row["key"]), row["result"]
        chrono = point["remedy"] != "none"
        name = f"{point['cell']}, {point['remedy']}" if chrono else point["cell"]
        horizon, longest = result["horizon"], max(point["lags"])
        reached = "all" if horizon == longest else f"{horizon}"
        found.setdefault(f"{point['radius']:g}", {})[name] = reached
    heads = list(next(iter(found.values()), {}))
    return table(("radius", *heads), [[radius, *row.values()] for radius, row in found.items()])


TABLES = {"figure4": figure4, "order": order, "copy": copy, "phase": phase}


def rewritten(text: str) -> str:
    """The page with every table made anew."""
    return BLOCK.sub(lambda b: f"{b['head']}\n{TABLES[b['name']]()}\n\n", text)


def main() -> None:
    """Write the pages, or compare."""
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        fresh = rewritten(text)
        if "--check" not in sys.argv:
            page.write_text(fresh, encoding="utf-8")
        elif fresh != text:
            sys.exit(f"{page.name}: not as measured; run python docs/papers.py")


if __name__ == "__main__":
    main()
