"""Pins with hashes, for `pip install --require-hashes`: what this platform and index have for `constraints.txt`.

    python tools/lock.py > requirements-lock.txt

The hashes are those of the files that pip would take, here and now. One list fits one platform and one index: torch has
one version and several builds, `2.13.0` and `2.13.0+cpu`, with files of their own. So a list is made for a release and
not kept.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
CONSTRAINTS = ROOT / "constraints.txt"


def report() -> dict[str, Any]:
    """What pip would install, and from where; nothing is installed."""
    options = ("--dry-run", "--ignore-installed", "--no-deps", "--quiet")
    command = [
        sys.executable,
        "-m",
        "pip",
        "install",
        *options,
        "--report",
        "-",
        "-r",
        str(CONSTRAINTS),
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stderr)
    return json.loads(done.stdout)


def lines(told: dict[str, Any]) -> list[str]:
    """A pin and its hash for each file.

    Raises:
        SystemExit: a file comes without a SHA-256.

    Example:
        >>> archive = {"hashes": {"sha256": "00ff"}}
        >>> item = {"metadata": {"name": "a", "version": "1"}, "download_info": {"archive_info": archive}}
        >>> lines({"install": [item]})
        ['a==1 --hash=sha256:00ff']
    """
    made = []
    for item in told["install"]:
        name, version = item["metadata"]["name"], item["metadata"]["version"]
        hashes = item["download_info"].get("archive_info", {}).get("hashes", {})
        if "sha256" not in hashes:
            sys.exit(f"{name} {version} has no SHA-256: {item['download_info'].get('url')}")
        made.append(f"{name}=={version} --hash=sha256:{hashes['sha256']}")
    return sorted(made, key=str.lower)


if __name__ == "__main__":
    print("\n".join(lines(report())))
