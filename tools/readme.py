"""Keeps the terminal screen in README.md equal to its file, which a command makes.

    python tools/readme.py --run      # run the command, write the file and the block in README.md
    python tools/readme.py            # write the block from the file
    python tools/readme.py --check    # exit 1 if the block is not the file's text

A block starts with the line `<!-- screen: FILE, made by: COMMAND -->` and ends with
`<!-- end -->`. The command runs in the repository's root; its whole output is the screen.
"""

import argparse
import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"
BLOCK = re.compile(
    r"(?P<head><!-- screen: (?P<file>\S+), made by: (?P<command>.+?) -->\n).*?(?=<!-- end -->)",
    re.DOTALL,
)


def rendered(text: str) -> str:
    """The README's text with every block filled from its file."""

    def fill(block: re.Match[str]) -> str:
        screen = (ROOT / block["file"]).read_text(encoding="utf-8").rstrip()
        return f"{block['head']}```text\n{screen}\n```\n"

    return BLOCK.sub(fill, text)


def run(command: str) -> str:
    """What `command` prints, both streams in order, without a terminal, 80 columns wide."""
    beside = Path(sys.executable).parent  # the environment's own python and bptt come first
    path = os.pathsep.join([str(beside), os.environ.get("PATH", os.defpath)])
    environment = os.environ | {"PATH": path, "COLUMNS": "80", "PYTHONUNBUFFERED": "1"}
    done = subprocess.run(
        command,
        shell=True,
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
    )
    if done.returncode:
        sys.exit(f"{command!r} exited with {done.returncode}:\n{done.stdout}")
    return "".join(f"{line.rstrip()}\n" for line in done.stdout.splitlines())


def main() -> None:
    """Parse, then write or compare."""
    parser = argparse.ArgumentParser()
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--run", action="store_true", help="run each block's command first")
    what.add_argument("--check", action="store_true", help="change nothing; exit 1 if not current")
    args = parser.parse_args()

    text = README.read_text(encoding="utf-8")
    if args.run:
        for block in BLOCK.finditer(text):
            file = ROOT / block["file"]
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(f"$ {block['command']}\n{run(block['command'])}", encoding="utf-8")
        text = README.read_text(encoding="utf-8")  # it may have been edited meanwhile
    current = rendered(text)
    if args.check and current != text:
        sys.exit("README.md and its screens differ; `python tools/readme.py` writes them anew")
    if not args.check:
        README.write_text(current, encoding="utf-8")


if __name__ == "__main__":
    main()
