"""The page as readers meet it: at any width, in the dark, on paper, without a script, without eyes."""

import io
import re
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import Browser, Page

from bptt.doctor import Run
from bptt.report.page import page as rendered
from browsing import SKELETON, Opened, figure, fits
from hostile import HOSTILE, MARKUP
from made_runs import a_run, finding, repair

WIDTHS = (360, 768, 1280)
SECONDS = 2.0


def pixels(page: Page) -> Image.Image:
    return Image.open(io.BytesIO(page.screenshot(full_page=True))).convert("RGB")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
def test_it_fits_any_width_in_light_and_dark(
    opened: Opened, report: Path, width: int, scheme: Any
) -> None:
    page = opened(report, width=width, color_scheme=scheme)
    fits(page)
    shot = pixels(page)
    assert shot.width == width
    corner = shot.getpixel((2, 2))
    assert isinstance(corner, tuple)
    assert (sum(corner) > 600) == (scheme == "light")
    # Each picture is drawn: its frame holds more than the card's one colour.
    for kind in (
        "loss",
        "heat",
        "credit",
        "gradients",
        "causes",
        "singular",
        "plane",
        "saturation",
    ):
        frame = figure(page, kind).locator(".frame")
        shot = Image.open(io.BytesIO(frame.screenshot())).convert("RGB")
        colours = shot.getcolors(shot.width * shot.height) or []
        assert len(colours) > 20, kind


@pytest.mark.parametrize(("width", "scheme"), [(360, "dark"), (1280, "light")])
def test_axe_finds_nothing(opened: Opened, width: int, scheme: Any) -> None:
    text = rendered(a_run(probes=3, rows=20, hidden=8))
    page = opened(text, width=width, color_scheme=scheme, bypass_csp=True)
    page.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
    violations = Axe().run(page).response["violations"]
    assert [(each["id"], each["nodes"][0]["html"][:120]) for each in violations] == []


def test_axe_would_find_something(opened: Opened) -> None:
    """The check above can fail: a picture without a name, text without contrast."""
    text = rendered(a_run(probes=1, rows=20, hidden=8)).replace("<h1>", '<img src="data:,"><h1>')
    page = opened(text.replace("--quiet: #575c63", "--quiet: #cccccc"), bypass_csp=True)
    violations = Axe().run(page).response["violations"]
    assert {"image-alt", "color-contrast"} <= {each["id"] for each in violations}


def test_without_a_script_everything_is_there(opened: Opened, report: Path, run: Run) -> None:
    page = opened(report, java_script_enabled=False)
    sections = page.locator("section.site")
    assert sections.count() == 3
    for n, name in enumerate(run.records[0]["sites"]):
        assert sections.nth(n).locator("h3").text_content() == name
        assert sections.nth(n).is_visible()
        assert sections.nth(n).locator("figure svg[role=img]").count() == 7
    assert page.locator("#controls").is_hidden()
    assert page.locator("h1").inner_text().startswith("No error and no warning")
    page.get_by_text("About SA301").click()
    assert page.get_by_text("Threshold", exact=True).is_visible()


def test_on_paper_every_site_is_printed_in_black_on_white(browser: Browser, report: Path) -> None:
    page = browser.new_page(color_scheme="dark")
    page.goto(report.as_uri())
    sheet = page.pdf()
    shown = page.locator("section.site").count()
    page.emulate_media(media="print")
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    hidden = page.locator("#controls").is_hidden()
    visible = page.locator("section.site:visible").count()
    page.close()
    assert (shown, visible, hidden, background) == (3, 3, True, "rgb(255, 255, 255)")
    assert len(re.findall(rb"/Type\s*/Page\b", sheet)) >= 4  # the head, and a sheet for each site


def cure(name: str) -> dict[str, Any]:
    return {"remedy": name, "args": {name: name}}


