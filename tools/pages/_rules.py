"""One page a rule, from the rule's own file, the suite's manifest and what `benchmarks/thresholds.py` measured."""

import ast
import functools
import json
import math
import re
import tomllib
from collections import Counter
from typing import Any

from _shared import ROOT, number, table

from bptt import rules

FOLDER = ROOT / "src" / "bptt" / "rules"
SUITE = ROOT / "tests" / "suite"
FAMILIES = {
    "VG": "Vanishing",
    "EG": "Exploding",
    "SA": "Saturation",
    "TR": "Truncation and padding",
    "OP": "Optimisation",
    "NF": "Not finite",
    "LA": "Layout",
}


@functools.cache
def pages() -> dict[str, str]:
    """The table of rules, and each rule's page."""
    found = rules.pages()
    made = {f"rules/{code}.md": page(each) for code, each in found.items()}
    return {"rules/index.md": index(found), **made}


def index(found: dict[str, rules.Page]) -> str:
    rows = [
        [f"[{code}]({code}.md)", each.name, each.summary, ", ".join(severities(source(each)))]
        for code, each in found.items()
    ]
    families = ", ".join(f"{letters} {name.lower()}" for letters, name in FAMILIES.items())
    return (
        "# Rules\n\nEach finding has a code, and each code a page here: what it means, from which number on it is "
        "said, where that number comes from, and what helps. `bptt explain CODE` prints the same page, `bptt rules` "
        f"this table. The letters of a code are its family: {families}.\n\n"
        + table(["code", "name", "what it says", "severity"], rows)
        + "\n\n`error`: it will not learn, or it breaks. `warning`: it costs training a lot. `advice`: worth a look. A "
        "healthy script gets neither an error nor a warning. [The suite](../suite.md) holds all of them against "
        "scripts with known faults.\n\n`--select` and `--ignore` of `bptt run` and `bptt check` take codes, names and "
        "families.\n"
    )


def source(page: rules.Page) -> str:
    return (FOLDER / f"{page.file}.py").read_text(encoding="utf-8")


def severities(text: str) -> list[str]:
    """Those that the rule's file names, the worst first.

    Example:
        >>> severities('Finding(severity="advice" if young else "error")')
        ['error', 'advice']
    """
    told = {node.value for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Constant)}
    return [each for each in rules.SEVERITIES if each in told]


def page(rule: rules.Page) -> str:
    """The docstring, with what can be read off beside each of its parts."""
    text = source(rule)
    _, *parts = re.split(r"^## ", rule.text, flags=re.MULTILINE)
    beside = {"Threshold": thresholds(rule), "Examples": examples(text)}
    sections = [f"# {rule.code} {rule.name}\n\n{sentence(rule.summary)}", glance(rule, text)]
    for part in parts:
        title = part.splitlines()[0].strip()
        sections.append(f"## {part.strip()}")
        if beside.get(title):
            sections.append(beside[title])
        if title == "Examples":
            sections.append(from_the_suite(rule.code))
    return "\n\n".join(sections) + "\n"


def sentence(summary: str) -> str:
    return summary[0].upper() + summary[1:]


def glance(rule: rules.Page, text: str) -> str:
    rows = [
        ["name", f"`{rule.name}`"],
        ["family", f"{rule.family}, {FAMILIES[rule.family].lower()}"],
        ["severity", ", ".join(severities(text))],
        ["in the terminal", f"`bptt explain {rule.code}`"],
    ]
    return table(["code", f"`{rule.code}`"], rows)


def thresholds(rule: rules.Page) -> str:
    """Numbers as they are set, and what separates the suite's faults from its healthy scripts."""
    said = []
    if rule.options:
        rows = [[f"`{name}`", number(value)] for name, value in rule.options.items()]
        said.append(table(["setting", "value"], rows))
    said += [measured(row) for row in _result("thresholds")["rules"] if row["code"] == rule.code]
    return "\n\n".join(said)


def measured(row: dict[str, Any]) -> str:
    def group(name: str, end: str) -> list[str]:
        numbers = row[name]
        least, median, most = (_or_none(numbers.get(key)) for key in ("min", "median", "max"))
        return [f"{numbers['count']} {end}", least, median, most]

    return (
        f"Measured over the suite by `python benchmarks/thresholds.py`: {row['statistic']}; a fault is "
        f"{row['fault_if']} {number(row['threshold'])}.\n\n"
        + table(
            ["scripts", "lowest", "median", "highest"],
            [group("faulty", "with the fault"), group("healthy", "without it")],
            right=True,
        )
    )


def _or_none(value: float | None) -> str:
    return "–" if value is None or math.isnan(value) else number(value)


def examples(text: str) -> str:
    """`bad()` and `good()`, which build what docs and tests use."""
    tree = ast.parse(text)
    found = [
        ast.get_source_segment(text, node) or ""
        for node in tree.body
        if isinstance(node, ast.FunctionDef) and node.name in ("bad", "good")
    ]
    return "```python\n" + "\n\n\n".join(found) + "\n```"


def from_the_suite(code: str) -> str:
    """What was said of the suite's scripts that are about this rule, and the first of them in full."""
    about = tomllib.loads((SUITE / "manifest.toml").read_text(encoding="utf-8"))[code]
    said = {row["script"]: row for row in _result("suite")["scripts"]}
    rows = []
    for has, names in (("fault", about["faulty"]), ("healthy near miss", about["healthy"])):
        for name in names:
            row = said.get(f"{code.lower()}/{name}")
            rows.append([f"`{name}`", has, _findings(row) if row else "not run yet"])
    first = about["faulty"][0]
    script = (SUITE / "scripts" / code.lower() / f"{first}.py").read_text(encoding="utf-8")
    return (
        "## In the suite\n\nScripts of `tests/suite/scripts/"
        + code.lower()
        + "`, and what `bptt run` said of each "
        "unchanged.\n\n"
        + table(["script", "has", "said"], rows)
        + f"\n\n`{first}` in full:\n\n```python\n{script.strip()}\n```"
    )


def _findings(row: dict[str, Any]) -> str:
    counts = Counter((code, severity) for code, severity in row["findings"])
    said = [
        f"{code} {severity}" + (f" ×{n}" if n > 1 else "") for (code, severity), n in counts.items()
    ]
    return ", ".join(said) or "–"


@functools.cache
def _result(name: str) -> dict[str, Any]:
    path = ROOT / "benchmarks" / "results" / f"{name}.json"
    return json.loads(path.read_text(encoding="utf-8"))["rows"]
