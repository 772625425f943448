"""A rule's page as HTML: headings, paragraphs, `code` and settings, from the text that `bptt explain` prints."""

import re

from bptt.report.page._markup import Markup, tag
from bptt.rules import Page

PARTS = re.compile(r"`([^`]+)`")


def rule_page(page: Page) -> Markup:
    """The whole page, its title left out.

    Example:
        >>> text = "VG101 it: so\\n\\n## What it does\\n\\nSays `no`."
        >>> page = Page("VG101", "it", "so", text, {"share": 0.5}, "vg101_it")
        >>> rule_page(page)[23:82]
        '<h4>What it does</h4><p>Says <code>no</code>.</p><h4>Settin'
    """
    blocks = re.split(r"\n\s*\n", page.text)[1:]
    parts: list[Markup] = [_block(block) for block in blocks if block.strip()]
    if page.options:
        told = ", ".join(f"{key} = {value:g}" for key, value in page.options.items())
        where = f"[tool.bptt.options.{page.code}]"
        parts += [tag("h4", "Settings"), tag("p", tag("code", where), ": ", tag("code", told))]
    return tag("div", *parts, class_="rule-page")


def _block(block: str) -> Markup:
    if block.startswith("## "):
        return tag("h4", block[3:].strip())
    return tag("p", *inline(" ".join(line.strip() for line in block.splitlines())))


def inline(text: str) -> list[object]:
    """Text with what stands in backticks as code.

    Example:
        >>> inline("run `bptt` now")
        ['run ', '<code>bptt</code>', ' now']
    """
    return [
        tag("code", each) if n % 2 else each for n, each in enumerate(PARTS.split(text)) if each
    ]
