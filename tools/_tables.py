"""Tables on pages that are made from result files: what the tools that keep them share.

A table stands between `<!-- KIND: NAME -->` and `<!-- end -->`.
"""

import argparse
import re
import sys
from collections.abc import Callable, Iterable
from pathlib import Path


def line(cells: Iterable[object]) -> str:
    """One row, in Markdown."""
    return f"| {' | '.join(map(str, cells))} |"


def table(head: Iterable[object], rows: Iterable[Iterable[object]]) -> str:
    """Markdown; numbers to the right."""
    names = list(head)
    rule = ["---", *["---:"] * (len(names) - 1)]
    return "\n".join([line(names), line(rule), *map(line, rows)])


def keep(tool: str, kind: str, pages: Iterable[Path], made: Callable[[str], str]) -> None:
    """Write the pages' tables anew; with `--check` change nothing, and exit 1 if one is not what the files say.

    Args:
        tool: the file's name, for what is said.
        kind: of the tables.
        pages: where they stand.
        made: a table by its name.
    """
    parser = argparse.ArgumentParser()
    parser.add_argument(
        "--check", action="store_true", help="change nothing; exit 1 if not current"
    )
    check = parser.parse_args().check
    block = re.compile(rf"(?P<head><!-- {kind}: (?P<name>\w+) -->\n).*?(?=<!-- end -->)", re.DOTALL)
    for page in pages:
        text = page.read_text(encoding="utf-8")
        current = block.sub(lambda found: f"{found['head']}\n{made(found['name'])}\n\n", text)
        if check and current != text:
            sys.exit(
                f"{page.name} and benchmarks/results differ; `python tools/{tool}` writes its tables anew"
            )
        if current != text:
            page.write_text(current, encoding="utf-8")
