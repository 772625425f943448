"""`bptt replay`: the update in which something stopped being finite, once more."""

import sys
from pathlib import Path

from bptt._errors import BpttError

STEPS = {"forward": "state", "backward": "gradient", "input": "input"}


def replay(folder: Path) -> None:
    """Run the kept update again and print where it stops being finite; exit code 1 if it does not."""
    from bptt.doctor import describe, replay

    try:
        kept, place = replay(folder)
    except BpttError as error:
        print(f"bptt: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    print(f"update {kept['update']}: {describe(kept['place'])}")
    if place is None:
        where = kept["place"]["site"]
        print(
            f"run again, the recurrent modules stay finite: what came about at {where} lies outside them"
        )
        raise SystemExit(1)
    print(f"run again: {describe(place._asdict())}")
