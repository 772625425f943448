"""The document: head, policy, and the parts in their order. It loads nothing, and nothing but its own script runs."""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources
from typing import Any

from bptt.report.page._markup import Markup, data_script, join, tag

ICON = "data:,"  # or the browser asks the page's folder for one


SCRIPTS = ("drawing.js", "chart.js", "plot.js", "plane.js", "page.js")
"""One program in files of a screen or three, in this order."""


@cache
def asset(name: str) -> str:
    """The text of a file that lies beside the pages' code."""
    return (resources.files("bptt.report.page") / "assets" / name).read_text(encoding="utf-8")


@cache
def program() -> str:
    """The page's script: it changes a page that is whole without it, and puts no text in as markup."""
    return '"use strict";\n(() => {\n' + "\n".join(asset(name) for name in SCRIPTS) + "})();\n"


def document(title: str, body: Sequence[object], data: Mapping[str, Any] | None = None) -> str:
    """The whole file.

    The policy in its head forbids every request, every frame and every form, and allows one style sheet and one script
    by their hashes: text that got into the page as markup could still not run.

    Args:
        title: for the window.
        body: the parts.
        data: what the script reads; without it the page has no script.
    """
    style, script = asset("page.css"), program()
    allowed = [
        "default-src 'none'",
        f"style-src '{_hash(style)}'",
        f"script-src '{_hash(script)}'" if data is not None else "script-src 'none'",
        "img-src data:",
        "base-uri 'none'",
        "form-action 'none'",
    ]
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content="; ".join(allowed)),
        tag("meta", name_="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name_="color-scheme", content="light dark"),
        tag("meta", name_="referrer", content="no-referrer"),
        tag("link", rel="icon", href=ICON),
        tag("title", title),
        tag("style", Markup(style)),
    )
    end = [] if data is None else [data_script(data), tag("script", Markup(script))]
    page = tag("html", head, "\n", tag("body", *body, "\n", *end), lang="en")
    return join([Markup("<!doctype html>\n"), page, "\n"])


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode(
        "ascii"
    )
