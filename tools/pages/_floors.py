"""The house as a picture and a table, from the import contract of pyproject.toml and the rooms' own first lines."""

import ast
import html
import tomllib

from _shared import ROOT, table

WIDE, HIGH, GAP = 640, 34, 8


def floors() -> list[list[str]]:
    """Rooms by floor, the highest first; files such as `__main__` stand with them."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    contracts = tomllib.loads(text)["tool"]["importlinter"]["contracts"]
    (layers,) = (each["layers"] for each in contracts if each["id"] == "floors")
    return [[room.strip(" ()") for room in floor.split("|")] for floor in layers]


def drawing() -> str:
    """Floors above one another in the page's own colours: imports go downwards."""
    rows, boxes = floors(), []
    for n, rooms in enumerate(rows):
        wide = (WIDE - GAP * (len(rooms) - 1)) / len(rooms)
        for k, room in enumerate(rooms):
            x, y = k * (wide + GAP), n * (HIGH + GAP)
            boxes.append(
                f'<rect x="{x + 1:.1f}" y="{y + 1}" width="{wide - 2:.1f}" height="{HIGH - 2}" rx="4" fill="none" '
                f'stroke="currentColor"/><text x="{x + wide / 2:.1f}" y="{y + HIGH / 2 + 5:.1f}" '
                f'text-anchor="middle" fill="currentColor" font-size="15">{html.escape(room)}</text>'
            )
    said = "; ".join(", ".join(rooms) for rooms in rows)
    return (
        # Within a div it is HTML to Markdown, which would take `__main__` for bold.
        f'<div><svg viewBox="0 0 {WIDE} {len(rows) * (HIGH + GAP)}" role="img" style="max-width: 40em; width: 100%" '
        f'aria-label="floors from the top: {html.escape(said)}">{"".join(boxes)}</svg></div>'
    )


def rooms() -> str:
    """Every room with its first line."""
    rows = [[f"`{room}`", first_line(room)] for floor in floors() for room in floor]
    return table(["room", "what it is"], rows)


def first_line(room: str) -> str:
    folder = ROOT / "src" / "bptt"
    path = folder / room / "__init__.py"
    path = path if path.exists() else folder / f"{room}.py"
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return " ".join(text.split("\n\n")[0].split())
