"""Runs side by side as one page: the verdict, what differs, and their curves over each other."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bptt.doctor import Run, RunFolder, open_run
from bptt.report._compare import rows as compared
from bptt.report._compare_table import short_names
from bptt.report._summary import summary
from bptt.report.page._compare_table import differences
from bptt.report.page._compare_verdict import headline, lead
from bptt.report.page._digest import digest
from bptt.report.page._document import document
from bptt.report.page._markup import SENTENCE, Markup, clean, count, name, tag
from bptt.report.page._overlay import OVERLAID, Overlays, group_of, latest, nearest, style
from bptt.report.page._page import footer, part, threshold
from bptt.report.page._plot import Axis, around
from bptt.report.page._thin import PICTURED
from bptt.report.page._training import span

Row = Mapping[str, Any]


def compare_html(paths: Sequence[str | os.PathLike[str]]) -> str:
    """Several runs as one HTML file, which loads nothing from anywhere.

    Args:
        paths: their folders; the others are compared with the first.

    Raises:
        RunFolderError: a folder holds no run that can be read.

    Example:
        >>> import tempfile
        >>> from bptt.doctor import Logbook
        >>> with tempfile.TemporaryDirectory() as parent:
        ...     folders = [Path(parent) / each for each in ("a", "b")]
        ...     for folder in folders:
        ...         log = Logbook(RunFolder(folder), script="train.py")
        ...         log.begin()
        ...         log.end("finished", exit_code=0)
        ...         log.release()
        ...     text = compare_html(folders)
        >>> "Loss and reach do not tell the runs apart" in text or "The runs differ in nothing" in text
        True
    """
    folders = [Path(each) for each in paths]
    known = [(RunFolder.in_use(each), open_run(each)) for each in folders]
    return comparison(
        [run for _, run in known], [alive for alive, _ in known], short_names(folders)
    )


def comparison(runs: Sequence[Run], alive: Sequence[bool], names: Sequence[str]) -> str:
    """The page of runs that were read.

    Args:
        runs: as they were read.
        alive: which of them still go on.
        names: what tells them apart.
    """
    told = [summary(run, alive=goes) for run, goes in zip(runs, alive, strict=True)]
    rows, names = compared(told), [clean(each) for each in names]
    digests = [digest(run.records, [], run.updates) for run in runs]
    overlays = Overlays(names)
    x = _span(runs, digests)
    body = [
        tag("a", "Skip to what differs", href="#differences", class_="skip"),
        tag(
            "header",
            tag("p", tag("b", "bptt"), f" · {count(len(runs))} runs compared", class_="eyebrow"),
            tag("h1", headline(rows, names)),
            *(tag("p", each, class_="lead") for each in lead(rows, told, names)),
            _key(told, names),
            class_="head fine",
        ),
        tag(
            "main",
            part("differences", "What differs", *differences(rows, names)),
            part("training", "Training", _losses(overlays, digests, x)),
            part("sites", "Sites", *_sites(overlays, runs, digests, x)),
            part("about", "About this page", _about(runs, digests, names)),
        ),
        footer("bptt compare --html FILE DIR DIR…"),
    ]
    return document(f"bptt · {' and '.join(names[:2])}", body, {"overlays": overlays.data})


def _span(runs: Sequence[Run], digests: Sequence[Row]) -> Axis:
    """From the first update to the last of the run with the most."""
    each = [
        span(told["training"], run.records, run.run.get("updates"))
        for run, told in zip(runs, digests, strict=True)
    ]
    return max(each, key=lambda axis: axis.high)


def _key(told: Sequence[Row], names: Sequence[str]) -> Markup:
    """The runs, each with the line that it is drawn as."""
    rows = []
    for n, (run, called) in enumerate(zip(told, names, strict=True)):
        drawn = tag("path", class_=style(n), d="M1 6H25") if n < OVERLAID else None
        parts = [tag("svg", drawn, class_="key", aria_hidden="true"), tag("b", name(called)), " "]
        script, state = clean(run["script"]), clean(run["state"], 16)
        more = f"{script}, {count(run['updates'])} updates, {state}"
        rows.append(tag("li", *parts, tag("span", more, class_="quiet")))
    return tag("ul", *rows, class_="runs", aria_label="The runs")


def _losses(overlays: Overlays, digests: Sequence[Row], x: Axis) -> Markup:
    runs = [
        [(row["update"], row["loss"][1]) for row in told["training"] if row["loss"]]
        for told in digests
    ]
    values = [value for points in runs for _, value in points]
    # As on a run's own page: a loss that fell through decades is told in decades.
    log = bool(values) and min(values) > 0 and max(values) / min(values) > 50
    drawn = overlays.draw(
        "Loss", runs, x, y=around(values, log=log), read=group_of, wide=True, level=3,
        says="The mean loss, each run's against its own updates.",
    )  # fmt: skip
    nothing = tag("p", "No run kept its losses.", class_="quiet")
    return tag("div", drawn, class_="cards") if drawn else nothing


def _sites(
    overlays: Overlays, runs: Sequence[Run], digests: Sequence[Row], x: Axis
) -> list[Markup]:
    names = dict.fromkeys(site["name"] for told in digests for site in told["sites"])
    limits = sorted({threshold(run) for run in runs})
    made = []
    for each in list(names)[:PICTURED]:
        sites = [
            next((site for site in told["sites"] if site["name"] == each), None) for told in digests
        ]
        drawn = [_horizons(overlays, sites, x, each), _credits(overlays, sites, limits, each)]
        cards = [figure for figure in drawn if figure is not None]
        shown = (
            tag("div", *cards, class_="cards pairs")
            if cards
            else tag("p", "Nothing could be drawn.")
        )
        made.append(tag("section", tag("h3", name(each)), shown, class_="site"))
    return made or [tag("p", "No recurrence was measured.", class_="quiet")]


def _horizons(
    overlays: Overlays, sites: Sequence[Row | None], x: Axis, place: str
) -> Markup | None:
    runs = [
        []
        if site is None
        else [
            (update, horizon)
            for update, horizon in zip(
                site["reach"]["updates"], site["reach"]["horizon"], strict=True
            )
            if horizon is not None
        ]
        for site in sites
    ]
    most = max(
        [lags for site in sites if site for lags in site["reach"]["lags"] if lags], default=1
    )
    most = max([most, *(horizon for points in runs for _, horizon in points)])
    return overlays.draw(
        "Horizon over training", runs, x, y=Axis(0.0, 1.04 * most), read=latest,
        says=f"How many steps back a gradient reaches; the longest there was to reach is {count(most)}.",
        axes=("update", "steps back"), place=place,
    )  # fmt: skip


def _credits(
    overlays: Overlays, sites: Sequence[Row | None], limits: Sequence[float], place: str
) -> Markup | None:
    runs = []
    for site in sites:
        curve = site["curve"] if site is not None else {"updates": []}
        last = curve["credit"][-1] if curve["updates"] else None
        places = curve["axes"][curve["axis"][-1]] if last is not None else []
        runs.append(list(zip(places, last or (), strict=True)))
    longest = max((points[-1][0] for points in runs if points), default=0)
    values = [value for points in runs for _, value in points]
    high = around([1.0, *values], log=True)
    assert high is not None  # it holds 1
    return overlays.draw(
        "Credit by lag", runs, Axis(0.0, float(max(longest, 1))), read=nearest,
        y=Axis(min(limits[0] * 1e-3, 1e-6), max(high.high, 1.0), log=True),
        says="At each run's last look, what is left of a gradient after that many steps back.",
        axes=("steps back", "share left"), levels=[(each, "threshold") for each in limits], place=place,
    )  # fmt: skip


def _about(runs: Sequence[Run], digests: Sequence[Row], names: Sequence[str]) -> Markup:
    said = [
        "The first run is the one that the others are compared with; measured numbers count as the same within half a "
        "percent.",
        "Numbers have four significant digits. Where runs were measured at different places, a table and the numbers "
        "read off a picture have for each run the latest update by then, or the nearest lag.",
    ]
    size = max(
        (row["update"] - row["from"] + 1 for told in digests for row in told["training"]), default=1
    )
    if size > 1:
        said.append(f"Losses of up to {count(size)} neighbouring updates are one point.")
    if len(runs) > OVERLAID:
        said.append(
            f"The pictures show the first {OVERLAID} of {count(len(runs))} runs; the table has all."
        )
    sites = {site["name"] for told in digests for site in told["sites"]}
    if len(sites) > PICTURED:
        said.append(
            f"Pictures are of {PICTURED} of {count(len(sites))} sites; the table names all."
        )
    said += [
        f"Damaged, and left out, of {called}: {clean(each, SENTENCE)}"
        for run, called in zip(runs, names, strict=True)
        for each in run.damage[:20]
    ]
    return tag("ul", *(tag("li", each) for each in said))
