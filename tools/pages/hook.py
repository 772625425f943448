"""What mkdocs asks while it builds the site: pages and tables that are made from the repository itself.

Nothing of it is kept: a rule's page is made from the rule's file, a table of numbers from its result file, the
reference of commands from the commands. On a page by hand, a line `<!-- made: NAME -->` stands for what NAME of `PARTS`
gives.
"""

import functools
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import _api
import _benchmarks
import _commands
import _floors
import _rules
import _sample
import _tasks
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
MADE = re.compile(r"^<!-- made: (?P<name>[\w-]+) -->$", re.MULTILINE)

# Pages that lie beside docs/, and where they stand on the site.
BESIDE = {
    "SECURITY.md": "security.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
}

PARTS: dict[str, Callable[[], str]] = {
    "floors": _floors.drawing,
    "rooms": _floors.rooms,
    "screen": _sample.screen,
    "tasks": _tasks.table,
}


@functools.cache
def made() -> dict[str, str]:
    """Every page that is made while the site is built: its path under docs/, its text."""
    return {
        **_rules.pages(),
        **_api.pages(),
        "commands.md": _commands.page(),
        "benchmarks.md": _benchmarks.page(),
        **{to: _moved((ROOT / name).read_text(encoding="utf-8")) for name, to in BESIDE.items()},
    }


def _moved(text: str) -> str:
    """A page of the root as one of docs/: what it links to lies a folder nearer."""
    text = text.replace("](docs/", "](")
    for name, to in BESIDE.items():
        text = text.replace(f"]({name})", f"]({to})")
    return text


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """The navigation's parts that follow from what there is: a line a rule, a line a room."""
    nav: list[Any] = config.nav or []
    for entry in nav:
        ((title, below),) = entry.items()
        if title == "Rules":
            entry[title] = [below, *sorted(p for p in _rules.pages() if p != below)]
        elif title == "Reference":
            entry[title] = [*below, *_api.pages()]
        elif title == "The house" and (DOCS / "reliability.md").exists():
            entry[title] = [*below, {"Reliability": "reliability.md"}]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the pages that are made, and a report as a run leaves it."""
    for path, text in made().items():
        files.append(File.generated(config, path, content=text))
    files.append(File.generated(config, "sample/report.html", content=_sample.report()))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Puts what is made where a page asks for it."""

    def part(line: re.Match[str]) -> str:
        if line["name"] not in PARTS:
            raise PluginError(
                f"{page.file.src_uri} asks for {line['name']!r}; there are {', '.join(PARTS)}"
            )
        return PARTS[line["name"]]()

    return MADE.sub(part, markdown)
