"""The documentation site: it builds without a warning and asks for nothing from elsewhere; its pages say what is so."""

import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from bptt import rules
from scripts import ROOT

NAMES = ("chromium", "chromium-browser", "google-chrome")
PAGES = (
    "index.html", "see-a-run.html", "how-do-i.html", "rules/VG101.html", "benchmarks.html", "architecture.html",
    "api/bptt.html",
)  # fmt: skip


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built strictly: any warning fails."""
    folder = tmp_path_factory.mktemp("site")
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--quiet", "--strict", "--site-dir", str(folder)],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    return folder


def text_of(site: Path, page: str) -> str:
    return (site / page).read_text(encoding="utf-8")


def test_every_rule_has_its_page(site: Path) -> None:
    for code, each in rules.pages().items():
        text = text_of(site, f"rules/{code}.html")
        assert f'<h1 id="{code.lower()}-{each.name}">' in text
        for heading in ("Threshold", "Examples", "In the suite", "Remedies"):
            assert f">{heading}<" in text, f"{code} has no {heading}"


def test_public_names_are_in_the_reference(site: Path) -> None:
    page = text_of(site, "api/bptt.html")
    for name in ("probe", "measure", "diagnose", "prescribe", "spectrum", "lyapunov", "Monitor"):
        assert re.search(rf'<h2 id="bptt\.[\w.]+\.{name}"', page), name


def test_a_session_of_python_is_set_as_one(site: Path) -> None:
    """A docstring's doctest, in its section and outside of one."""
    assert "&gt;&gt;&gt; " in re.sub(r"<[^>]+>", "", text_of(site, "api/nn.html"))
    assert "<p>&gt;&gt;&gt;" not in text_of(site, "api/nn.html")


def test_nothing_is_asked_for_from_elsewhere(site: Path) -> None:
    """No script, style, font or picture of another host on any page."""
    asks = re.compile(
        r'<(?:script|img|iframe|source)[^>]+src="https?:|<link[^>]+href="https?:|@import|url\(https?:'
    )
    pages = sorted(site.rglob("*.html"))
    assert len(pages) > 40
    assert [page.name for page in pages if asks.search(page.read_text(encoding="utf-8"))] == []


def test_no_page_names_this_machine(site: Path) -> None:
    pages = [page for page in site.rglob("*.html") if str(ROOT) in page.read_text(encoding="utf-8")]
    assert pages == []


@pytest.fixture(scope="module")
def address(site: Path) -> Iterator[str]:
    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            """Requests are not worth a line."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(site)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    found = next((path for name in NAMES if (path := shutil.which(name))), None)
    if found is None:
        pytest.fail(f"these tests need a browser; `make browser` installs one ({', '.join(NAMES)})")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(
            executable_path=found,
            args=["--no-sandbox", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"],
        )
        yield started
        started.close()


@pytest.mark.parametrize("width", [360, 1280])
def test_pages_fit_and_say_nothing(browser: Browser, address: str, width: int) -> None:
    said: list[str] = []
    asked: list[str] = []
    context = browser.new_context(viewport={"width": width, "height": 800})
    page = context.new_page()
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    for name in PAGES:
        page.goto(f"{address}/{name}")
        box = "[document.documentElement.scrollWidth, document.documentElement.clientWidth]"
        wide, seen = page.evaluate(box)
        assert wide <= seen, f"{name} is {wide} wide, of which {seen} are seen"
        assert page.locator("article h1").count() == 1
    context.close()
    assert said == []
    assert [url for url in asked if not url.startswith((address, "data:", "blob:"))] == []


def test_the_house_is_drawn(browser: Browser, address: str) -> None:
    page = browser.new_page(viewport={"width": 360, "height": 800})
    page.goto(f"{address}/architecture.html")
    rooms = page.locator("article svg text")
    assert {"cli", "doctor", "flow", "cells", "__main__"} <= set(rooms.all_text_contents())
    for box in rooms.all():
        assert (box.bounding_box() or {"width": 0})["width"] > 0
    page.close()


def test_searching_finds_a_rule(browser: Browser, address: str) -> None:
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    page.goto(f"{address}/index.html")
    page.keyboard.press("/")
    page.keyboard.type("vanishing-through-time")
    page.locator(".md-search-result__link", has_text="VG101").first.wait_for()
    page.close()
