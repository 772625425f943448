"""The suite's tables as text: the confusion table, what went wrong, docs/suite.md and the result file behind it."""

import json
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from suite.runner import Row

HEAD = """# The suite

Small training scripts in plain PyTorch, each a fault or a healthy near miss of one, in `tests/suite/scripts/`. Every
script runs unchanged under `bptt run`. A fault counts as found when a finding carries its own code; a healthy script
must get no error and no warning (advice is allowed). This page is made by `python tests/suite/runner.py --write`.
"""


def confusion(rows: "Sequence[Row]") -> str:
    """Rows: what the script has. Columns: what was said. `none` is a healthy script, or silence."""
    counts = Counter((row.about if row.faulty else "none", row.said) for row in rows)
    codes = [*sorted({code for pair in counts for code in pair} - {"none"}), "none"]
    head = "has \\ said".ljust(11) + " ".join(code.rjust(5) for code in codes)
    lines = [head]
    for truth in codes:
        cells = [counts[truth, said] for said in codes]
        if any(cells):
            lines.append(truth.ljust(11) + " ".join(str(c or "·").rjust(5) for c in cells))
    return "\n".join(lines)


def summary(rows: "Sequence[Row]") -> str:
    """The totals, and a line for each script that did not go as the manifest says."""
    faulty, healthy = [r for r in rows if r.faulty], [r for r in rows if not r.faulty]
    found, quiet = sum(r.right for r in faulty), sum(r.right for r in healthy)
    lines = [
        f"{found} of {len(faulty)} faults found under their own code; "
        f"{quiet} of {len(healthy)} healthy scripts without an error or warning"
    ]
    for row in rows:
        if not row.right:
            said = ", ".join(f"{code} {severity}" for code, severity in row.findings) or "nothing"
            folded = ", ".join(code for code, _ in row.folded)
            lines.append(
                f"  {row.script}: expected {row.about if row.faulty else 'no alarm'}, said {said}"
                + (f"; folded: {folded}" if folded else "")
                + (f"; {row.trouble}" if row.trouble else "")
            )
    return "\n".join(lines)


def table(rows: "Sequence[Row]", others: dict[str, dict[str, list[str]]]) -> str:
    """One line a script; beside it what the rules of other tools say of the same run."""
    tools = sorted({tool for said in others.values() for tool in said})
    lines = [
        "| script | has | bptt | folded under it |" + "".join(f" {tool} |" for tool in tools),
        "|---|---|---|---|" + "---|" * len(tools),
    ]
    for row in rows:
        said = ", ".join(
            f"**{code}**" if code == row.about and row.faulty else f"{code} ({severity})"
            for code, severity in dict.fromkeys(row.findings)
        )
        folded = ", ".join(dict.fromkeys(code for code, _ in row.folded))
        theirs = [", ".join(others.get(row.script, {}).get(tool, [])) or "–" for tool in tools]
        cells = [
            f"`{row.script}`",
            row.about if row.faulty else "healthy",
            said or "–",
            folded or "–",
        ]
        lines.append("| " + " | ".join([*cells, *theirs]) + " |")
    return "\n".join(lines)


def write(root: Path, rows: "Sequence[Row]", budget: float) -> None:
    """docs/suite.md and benchmarks/results/suite.json."""
    sys.path.insert(0, str(root / "benchmarks"))
    from dataclasses import asdict

    from _report import write as result  # pyright: ignore[reportMissingImports]

    path = result("suite", {"budget": budget, "scripts": [asdict(r) for r in rows]})
    content = json.loads(path.read_text(encoding="utf-8"))
    content["command"] = (
        "python tests/suite/runner.py --write"  # it takes every script for a benchmark
    )
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    print("written to", path)
    known = root / "benchmarks" / "results" / "others.json"
    others: dict[str, Any] = {}
    if known.exists():
        others = json.loads(known.read_text(encoding="utf-8"))["rows"]
    said = {script: tools["said"] for script, tools in others.get("scripts", {}).items()}
    parts = [
        HEAD,
        f"## Confusion table\n\nBudget {100 * budget:g} % of the time.\n\n```text\n{confusion(rows)}\n```\n",
        summary(rows) + "\n",
        *([_others(others["totals"])] if others else []),
        f"## Every script\n\n{table(rows, said)}\n",
    ]
    page = root / "docs" / "suite.md"
    page.write_text("\n".join(parts), encoding="utf-8")
    print("written to", page)


def _others(totals: dict[str, dict[str, int]]) -> str:
    lines = [
        "## What the rules of other tools say of the same runs",
        "",
        "Their rules for gradients, weights and updates, with their own thresholds, computed by",
        "`benchmarks/others.py` on the same scripts. *Right kind*: a vanishing rule on a vanishing fault, an exploding",
        "or not-finite rule on an exploding or non-finite one, and so on.",
        "",
        "| tool | faults it says anything of | of the right kind | healthy scripts it raises an alarm on |",
        "|---|---|---|---|",
    ]
    for tool, total in totals.items():
        lines.append(
            f"| {tool} | {total['any']} of {total['faulty']} | {total['kind']} of {total['faulty']} "
            f"| {total['false']} of {total['healthy']} |"
        )
    return "\n".join(lines) + "\n"
