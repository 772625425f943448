"""Findings on a terminal's page: what is wrong, where, since when, why, what to do; the worst first."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.text import Text

from bptt.report._clean import clean, name

STYLES = {"error": "bold red", "warning": "bold yellow", "advice": "bold cyan"}


def findings(verdict: Sequence[Mapping[str, Any]]) -> list[str | Text]:
    """The lines of all findings; none where there are none.

    Example:
        >>> finding = {"code": "VG101", "name": "vanishing-through-time", "site": "rnn.l0", "severity": "error",
        ...     "message": "a gradient reaches 11 of 784 steps.", "update": 1, "persists": True,
        ...     "prescriptions": [{"remedy": "forget_bias", "args": {"value": 3.0}}]}
        >>> print(*findings([finding]), sep="\\n")
        <BLANKLINE>
        error VG101 vanishing-through-time · rnn.l0 · since update 1
          a gradient reaches 11 of 784 steps.
          cure: forget_bias(value=3.0)
        <BLANKLINE>
        `bptt explain VG101` says more.
    """
    if not verdict:
        return []
    lines: list[str | Text] = []
    for finding in verdict:
        lines += ["", _title(finding), *(f"  {line}" for line in _lines(finding))]
    codes = list(dict.fromkeys(finding["code"] for finding in verdict))
    return [*lines, "", f"`bptt explain {name(codes[0])}` says more."]


def title(finding: Mapping[str, Any]) -> tuple[str, str]:
    """A finding in a row: its severity, and the rest.

    Example:
        >>> title({"code": "VG101", "severity": "error", "site": "rnn.l0", "update": 3})
        ('error', ' VG101 · rnn.l0 · since update 3')
    """
    parts = [f" {name(finding['code'])} {name(finding.get('name', ''))}".rstrip()]
    if finding.get("site"):
        parts.append(name(finding["site"]))
    if finding.get("update") is not None:
        since = "since" if finding.get("persists", True) else "at"
        parts.append(f"{since} update {finding['update']:,}")
    if 0 < finding.get("confidence", 1.0) < 0.75:
        parts.append("not sure")
    return name(finding.get("severity")), " · ".join(parts)


def _title(finding: Mapping[str, Any]) -> Text:
    severity, rest = title(finding)
    return Text(severity, style=STYLES.get(severity, "bold")).append(rest, style="bold")


def _lines(finding: Mapping[str, Any]) -> list[str]:
    lines = [clean(line) for line in str(finding.get("message", "")).splitlines()[:3]]
    cures = [_cure(each) for each in finding.get("prescriptions") or ()]
    if cures:
        lines.append(clean("cure: " + ", or ".join(cures[:3])))
    folded = finding.get("consequences") or ()
    if folded:
        said = dict.fromkeys(f"{each['code']} {each.get('name', '')}".strip() for each in folded)
        lines.append(clean("and therefore: " + ", ".join(said)))
    return lines


def _cure(prescription: Mapping[str, Any]) -> str:
    args = ", ".join(f"{key}={value}" for key, value in (prescription.get("args") or {}).items())
    return f"{prescription['remedy']}({args})" if args else str(prescription["remedy"])
