"""Pages opened in a browser, and what they said and asked for."""

from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Locator, Page, ViewportSize

# Boxes of what is read: text that touches other text, or that reaches beyond what holds it, cannot be.
CROWDED = """() => {
  const found = [], boxes = [], wide = document.documentElement.clientWidth;
  const seen = (each) => each.checkVisibility({ visibilityProperty: true }) && each.textContent.trim() !== "";
  const read = "h1,h2,h3,h4,p,li,td,th,dt,dd,label,button,summary,output,text";
  for (const each of document.querySelectorAll(read)) {
    if (!seen(each) || each.querySelector("p,li,td,th")) continue;
    const range = document.createRange();
    range.selectNodeContents(each);
    const box = (each.localName === "text" ? each : range).getBoundingClientRect();
    if (box.width) boxes.push([each, box]);
  }
  const say = ([each, box]) =>
    `${each.localName} "${each.textContent.slice(0, 40)}" ${Math.round(box.left)}..${Math.round(box.right)}`;
  boxes.forEach((a, n) => {
    if (!a[0].closest(".scroll") && (a[1].left < -0.5 || a[1].right > wide + 0.5)) found.push(`out: ${say(a)}`);
    for (const b of boxes.slice(n + 1)) {
      if (a[0].contains(b[0]) || b[0].contains(a[0])) continue;
      if (a[0].closest("#controls") || b[0].closest("#controls")) continue;  // it stays on top while others scroll
      const across = Math.min(a[1].right, b[1].right) - Math.max(a[1].left, b[1].left);
      const down = Math.min(a[1].bottom, b[1].bottom) - Math.max(a[1].top, b[1].top);
      if (across > 1 && down > 3) found.push(`over: ${say(a)} and ${say(b)}`);
    }
  });
  return found;
}"""
# Names and classes of all elements in their order: what a name must not change.
SKELETON = """() =>
  [...document.querySelectorAll("body *")].map((each) => `${each.localName}.${each.getAttribute("class")}`)"""


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


def fits(page: Page) -> None:
    """Nothing is cut off, nothing lies on something else, and the page scrolls one way only."""
    wide = page.evaluate(
        "[document.documentElement.scrollWidth, document.documentElement.clientWidth]"
    )
    assert wide[0] <= wide[1]
    assert page.evaluate(CROWDED) == []
