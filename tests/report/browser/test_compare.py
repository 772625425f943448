"""The page of a comparison in a browser: it fits, everybody can read it, numbers can be read off, names are text."""

from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

from bptt.doctor import Run
from bptt.report.page import comparison
from bptt.report.page._markup import number
from browsing import SKELETON, Opened, fits
from hostile import HOSTILE, MARKUP
from made_runs import a_run


@pytest.fixture(scope="module")
def runs() -> list[Run]:
    """Three runs, of which the second has a site more, is longer, and reaches further."""
    made = [
        a_run(probes=3, rows=40, hidden=4, sites=n, updates=u)
        for n, u in ((1, 900), (2, 2000), (1, 900))
    ]
    for record in made[1].records:
        for site in record["sites"].values():
            site["horizon"] += 50
    return made


@pytest.fixture(scope="module")
def text(runs: list[Run]) -> str:
    return comparison(runs, [False] * 3, ["before", "after", "again"])


@pytest.mark.parametrize(("width", "scheme"), [(360, "dark"), (768, "light"), (1280, "dark")])
def test_it_fits_and_axe_finds_nothing(opened: Opened, text: str, width: int, scheme: Any) -> None:
    page = opened(text, width=width, color_scheme=scheme, bypass_csp=True)
    fits(page)
    if width == 768:
        return  # what axe looks at is the same at the other two
    page.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
    violations = Axe().run(page).response["violations"]
    assert [(each["id"], each["nodes"][0]["html"][:120]) for each in violations] == []


def overlay(page: Page, n: int) -> Any:
    return page.locator(f'figure[data-overlay="{n}"]')


def test_numbers_are_read_off_and_what_is_along_updates_zooms_as_one(
    opened: Opened, text: str, runs: list[Run]
) -> None:
    page = opened(text)
    frame = overlay(page, 1).locator(".frame")
    frame.focus()
    page.keyboard.press("ArrowRight")
    first, second = (run.records[0]["sites"]["decoder.rnn.l0"]["horizon"] for run in runs[:2])
    said = overlay(page, 1).get_by_role("status")
    assert said.inner_text() == f"update 1: before {first}, after {second}, again {first}"
    page.keyboard.press("+")
    views = [overlay(page, n).locator("svg.in").get_attribute("viewBox") for n in range(4)]
    assert views == ["0 0 500 1000", "0 0 500 1000", "0 0 1000 1000", "0 0 500 1000"]
    overlay(page, 0).locator("summary").click()
    rows = overlay(page, 0).locator("tbody tr")
    loss = [number(run.updates[-1]["loss"][1]) for run in runs]
    assert rows.last.locator("td").all_inner_texts() == ["2,000", "–", loss[1], "–"]


def test_without_a_script_and_on_paper_everything_is_there(opened: Opened, text: str) -> None:
    page = opened(text, java_script_enabled=False)
    page.emulate_media(media="print")
    assert page.locator("h1").inner_text() == "Gradients reach furthest in after."
    assert page.locator("figure svg[role=img]:visible").count() == 5


def test_hostile_names_change_nothing(opened: Opened, runs: list[Run]) -> None:
    def page(names: list[str]) -> Page:
        told = a_run(probes=2, rows=4, hidden=2)
        for record in told.records:
            record["sites"] = dict.fromkeys(names, record["sites"]["decoder.rnn.l0"])
        other = a_run(probes=1, rows=4, hidden=2)
        other.records[0]["sites"] = dict(told.records[0]["sites"])
        told.run.update(script=names[0], argv=names)
        return opened(comparison([told, other], [False] * 2, names[:2]), width=360)

    names = [*MARKUP.values(), *HOSTILE.values()]
    expected = page([f"name{n}" for n in range(len(names))]).evaluate(SKELETON)
    shown = page(names)
    assert shown.evaluate(SKELETON) == expected
    fits(shown)
    assert shown.title().startswith("bptt · </script>")
