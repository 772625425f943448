"""The sites: a table of all, and for each a section with its pictures."""

from collections.abc import Mapping, Sequence
from typing import Any

from bptt.report.page._by_step import causes, credit, gradients, singular
from bptt.report.page._markup import Markup, name, number, tag
from bptt.report.page._over_training import heat, plane, saturation
from bptt.report.page._plot import Axis, line, path
from bptt.report.page._thin import PICTURED
from bptt.report.page._verdict import far, gain, reach
from bptt.report.terminal import KINDS

Digest = dict[str, Any]
FEW = 6
"""Up to so many sites the page holds whole tables; with more, some rows of each, and the script writes the others."""


def overview(sites: Sequence[Digest]) -> Markup:
    """One row a site: cell, reach, gain, share unreached, and the horizon over training as a line."""
    heads = ("site", "cell", "gradient reaches", "a step", "unreached", "horizon over training")
    return tag(
        "div",
        tag(
            "table",
            tag("thead", tag("tr", *(tag("th", each, scope="col") for each in heads))),
            tag("tbody", *(_row(n, site) for n, site in enumerate(sites))),
            class_="overview",
        ),
        class_="scroll", tabindex="0", role="region", aria_label="All sites",
    )  # fmt: skip


def _row(n: int, site: Digest) -> Markup:
    told = site["reach"]
    unreached = told["unreached"][-1]
    shown = name(site["name"])
    return tag(
        "tr",
        tag("th", tag("a", shown, href=f"#site-{n}") if n < PICTURED else shown, scope="row"),
        tag("td", kind(site)),
        tag("td", reach(site)),
        tag("td", gain(told["rate"][-1])),
        tag("td", "–" if unreached is None else f"{number(round(100 * unreached, 1))} %"),
        tag("td", _spark(site)),
    )


def kind(site: Digest) -> str:
    """The cell, in words."""
    said = KINDS.get(site["kind"], site["kind"] or "unknown cell")
    return f"{said}, backwards in time" if site["reverse"] else said


def _spark(site: Digest) -> Markup | str:
    told = site["reach"]
    known = [each for each in told["horizon"] if each is not None]
    if len(known) < 2:
        return "–"
    x = Axis(float(told["updates"][0]), float(max(told["updates"][-1], told["updates"][0] + 1)))
    y = Axis(0.0, float(max(*known, told["lags"][-1] or 1)))
    points = [list(each) for each in zip(told["updates"], told["horizon"], strict=True)]
    drawn = path(line(points, x, y), "s0")
    label = f"from {known[0]} to {known[-1]} steps, at most {max(known)}"
    return tag(
        "svg", drawn, class_="spark", viewBox="0 -40 1000 1080", preserveAspectRatio="none",
        role="img", aria_label=label,
    )  # fmt: skip


def sections(sites: Sequence[Digest], threshold: float, first: int) -> list[Markup]:
    """A section for each site that gets pictures.

    All but that of the `first` site stand in `noscript`: a browser that runs the page's script reads those as text, and
    parses one when it is chosen, or all to print; so a page of many sites opens as fast as one of a single site.
    """
    rows = 64 if len(sites) <= FEW else 12
    parts = [_section(n, site, threshold, rows) for n, site in enumerate(sites[:PICTURED])]
    return [
        part if n == first else tag("noscript", part, data_site=n, class_="later")
        for n, part in enumerate(parts)
    ]


def _section(n: int, site: Digest, threshold: float, rows: int) -> Markup:
    figures = [
        heat(site, threshold, rows),
        credit(site, threshold, rows),
        gradients(site, rows),
        causes(site, rows),
        singular(site, rows),
        plane(site, rows),
        saturation(site, rows),
    ]
    drawn = [each for each in figures if each is not None]
    return tag(
        "section",
        tag("h3", name(site["name"]), id=f"title-{n}"),
        tag("p", _sentence(site), class_="site-says"),
        tag("div", *drawn, class_="cards") if drawn else tag("p", "Nothing of this site could be drawn."),
        class_="site", id=f"site-{n}", data_site=n, aria_labelledby=f"title-{n}",
    )  # fmt: skip


def _sentence(site: Digest) -> str:
    size = [f"{site['steps']:,} steps" if site["steps"] else ""]
    size.append(f"batch of {site['batch']:,}" if site["batch"] else "")
    shape = ", ".join(each for each in (kind(site), *size) if each)
    rate = site["reach"]["rate"][-1]
    kept = "" if rate is None else f", and each step multiplies it by {gain(rate)[1:]}"
    return f"{shape[:1].upper()}{shape[1:]}. {far(site)}{kept}."


def worst(sites: Sequence[Digest], findings: Sequence[Mapping[str, Any]]) -> int:
    """The site that is shown first: that of the first finding with one, else the one with the shortest reach."""
    names = [site["name"] for site in sites[:PICTURED]]
    for each in findings:
        for n, known in enumerate(names):
            site = str(each.get("site") or "")
            if site and (known == site or known.startswith(f"{site}.")):
                return n

    def share(n: int) -> float:
        told = sites[n]["reach"]
        horizon = told["horizon"][-1]
        return 2.0 if horizon is None else horizon / max(told["lags"][-1] or 0, 1)

    return min(range(len(names)), key=share, default=0)
