"""What the page's script does: choose, zoom, read numbers; and that those are the numbers of the run."""

import re
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page

from bptt.doctor import Run
from bptt.report.page._markup import number
from browsing import Opened, choose, figure

BY_STEP = ("credit", "gradients", "causes", "singular", "plane")


def readout(page: Page, kind: str) -> str:
    return figure(page, kind).locator(".readout").inner_text()


def point(page: Page, kind: str, share: float, up: float = 0.5) -> None:
    """Move the mouse over a picture, to a share of its width and height."""
    plot = figure(page, kind).locator("svg.plot, svg.plane")
    plot.scroll_into_view_if_needed()
    box = plot.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + share * box["width"], box["y"] + (1 - up) * box["height"])


def look(run: Run, site: str, update: int) -> dict[str, Any]:
    return next(each["sites"][site] for each in run.records if each["update"] == update)


def value(pairs: list[list[Any]], place: int) -> str:
    return number(dict(map(tuple, pairs))[place])


def paths(page: Page) -> dict[str, list[str | None]]:
    """What is drawn of the chosen site, by kind."""
    return {
        kind: [
            each.get_attribute("d") for each in figure(page, kind).locator(".in path, path.m").all()
        ]
        for kind in BY_STEP
    }


def test_the_site_of_the_first_finding_is_shown_and_others_can_be_chosen(
    opened: Opened, report: Path
) -> None:
    page = opened(report)
    shown = page.locator("section.site:visible")
    assert shown.count() == 1
    assert shown.locator("h3").inner_text() == "decoder.rnn.l0"
    page.get_by_label("Site", exact=True).select_option(label="encoder.rnn.l1")
    assert shown.locator("h3").inner_text() == "encoder.rnn.l1"
    assert shown.locator("figure").count() == 7
    page.get_by_role("link", name="decoder.rnn.l2").click()
    assert shown.locator("h3").inner_text() == "decoder.rnn.l2"
    assert page.get_by_label("Site", exact=True).input_value() == "2"
    assert page.locator(".overview a[aria-current]").all_inner_texts() == ["decoder.rnn.l2"]


def test_a_link_to_a_site_opens_it(opened: Opened, report: Path) -> None:
    page = opened(report)
    page.goto(f"{report.as_uri()}#site-1")
    page.reload()
    assert page.locator("section.site:visible h3").inner_text() == "encoder.rnn.l1"


def test_the_numbers_under_the_mouse_are_those_of_the_run(
    opened: Opened, report: Path, run: Run
) -> None:
    page = opened(report)
    last = look(run, "decoder.rnn.l0", 2000)
    for kind, at, expected in (
        ("credit", 10 / 126, f"10 steps back: left {value(last['credit'], 10)}"),
        ("gradients", 64 / 126, f"step 64: total {value(last['total'], 64)}, direct {value(last['direct'], 64)}"),
        ("causes", 126 / 126, f"step 126: weights {value(last['attribution']['weight'], 126)}, "
                              f"slope {value(last['attribution']['slope'], 126)}"),
        ("saturation", 1.0, f"update 2,000: tanh {number(100 * last['saturation']['tanh'])} %"),
    ):  # fmt: skip
        point(page, kind, at)
        assert readout(page, kind) == expected
    singular = run.spectra[-1]["sites"]["decoder.rnn.l0"]["singular"]
    point(page, "singular", 40 / 124)
    assert (
        readout(page, "singular")
        == f"step 40: {', '.join(f'{k} {value(singular[k], 40)}' for k in singular)}"
    )
    first = run.records[0]["sites"]["decoder.rnn.l0"]
    point(page, "heat", 0.01, 20 / 126)
    assert readout(page, "heat") == (
        f"update 1, 20 steps back: {value(first['credit'], 20)} left; horizon {first['horizon']}"
    )


def test_losses_and_norms_under_the_mouse_are_those_of_the_run(
    opened: Opened, report: Path, run: Run
) -> None:
    page = opened(report)
    row = run.updates[-1]
    for kind, key, more in (("loss", "loss", ""), ("norms", "norm", ", clipped at 1")):
        point(page, kind, 0.999)
        least, mean, largest = map(number, row[key])
        assert (
            readout(page, kind)
            == f"update 2,000: least {least}, mean {mean}, largest {largest}{more}"
        )


def test_eigenvalues_under_the_mouse_are_those_of_the_run(
    opened: Opened, report: Path, run: Run
) -> None:
    page = opened(report)
    points = run.spectra[-1]["sites"]["decoder.rnn.l0"]["gates"]["hh"]["eigenvalues"]
    re_, im = max(points, key=lambda each: each[0])
    figure(page, "plane").scroll_into_view_if_needed()
    box = figure(page, "plane").locator("circle.unit").bounding_box()
    assert box is not None
    half = box["width"] / 2
    page.mouse.move(box["x"] + half * (1 + re_), box["y"] + half * (1 - im))
    said = readout(page, "plane")
    assert said.startswith(f"hh: {number(re_)} {'−' if im < 0 else '+'} {number(abs(im))}i")


def test_the_table_holds_every_number(opened: Opened, report: Path, run: Run) -> None:
    page = opened(report)
    last = look(run, "decoder.rnn.l0", 2000)
    table = figure(page, "gradients").locator("details.numbers")
    table.locator("summary").click()
    rows = table.locator("tbody tr").all_inner_texts()
    expected = [
        f"{t}\t{number(total)}\t{number(direct)}"
        for (t, total), (_, direct) in zip(last["total"], last["direct"], strict=True)
    ]
    assert rows == expected


