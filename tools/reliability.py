"""Keeps the tables in docs/reliability.md equal to what the benchmarks wrote.

    python tools/reliability.py            # write the tables from benchmarks/results
    python tools/reliability.py --check    # exit 1 if a table is not what the files say

A table stands between `<!-- reliability: NAME -->` and `<!-- end -->`.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from _tables import keep, table

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"
PAGE = ROOT / "docs" / "reliability.md"
PARTS = ("kills", "workers", "tests", "injections", "plants")


def read(name: str) -> dict[str, Any]:
    """A result file."""
    return json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))


def machine(name: str) -> str:
    """Where a file's numbers come from."""
    file = read(name)
    return f"`{file['command']}`; {file['processor']}, torch {file['versions']['torch']}, {file['date']}."


def faults() -> str:
    known = read("faults")["rows"]
    rows = [row for part in PARTS for row in known.get(part, [])]
    body: list[list[object]] = [
        [row["fault"], f"{row['tried']:,}", f"{row['survived']:,}", len(row["lost"])]
        for row in rows
    ]
    tried, lost = sum(row["tried"] for row in rows), sum(len(row["lost"]) for row in rows)
    body.append(["**all**", f"**{tried:,}**", f"**{tried - lost:,}**", f"**{lost}**"])
    return table(["fault", "tried", "survived", "lost"], body) + "\n\n" + machine("faults")


def fuzz() -> str:
    native = read("fuzz_native")["rows"]
    body: list[list[object]] = [
        [f"`{row['target']}`", f"{row['cases']:,}", len(row["findings"])]
        for row in read("fuzz")["rows"]
    ]
    body.append(["the native core", f"{native['cases']:,}", native["findings"]])
    return table(["what is fuzzed", "cases", "findings left open"], body) + "\n\n" + machine("fuzz")


def soak() -> str:
    sizes = read("soak")["rows"]
    each = list(sizes.values())
    lines: dict[str, Callable[[dict[str, Any]], str]] = {
        "minutes": lambda found: f"{found['minutes']:.0f}",
        "updates": lambda found: f"{found['updates']:,}",
        "one update": lambda found: f"{6e4 * found['minutes'] / found['updates']:.1f} ms",
        "resident memory past the first tenth, lowest to highest": lambda found: (
            "{:.0f} to {:.0f} MiB".format(*found["resident_mib"])
        ),
        "the monitor's share of the time; its budget": lambda found: (
            f"{found['share']:.1%}; {found['budget']:.0%}"
        ),
        "run folder, the largest it was": lambda found: (
            f"{sum(found['largest_bytes'].values()) / 1e6:.2f} MB"
        ),
    }
    body: list[list[object]] = [[name, *map(line, each)] for name, line in lines.items()]
    return table(["soak", *sizes], body) + "\n\n" + machine("soak")


TABLES: dict[str, Callable[[], str]] = {"faults": faults, "fuzz": fuzz, "soak": soak}


def main() -> None:
    """Write or compare."""
    keep("reliability.py", "reliability", (PAGE,), lambda name: TABLES[name]())


if __name__ == "__main__":
    main()
