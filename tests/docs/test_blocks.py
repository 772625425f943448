"""Python on pages that readers follow line by line: every block runs, each page from its top to its end."""

import re
from pathlib import Path

import pytest

from scripts import ROOT

BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PAGES = ("index", "how-do-i", "tasks", "run-folder")


def blocks(page: str) -> list[str]:
    """With empty lines in front, so that an error names the page's own line."""
    text = (ROOT / "docs" / f"{page}.md").read_text(encoding="utf-8")
    return ["\n" * text[: found.start(1)].count("\n") + found[1] for found in BLOCK.finditer(text)]


@pytest.mark.parametrize("page", PAGES)
def test_the_blocks_of_a_page_run(
    page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    found = blocks(page)
    assert found
    names: dict[str, object] = {"__name__": page}
    for block in found:
        exec(compile(block, f"docs/{page}.md", "exec"), names)


def test_what_pages_say_of_commands_is_so() -> None:
    """Every option that a page shows is one of the command's own."""
    options = (ROOT / "tests" / "cli" / "options.txt").read_text(encoding="utf-8")
    known = set(re.findall(r"--[a-z-]+", options))
    for page in ("index", "how-do-i", "see-a-run", "tasks"):
        text = (ROOT / "docs" / f"{page}.md").read_text(encoding="utf-8")
        told = [line for line in text.splitlines() if line.startswith("bptt ")]
        assert told
        for line in told:
            ours = line.split("#")[0].split(".py")[0]  # what stands behind a script is the script's
            assert set(re.findall(r"--[a-z-]+", ours)) <= known, line