def test_an_earlier_update_is_drawn_from_its_own_numbers(
    opened: Opened, report: Path, run: Run
) -> None:
    page = opened(report)
    before = paths(page)
    assert all(any(drawn) for drawn in before.values())
    choose(page, 0)
    assert page.locator("#chosen-update").inner_text() == "1"
    earlier = paths(page)
    assert all(earlier[kind] != before[kind] for kind in BY_STEP)
    first = run.records[0]["sites"]["decoder.rnn.l0"]
    point(page, "credit", 10 / 126)
    assert readout(page, "credit") == f"10 steps back: left {value(first['credit'], 10)}"
    assert figure(page, "gradients").locator(".when").inner_text() == "at update 1"
    radius = run.spectra[0]["sites"]["decoder.rnn.l0"]["gates"]["hh"]["radius"]
    told = figure(page, "plane").locator(".legend li").all_inner_texts()
    assert told == [f"W_hh, radius {number(radius)}", "unit circle"]


def test_the_script_draws_what_the_page_held_before_it(opened: Opened, report: Path) -> None:
    """One arithmetic, written twice: going to the first update and back ends at the very paths Python drew."""
    page = opened(report)
    still = opened(report, java_script_enabled=False)
    for n, site in enumerate(("decoder.rnn.l0", "encoder.rnn.l1", "decoder.rnn.l2")):
        page.get_by_label("Site", exact=True).select_option(label=site)
        choose(page, 0)
        page.get_by_role("button", name="Last update").click()
        drawn = paths(page)
        for kind in BY_STEP:
            written = still.locator(f'#site-{n} figure[data-kind="{kind}"]').locator(
                ".in path, path.m"
            )
            assert drawn[kind] == [each.get_attribute("d") for each in written.all()], (site, kind)


def view(page: Page, kind: str) -> list[float]:
    box = figure(page, kind).locator("svg.in").first.get_attribute("viewBox") or ""
    return [float(each) for each in box.split()]


def ticks(page: Page, kind: str) -> list[str]:
    return figure(page, kind).locator("g.across text").all_text_contents()


def test_zooming_by_dragging_by_buttons_and_by_keys(opened: Opened, report: Path) -> None:
    page = opened(report)
    point(page, "credit", 0.25)
    page.mouse.down()
    point(page, "credit", 0.5)
    page.mouse.up()
    start, _, width, height = view(page, "credit")
    assert (start, width, height) == (pytest.approx(250, abs=5), pytest.approx(250, abs=8), 1000)
    assert ticks(page, "credit") == ["40", "50", "60"]
    frame = figure(page, "credit").locator(".frame")
    frame.focus()
    page.keyboard.press("0")
    assert view(page, "credit") == [0, 0, 1000, 1000]
    page.keyboard.press("+")
    assert view(page, "credit")[2] == 500
    figure(page, "credit").get_by_role("button", name=re.compile("Zoom out")).click()
    assert view(page, "credit") == [0, 0, 1000, 1000]


def test_the_training_zooms_as_one(opened: Opened, report: Path) -> None:
    page = opened(report)
    figure(page, "loss").get_by_role("button", name=re.compile("Zoom in")).click()
    assert view(page, "loss") == view(page, "norms") == view(page, "lanes") == [250, 0, 500, 1000]
    assert ticks(page, "loss") == ticks(page, "norms") == ticks(page, "lanes") == ["1,000", "1,500"]
    began = 1000 * (1000 - 1) / (2000 - 1)  # the finding's update, on an axis from 1 to 2,000
    mark = figure(page, "lanes").locator(".mark-at").get_attribute("x") or ""
    assert float(mark.rstrip("%")) == pytest.approx(100 * (began - 250) / 500, abs=0.02)


def test_zooming_the_plane_keeps_the_marks_their_size(opened: Opened, report: Path) -> None:
    page = opened(report)
    circle = figure(page, "plane").locator("circle.unit")
    radius = float(circle.get_attribute("r") or 0)
    figure(page, "plane").get_by_role("button", name=re.compile("Zoom in")).click()
    assert float(circle.get_attribute("r") or 0) == pytest.approx(2 * radius, abs=0.2)
    assert "a13 13" in (figure(page, "plane").locator(".m0").first.get_attribute("d") or "")


def test_all_of_it_by_keyboard(opened: Opened, report: Path, run: Run) -> None:
    page = opened(report)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the findings"
    frame = figure(page, "gradients").locator(".frame")
    frame.focus()
    last = look(run, "decoder.rnn.l0", 2000)
    for key in ("ArrowRight", "ArrowRight", "ArrowRight", "ArrowLeft"):
        page.keyboard.press(key)
    total, direct = value(last["total"], 2), value(last["direct"], 2)
    assert readout(page, "gradients") == f"step 2: total {total}, direct {direct}"
    assert figure(page, "gradients").get_by_role("status").inner_text() == readout(
        page, "gradients"
    )
    figure(page, "heat").locator(".frame").focus()
    for key in ("ArrowRight", "ArrowUp", "Enter"):
        page.keyboard.press(key)
    assert page.locator("#chosen-update").inner_text() == "1"
    page.locator("#choose-update").focus()
    page.keyboard.press("End")
    assert page.locator("#chosen-update").inner_text() == "2,000"
