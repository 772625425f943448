"""README.md: the recorded screen, the repository's own tree, links that lead somewhere."""

import re
import subprocess
import sys

import pytest

from scripts import ROOT

TEXT = (ROOT / "README.md").read_text(encoding="utf-8")


def tree() -> set[str]:
    """The folders and files that README's tree names, as paths from the root."""
    (block,) = re.findall(r"``text\n(bptt/\n.*?)``", TEXT, re.DOTALL)
    parts: list[str] = []
    paths: set[str] = set()
    for line in block.splitlines()[1:]:
        name = line.split()[0]
        depth = (len(line) - len(line.lstrip())) // 2
        parts = [*parts[: depth - 1], name.rstrip("/")]
        paths.add("/".join(parts))
    return paths


def test_the_tree_names_only_what_exists() -> None:
    assert len(tree()) > 5
    assert {path for path in tree() if not (ROOT / path).exists()} == set()


@pytest.mark.parametrize("folder", [".", "src/bptt"])
def test_the_tree_names_every_tracked_folder(folder: str) -> None:
    command = ["git", "ls-files", folder]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    tracked = done.stdout.splitlines()
    start = "" if folder == "." else f"{folder}/"
    below = [path.removeprefix(start) for path in tracked if path.startswith(start)]
    folders = {start + path.split("/")[0] for path in below if "/" in path}
    assert {path for path in folders if not path.startswith(".")} - tree() == set()


def test_relative_links_lead_somewhere() -> None:
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", TEXT) if "://" not in link]
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_the_screen_is_the_recorded_one() -> None:
    done = subprocess.run(
        [sys.executable, "tools/readme.py", "--check"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_its_commands_are_targets() -> None:
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M)
    named = re.findall(r"make ([a-z]+)", TEXT)
    assert {"demo", "test"} <= set(named) <= set(targets)
