"""Pages opened in a browser, and what they said and asked for."""

from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Locator, Page, ViewportSize


class Opened:
    """Opens pages, and remembers what they said and asked for."""

    def __init__(self, browser: Browser, folder: Path) -> None:
        self._browser, self._folder = browser, folder
        self.said: list[str] = []
        self.asked: list[str] = []
        self._contexts: list[Any] = []

    def __call__(self, page: str | Path, *, width: int = 1280, **options: Any) -> Page:
        if isinstance(page, str):
            page, text = self._folder / "page.html", page
            page.write_text(text, encoding="utf-8")
        size = ViewportSize(width=width, height=800)
        context = self._browser.new_context(viewport=size, offline=True, **options)
        self._contexts.append(context)
        opened = context.new_page()
        opened.on("console", lambda message: self.said.append(message.text))
        opened.on("pageerror", lambda error: self.said.append(str(error)))
        opened.on("dialog", lambda dialog: self.said.append(dialog.message))
        opened.on("request", lambda request: self.asked.append(request.url))
        opened.goto(page.as_uri())
        return opened

    def close(self) -> None:
        for each in self._contexts:
            each.close()


def figure(page: Page, kind: str) -> Locator:
    """A picture of the training, or of the site that is shown."""
    shown = f'section.site:not([hidden]) figure[data-kind="{kind}"]'
    return page.locator(f'{shown}, .training figure[data-kind="{kind}"]')


def choose(page: Page, n: int) -> None:
    """Move the slider of updates to its `n`-th place."""
    page.locator("#choose-update").evaluate(
        "(slider, n) => { slider.value = n; slider.dispatchEvent(new Event('input')); }", n
    )
