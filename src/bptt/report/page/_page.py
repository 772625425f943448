"""The report of one run: verdict, findings, training, sites, remedies, and what the page leaves out."""

from collections.abc import Mapping, Sequence
from typing import Any

from bptt.doctor import Run
from bptt.report.page._about import about
from bptt.report.page._digest import digest
from bptt.report.page._document import document
from bptt.report.page._findings import findings
from bptt.report.page._markup import Markup, clean, name, tag
from bptt.report.page._remedies import remedies
from bptt.report.page._sites import overview, sections, worst
from bptt.report.page._thin import PICTURED
from bptt.report.page._training import lanes, loss, norms, span
from bptt.report.page._verdict import CUT_SHORT, headline, lead, repairs, watched

Row = Mapping[str, Any]
SEVERITIES = ("error", "warning", "advice")


def page(run: Run) -> str:
    """The report of a run as one HTML file.

    Args:
        run: what the run folder holds.

    Returns:
        The text of a file that loads nothing from anywhere. Without its script it shows every site at its last probe;
        the script chooses sites and updates, zooms, and reads numbers off the pictures.

    Example:
        >>> from pathlib import Path
        >>> page(Run(Path("runs/a"), {"script": "train.py"})).partition("<h1>")[2][:24]
        'Nothing is wrong that th'
    """
    told = digest(run.records, run.spectra, run.updates)
    sites, verdict = told["sites"], [each for each in run.findings if isinstance(each, Mapping)]
    limit, first = threshold(run), worst(sites, verdict)
    tried = remedies(repairs(run.run), run.records)
    body = [
        tag("a", "Skip to the findings", href="#findings", class_="skip"),
        _head(run.run, told, verdict),
        tag(
            "main",
            part("findings", "Findings", findings(verdict) or tag("p", "None.", class_="quiet")),
            _training(run, told, verdict, repairs(run.run)),
            _sites(sites, limit, first),
            part("remedies", "Remedies tried", tried) if tried else None,
            part("about", "About this page", *about(run, told)),
        ),
        footer("bptt report DIR"),
    ]
    data = {
        "first": first,
        "threshold": limit,
        "sites": sites[:PICTURED],
        "training": told["training"],
    }
    return document(f"bptt · {script(run.run)}", body, data)


def footer(command: str) -> Markup:
    """The last line, with the command that makes the page anew."""
    said = "Made by bptt from run folders alone; "
    return tag("footer", tag("p", said, tag("code", command), " makes it anew."))


def part(id: str, title: str, *children: object) -> Markup:
    """One of the parts that the page's head links to."""
    heading = tag("h2", title, id=f"{id}-title")
    return tag("section", heading, *children, id=id, aria_labelledby=f"{id}-title", class_="part")


def script(run: Row) -> str:
    """The script's name."""
    return clean(run.get("script") or "a training loop")


def threshold(run: Run) -> float:
    """The share of credit below which a step counts as not reached."""
    options = run.run.get("options")
    told = [options.get("threshold") if isinstance(options, Mapping) else None]
    told += [each.get("threshold") for each in run.records[-1:]]
    known = [each for each in told if isinstance(each, float) and 0 < each < 1]
    return known[0] if known else 1e-3


def _head(run: Row, told: Row, verdict: Sequence[Row]) -> Markup:
    # Green says that all is well: not of a run of which nothing, or not the whole, was seen.
    fine = "fine" if not run.get("sentence") and run.get("state") not in CUT_SHORT else "unknown"
    severity, said = verdict[0].get("severity") if verdict else fine, headline(run, verdict)
    severity = severity if severity in (*SEVERITIES, "fine", "unknown") else "advice"
    parts = [
        "Findings",
        "Training",
        "Sites",
        *(["Remedies"] if run.get("repairs") else []),
        "About",
    ]
    return tag(
        "header",
        tag("p", tag("b", "bptt"), " · ", name(script(run)), class_="eyebrow"),
        tag("h1", said),
        *(tag("p", each, class_="lead") for each in lead(run, told["sites"], said)),
        tag("p", *_cost(run, told), class_="quiet"),
        tag(
            "nav",
            *(tag("a", word, href=f"#{word.lower()}") for word in parts),
            aria_label="Parts of this page",
        ),
        class_=f"head {severity}",
    )


def _cost(run: Row, told: Row) -> list[str]:
    argv, updates = run.get("argv"), run.get("updates")
    if isinstance(updates, int):  # a series may be ahead of `run.json`, which is written after it
        run = {**run, "updates": max([updates, *(row["update"] for row in told["training"][-1:])])}
    parts = [watched(run, told["probes"]), ". "]
    if isinstance(argv, list) and argv:
        parts.append(f"Arguments: {clean(' '.join(str(each) for each in argv[:40]), 160)}")
    return parts


def _training(run: Run, told: Row, verdict: Sequence[Row], tried: Sequence[Row]) -> Markup:
    rows = told["training"]
    x = span(rows, run.records, run.run.get("updates"))
    figures = [each for each in (loss(rows, x), norms(rows, x), lanes(verdict, tried, x)) if each]
    if not figures:
        nothing = tag("p", "No losses and no gradient norms were kept.", class_="quiet")
        return part("training", "Training", nothing)
    return part("training", "Training", tag("div", *figures, class_="cards training"))


def _sites(sites: list[dict[str, Any]], limit: float, first: int) -> Markup:
    if not sites:
        return part("sites", "Sites", tag("p", "No recurrence was measured.", class_="quiet"))
    drawn = sections(sites, limit, first)
    return part("sites", "Sites", overview(sites), _controls(sites), *drawn)


def _controls(sites: Sequence[Row]) -> Markup:
    """What chooses a site and an update; hidden until the script is there to obey."""
    choices = [tag("option", site["name"], value=n) for n, site in enumerate(sites[:PICTURED])]
    site = tag("select", *choices, id="choose-site")
    chosen = tag("output", id="chosen-update", for_="choose-update")
    slider = tag("input", type="range", id="choose-update", min="0", max="0", value="0")
    return tag(
        "form",
        tag("div", tag("label", "Site", for_="choose-site"), site),
        tag("div", tag("label", "Update", for_="choose-update"), slider, chosen),
        tag("button", "Last update", type="button", id="last-update"),
        id="controls",
        hidden=True,
        aria_label="What is shown",
    )
