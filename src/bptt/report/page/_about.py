"""What the page says about itself: what was damaged, what was not measured, what is left out."""

from collections.abc import Mapping, Sequence
from typing import Any

from bptt.doctor import Run
from bptt.report.page._markup import SENTENCE, Markup, clean, count, tag
from bptt.report.page._thin import PICTURED

MOST = 200


def about(run: Run, told: Mapping[str, Any]) -> list[Markup]:
    """The last part of a page.

    Args:
        run: what the run folder holds.
        told: the digest that is shown of it.
    """
    parts: list[Markup] = []
    if run.damage:
        damage = [clean(each, SENTENCE) for each in run.damage]
        parts += [tag("h3", "Damaged, and left out"), _list(damage)]
    notes = [
        _note(clean(note.get("subject", ""), 120), clean(note.get("reason", ""), SENTENCE))
        for note in run.notes
    ]
    if notes:
        parts += [tag("h3", "Not measured, or only in part"), _list(notes)]
    return [*parts, tag("h3", "What is shown of what there is"), _list(left_out(told))]


def _note(subject: str, reason: str) -> str:
    return reason if reason.startswith(subject) else f"{subject}: {reason}"


def _list(sentences: Sequence[str]) -> Markup:
    return tag("ul", *(tag("li", each) for each in sentences[:MOST]))


def left_out(told: Mapping[str, Any]) -> list[str]:
    """What the page leaves out, in sentences with numbers.

    Example:
        >>> left_out({"sites": [], "training": [{"from": 1, "update": 5}]})[1]
        'Losses and gradient norms of up to 5 neighbouring updates are one point: least, mean and largest.'
    """
    sites, rows = told["sites"], told["training"]
    said = ["Numbers have four significant digits; the run folder holds them in full."]
    if sites:
        said.append(_probes(sites))
        said.append(
            "Curves by lag or step have at most 64 points; longer ones were thinned when they were measured."
        )
    size = max((row["update"] - row["from"] + 1 for row in rows), default=1)
    if size > 1:
        said.append(
            f"Losses and gradient norms of up to {count(size)} neighbouring updates are one point: "
            "least, mean and largest."
        )
    if len(sites) > PICTURED:
        all_ = count(len(sites))
        said.append(f"Pictures are of the first {PICTURED} of {all_} sites; the table names all.")
    return said


def _probes(sites: Sequence[Mapping[str, Any]]) -> str:
    curve = max(len(site["curve"]["updates"]) for site in sites)
    detail = max(len(site["gradients"]["updates"]) for site in sites)
    measured = max(site["measured"] for site in sites)
    looks = max(site["looks"] for site in sites)
    if curve < looks or detail < measured:
        return (
            f"Of up to {count(looks)} probes a site, the map and the credit curve show {count(curve)}, evenly "
            f"chosen with the first and the last; pictures by step show {count(detail)}."
        )
    return f"All {count(looks)} probe{'s' * (looks != 1)} of each site are drawn."
