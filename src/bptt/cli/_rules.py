"""`bptt rules` and `bptt explain`: the rules, and one rule's page. Neither needs torch."""

import json
import sys
from contextlib import suppress

from bptt._errors import BpttError
from bptt.rules import page, pages


def rules(*, as_json: bool) -> None:
    """Print one line a rule; or, for other programs, the same as JSON."""
    if as_json:
        rows = [
            {"code": p.code, "name": p.name, "summary": p.summary, "options": p.options}
            for p in pages().values()
        ]
        print(json.dumps(rows, indent=1))
        return
    width = max(len(each.name) for each in pages().values())
    for each in pages().values():
        print(f"{each.code}  {each.name.ljust(width)}  {each.summary}")


def explain(word: str) -> None:
    """Print the page of a rule; for one that does not exist, the nearest, and exit code 2."""
    try:
        found = page(word)
    except BpttError as error:
        print(f"bptt: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    with suppress(BrokenPipeError):  # a reader such as head may close early
        print(found.text, flush=True)
    if found.options:
        told = ", ".join(f"{name} = {value:g}" for name, value in found.options.items())
        print(f"\n## Settings\n\n[tool.bptt.options.{found.code}]: {told}")
