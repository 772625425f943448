"""From evidence to findings: every rule is asked, and what has one root cause is told as one finding.

`CAUSES` says which findings explain which. A finding that is explained by another one is folded under it when the
cause began no later; a cause of the run as a whole explains at every site.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from bptt.doctor._gather import module_of
from bptt.rules import SEVERITIES, Evidence, Finding, Options, Rule

CAUSES: dict[str, tuple[str, ...]] = {
    "VG101": ("LA701", "TR401", "SA301", "SA302", "SA303", "OP501", "NF603"),
    "VG102": ("LA701", "TR401", "TR402", "VG101", "SA301", "SA302", "SA303", "OP501", "OP502"),
    "VG103": ("LA701", "TR401", "SA303", "SA301", "SA302", "OP501"),
    "EG201": ("NF603", "LA701", "OP503", "OP501", "SA301"),
    "EG202": ("NF603", "EG201", "OP503", "OP501"),
    "EG203": ("EG201", "OP503"),
    "SA301": ("NF603", "OP503", "OP501"),
    "SA302": ("NF603", "OP503", "OP501"),
    "SA303": ("NF603", "OP503", "OP501", "EG201"),
    "TR402": ("TR401",),
    "TR403": ("LA701",),
    "OP501": ("NF603", "OP503", "EG201"),
    "OP502": ("TR401", "SA303", "SA302", "SA301"),
    "NF601": ("NF603", "OP503", "EG201", "OP501"),
    "NF602": ("NF603", "NF601", "OP503", "EG201", "OP501"),
}
"""What may be at the root of what, the likeliest first."""


ONLY_IF_EARLIER = {("EG201", "SA301"), ("OP501", "EG201"), ("EG201", "SA303"), ("OP501", "OP503")}
"""Where each may be the cause of the other, the second of a pair is one of the first only if it began later."""


def judge(
    evidence: Evidence, rules: Sequence[Rule], options: Mapping[str, Options] | None = None
) -> list[Finding]:
    """All findings, folded, the worst first.

    Args:
        evidence: of a run, or of one batch.
        rules: those to ask.
        options: by code, thresholds that differ from a rule's own.
    """
    found: list[Finding] = []
    for rule in rules:
        told = {**rule.options, **(options or {}).get(rule.code, {})}
        found += rule.check(evidence, told)
    return sorted(fold(one_a_site(found)), key=_rank)


def one_a_site(findings: list[Finding]) -> list[Finding]:
    """Of findings of one code at one site, the worst."""
    best: dict[tuple[str, str], Finding] = {}
    for finding in sorted(findings, key=_rank):
        best.setdefault((finding.code, finding.site), finding)
    return list(best.values())


def together(verdicts: Mapping[int, Sequence[Finding]], size: int) -> list[Finding]:
    """One verdict of several processes, by their numbers: what one of them found is found.

    Causes are looked for anew: a value that is not finite reaches all processes through the gradients they share, and
    only the one whose data it came from knows why. A finding that some of the `size` processes lack says whose it is.
    """
    whose: dict[tuple[str, str], list[int]] = {}
    flat = [(n, each) for n, found in verdicts.items() for root in found for each in _flat(root)]
    for n, each in flat:
        whose.setdefault((each.code, each.site), []).append(n)
    kept = []
    for each in one_a_site([finding for _, finding in flat]):
        by = sorted(set(whose[each.code, each.site]))
        evidence = each.evidence if len(by) == size else {**each.evidence, "processes": by}
        kept.append(replace(each, evidence=evidence))
    return sorted(fold(kept), key=_rank)


def _flat(finding: Finding) -> list[Finding]:
    """A finding and what was folded under it, each for itself."""
    below = [each for child in finding.consequences for each in _flat(child)]
    return [replace(finding, consequences=()), *below]


def fold(findings: list[Finding]) -> list[Finding]:
    """Put every finding that another one explains under that one."""
    roots: dict[int, Finding | None] = {id(each): _cause(each, findings) for each in findings}
    under: dict[int, list[Finding]] = {}
    for each in findings:
        root, seen = roots[id(each)], {id(each)}
        while root is not None and roots[id(root)] is not None and id(root) not in seen:
            seen.add(id(root))
            root = roots[id(root)]
        if root is not None and id(root) not in seen:
            under.setdefault(id(root), []).append(each)
        else:
            roots[id(each)] = None
    return [
        _with(each, under[id(each)]) if id(each) in under else each
        for each in findings
        if roots[id(each)] is None
    ]


def _with(root: Finding, consequences: list[Finding]) -> Finding:
    """What follows from a cause makes it as bad as that."""
    worst = min((root, *consequences), key=lambda each: SEVERITIES.index(each.severity))
    return replace(root, severity=worst.severity, consequences=tuple(consequences))


def _cause(finding: Finding, findings: list[Finding]) -> Finding | None:
    for code in CAUSES.get(finding.code, ()):
        for other in findings:
            if other.code == code and _explains(other, finding):
                return other
    return None


def _explains(cause: Finding, effect: Finding) -> bool:
    near = not cause.site or not effect.site or module_of(cause.site) == module_of(effect.site)
    # Of a run's processes one may know the data, and another a gradient that it shared with that one.
    near = near or (cause.code, effect.code) in {("NF603", "NF601"), ("NF603", "NF602")}
    first = cause.update is None or effect.update is None or cause.update <= effect.update
    if (cause.code, effect.code) in ONLY_IF_EARLIER:
        first = first and cause.update != effect.update
    # Units without slope starve weights that an optimizer owns; that none owns them has other reasons.
    starved = effect.evidence.get("owned", True) and effect.evidence.get("trains", True)
    near = near and (effect.code != "OP502" or cause.code == "TR401" or starved)
    weaker = cause.severity == "advice" and effect.severity != "advice"
    if (cause.code, effect.code) == ("SA302", "OP502"):
        weaker = cause.severity != "error" or not _without_gradient(effect)
    return near and first and not weaker


def _without_gradient(frozen: Finding) -> bool:
    """Whether weights stand still for want of a gradient alone, and not for want of an optimizer."""
    known = frozen.evidence
    return bool(known.get("trains") and known.get("owned") and not known.get("with_grad"))


def _rank(finding: Finding) -> tuple[int, bool, float, str, str]:
    began = math.inf if finding.update is None else float(finding.update)
    severity = SEVERITIES.index(finding.severity)
    return (severity, not finding.persists, began, finding.code, finding.site)


def as_dict(finding: Finding) -> dict[str, Any]:
    """A finding as `findings.json` holds it."""
    return {
        "code": finding.code,
        "name": finding.name,
        "site": finding.site,
        "severity": finding.severity,
        "message": finding.message,
        "evidence": dict(finding.evidence),
        "update": finding.update,
        "persists": finding.persists,
        "confidence": finding.confidence,
        "prescriptions": [{"remedy": p.remedy, "args": p.args} for p in finding.prescriptions],
        "consequences": [as_dict(each) for each in finding.consequences],
    }


def errors(findings: Sequence[Mapping[str, Any]]) -> bool:
    """Whether one of the findings, as `findings.json` holds them, is an error."""
    return any(each["severity"] == "error" for each in findings)
