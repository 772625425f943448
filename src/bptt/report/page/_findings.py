"""Findings, each with its numbers, its cures, what follows from it, and the rule's own page folded in."""

from collections.abc import Mapping, Sequence
from typing import Any

from bptt.report.page._markup import SENTENCE, Markup, clean, count, name, number, tag
from bptt.report.page._rule_page import inline, rule_page
from bptt.rules import pages

Finding = Mapping[str, Any]
WORDS = {"error": "Error", "warning": "Warning", "advice": "Advice"}
SHAPES = {
    "error": "M2 2H14V14H2Z",
    "warning": "M8 1L15 14H1Z",
    "advice": "M2 8a6 6 0 1 0 12 0a6 6 0 1 0 -12 0",
}
MOST = 100
UNSURE = 0.75


def findings(verdict: Sequence[Finding]) -> Markup | None:
    """All findings, the worst first, as the rules ranked them; None where there are none."""
    if not verdict:
        return None
    left = len(verdict) - MOST
    more = (
        tag("p", f"{count(left)} more stand in findings.json.", class_="quiet")
        if left > 0
        else None
    )
    explained: set[str] = set()
    return tag(
        "div", *(_finding(each, explained) for each in verdict[:MOST]), more, class_="findings"
    )


def _finding(finding: Finding, explained: set[str]) -> Markup:
    severity = str(finding.get("severity"))
    severity = severity if severity in WORDS else "advice"
    code = clean(finding.get("code"), 12)
    badge = tag(
        "span", tag("svg", tag("path", d=SHAPES[severity]), viewBox="0 0 16 16", aria_hidden="true"),
        WORDS[severity], class_="badge",
    )  # fmt: skip
    title = tag("h3", badge, tag("span", code, class_="code"), " ", clean(finding.get("name", "")))
    parts = [title, tag("p", *_where(finding), class_="where")]
    parts += [
        tag("p", *inline(clean(text[:1].upper() + text[1:], SENTENCE)))
        for text in str(finding.get("message", "")).splitlines()[:3]
    ]
    cures = [cure(each) for each in _list(finding.get("prescriptions"))[:6]]
    if cures:
        parts.append(tag("p", tag("b", "Cure: "), *_or(cures), class_="cure"))
    folded = [
        f"{each.get('code')} {each.get('name', '')}" for each in _list(finding.get("consequences"))
    ]
    if folded:
        said = ", ".join(clean(each) for each in dict.fromkeys(folded))
        parts.append(tag("p", tag("b", "And therefore: "), said, "."))
    parts += [_evidence(finding), _page(code, explained)]
    return tag(
        "article", *(each for each in parts if each is not None), class_=f"finding {severity}"
    )


def _where(finding: Finding) -> list[object]:
    parts: list[object] = [name(finding["site"]) if finding.get("site") else "the run as a whole"]
    if isinstance(finding.get("update"), int):
        stays = finding.get("persists", True)
        parts.append(f" · {'since' if stays else 'at'} update {count(finding['update'])}")
        if isinstance(finding.get("last"), int) and not stays:
            parts.append(f", last seen at {count(finding['last'])}")
    confidence = finding.get("confidence")
    if isinstance(confidence, (int, float)) and 0 < confidence < UNSURE:
        parts.append(" · not sure")
    return parts


def cure(prescription: Finding) -> Markup:
    """A remedy with its arguments, as it is called.

    Example:
        >>> cure({"remedy": "forget_bias", "args": {"value": 3.0}})
        '<code>forget_bias(value=3.0)</code>'
    """
    args = prescription.get("args")
    told = ", ".join(
        f"{key}={value}" for key, value in (args.items() if isinstance(args, Mapping) else ())
    )
    return tag(
        "code",
        clean(f"{prescription.get('remedy')}({told})" if told else prescription.get("remedy"), 120),
    )


def _or(cures: Sequence[Markup]) -> list[object]:
    return [part for n, each in enumerate(cures) for part in (", or " if n else None, each)]


def _evidence(finding: Finding) -> Markup | None:
    evidence = finding.get("evidence")
    if not isinstance(evidence, Mapping) or not evidence:
        return None
    rows = [
        tag("div", tag("dt", clean(key)), tag("dd", _value(value)))
        for key, value in list(evidence.items())[:24]
    ]
    return tag(
        "details", tag("summary", "What it was judged by"), tag("dl", *rows, class_="evidence")
    )


def _value(value: Any) -> str:
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return clean(value, 200)
    if isinstance(value, int):
        return count(value)
    return number(value) if isinstance(value, float) else clean(value, 200)


def _page(code: str, explained: set[str]) -> Markup | None:
    """The rule's page, where this is the first finding of its code."""
    page = pages().get(code)
    if page is None:
        return None
    if code in explained:
        return tag("p", tag("a", f"About {code}: above", href=f"#about-{code}"), class_="quiet")
    explained.add(code)
    summary = tag("summary", f"About {code}: ", clean(page.summary, 200))
    return tag("details", summary, rule_page(page), id=f"about-{code}", class_="about")


def _list(value: Any) -> list[Mapping[str, Any]]:
    if not isinstance(value, (list, tuple)):
        return []
    return [each for each in value if isinstance(each, Mapping)]
