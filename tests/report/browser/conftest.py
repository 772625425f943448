"""One Chromium for the tests of this folder, and pages in it that may neither complain nor ask for anything."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from bptt.doctor import Run
from bptt.report.page import page as rendered
from browsing import Opened
from made_runs import a_run

NAMES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = [
    "--no-sandbox",  # containers run as root
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-quic",
    "--disable-sync",
    "--no-first-run",
    "--host-resolver-rules=MAP * ~NOTFOUND",  # whatever asks for a host gets none
]


# Of the module, not of the session: while the browser's loop runs, no other test could run one of its own.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    found = next((path for name in NAMES if (path := shutil.which(name))), None)
    if found is None:
        pytest.fail(f"these tests need a browser; `make browser` installs one ({', '.join(NAMES)})")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=found, args=FLAGS)
        yield started
        started.close()


@pytest.fixture
def opened(browser: Browser, tmp_path: Path) -> Iterator[Opened]:
    """Opens pages; at the end nothing may have been said on the console, and nothing asked for but the page."""
    pages = Opened(browser, tmp_path)
    yield pages
    pages.close()
    assert pages.said == []
    assert [url for url in pages.asked if not url.startswith(("file:", "data:"))] == []


@pytest.fixture(scope="module")
def run() -> Run:
    """A run with three sites, one of each cell, and with every series."""
    return a_run(sites=3)


@pytest.fixture(scope="module")
def report(run: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its page."""
    path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_text(rendered(run), encoding="utf-8")
    return path
