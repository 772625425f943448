"""Repairs on a terminal's page: what `--fix` did to the run, what it took back, and how to make it permanent."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.text import Text

from bptt.report._clean import clean, name

STYLES = {"kept": "bold green", "undone": "bold yellow"}


def repairs(
    done: Sequence[Mapping[str, Any]], verdict: Sequence[Mapping[str, Any]]
) -> list[str | Text]:
    """The lines of all repairs; none where there are none.

    Args:
        done: `repairs` of `run.json`, in the order in which they were tried.
        verdict: the findings, to tell what no repair was kept for.

    Example:
        >>> done = [{"update": 1, "code": "VG101", "site": "rnn.l0", "remedy": "forget_bias", "args": {"value": 3.0},
        ...     "outcome": "kept", "lines": ["forget_bias(model, value=3.0)"], "reason": "", "back_to": None}]
        >>> print(*repairs(done, []), sep="\\n")
        <BLANKLINE>
        repaired VG101 · rnn.l0 · forget_bias(value=3.0) at update 1
          to keep it: forget_bias(model, value=3.0)
    """
    lines: list[str | Text] = []
    for each in done:
        if each["outcome"] != "refused":
            lines += ["", *_repair(each)]
    mended = {each["code"] for each in done if each["outcome"] == "kept"}
    tried = {each["code"] for each in done} - mended
    for finding in verdict:
        if finding["code"] in tried:
            lines += [
                "",
                f"not repaired {name(finding['code'])}: what was tried did not cure it; the finding says what to do",
            ]
    return lines


def _repair(each: Mapping[str, Any]) -> list[str | Text]:
    outcome = str(each["outcome"])
    args = ", ".join(f"{key}={value}" for key, value in each["args"].items())
    parts = [
        name(each["code"]),
        name(each["site"]),
        f"{each['remedy']}({args}) at update {each['update']:,}",
    ]
    if each.get("back_to") is not None:
        parts.append(f"weights as after update {each['back_to']:,}")
    head = Text("repaired" if outcome == "kept" else outcome, style=STYLES.get(outcome, "bold"))
    head.append(clean(" " + " · ".join(part for part in parts if part)))
    lines: list[str | Text] = [head]
    if each["outcome"] == "kept" and each["lines"]:
        first, *rest = each["lines"]
        lines += [
            clean(f"  to keep it: {first}"),
            *(clean(f"              {line}") for line in rest),
        ]
    if each["reason"]:
        lines.append(clean(f"  {each['reason']}"))
    return lines