def hostile(names: list[str]) -> Run:
    """A run in which everything that has a name has one of these."""
    run = a_run(sites=1, probes=3, rows=20, hidden=8)
    plain = run.records[0]["sites"]["decoder.rnn.l0"]
    for each in run.records:
        each["sites"] = dict.fromkeys(names, plain | {"kind": names[0]})
        each["notes"] = []
    run.spectra.clear()
    run.findings[:] = [
        finding(
            "VG101",
            each,
            each,
            "error",
            5,
            message=" ".join(each.splitlines()),
            evidence={each: each},
            prescriptions=[cure(each)],
        )
        for each in names
    ]
    run.notes[:] = [{"subject": name, "reason": name} for name in names]
    run.damage[:] = list(names)
    told = {"said", "lines", "finding", "reason", "remedy"}
    texts = [dict.fromkeys(told, each) | {"said": [each], "lines": [each]} for each in names]
    repairs = [repair(each, 5, **text) for each, text in zip(names, texts, strict=True)]
    run.run.update(script=names[0], argv=names, repairs=repairs)
    return run


def test_hostile_names_change_nothing_on_the_page(opened: Opened) -> None:
    names = [*MARKUP.values(), *HOSTILE.values()]
    plain = opened(rendered(hostile([f"name{n}" for n in range(len(names))])), width=360)
    expected = plain.evaluate(SKELETON)
    page = opened(rendered(hostile(names)), width=360)
    # A name that was cut has the whole in its title; nothing else differs, element by element.
    assert page.evaluate(SKELETON) == expected
    assert page.title().startswith("bptt · </script><script>document")
    assert page.locator("h1").count() == 1
    fits(page)
    for n in (2, 6):  # sites whose sections were text until now
        page.locator("#choose-site").select_option(value=str(n))
        assert page.locator("section.site:visible h3").inner_text() == list(MARKUP.values())[n]
    assert (
        page.evaluate("document.querySelectorAll('img:not(.pixels), script:not([type])').length")
        == 1
    )


def test_what_gets_in_all_the_same_neither_runs_nor_loads(browser: Browser, report: Path) -> None:
    """The policy in the page's head holds, were the escaping to fail."""
    attack = (
        '<script>window.hit = 1</script><img src="http://127.0.0.1:9/x" onerror="window.hit = 2">'
        '<style>body { display: none }</style><iframe src="data:text/html,hi"></iframe>'
    )
    text = report.read_text(encoding="utf-8").replace("<main>", f"<main>{attack}")
    page, said = browser.new_page(), []
    page.on("console", lambda message: said.append(message.text))
    page.set_content(text)
    hit, shown = page.evaluate("window.hit"), page.locator("h1").is_visible()
    page.close()
    assert (hit, shown) == (None, True)
    assert sum("Content Security Policy" in each for each in said) >= 4


def processor(page: Page) -> float:
    """Seconds of processor that a page's own process has taken, all its threads together, since it began."""
    asked = page.context.new_cdp_session(page)
    asked.send("Performance.enable")
    told = asked.send("Performance.getMetrics")["metrics"]
    return next(each["value"] for each in told if each["name"] == "ProcessTime")


def test_a_long_run_of_many_sites_opens_in_two_seconds(opened: Opened) -> None:
    """Nothing is waited for but the processor, whose seconds do not depend on what else a machine does."""
    run = a_run(sites=24, updates=100_000, probes=66, rows=1200, hidden=64)
    text = rendered(run)
    assert len(text) < 6_000_000
    page = opened(text)
    assert page.locator("section.site:visible figure").count() == 7
    took = processor(page)
    assert took < SECONDS
    page.evaluate(
        "() => { const began = performance.now(); while (performance.now() - began < 500); }"
    )
    assert processor(page) > took + 0.05, "the clock runs"
    about = page.locator("#about").inner_text()
    assert "Of up to 66 probes a site, the map and the credit curve show 64" in about
    assert "up to 249 neighbouring updates are one point" in about
