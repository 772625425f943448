"""`bptt run` ended by signals at random moments: what it wrote is whole, and the folder is free for the next run."""

import json

from killing import SIGNALS
from scripts import ROOT, python


def test_what_signals_leave() -> None:
    told = json.loads(python(ROOT / "tests" / "killing.py", "2", "0").splitlines()[-1])
    assert told == {name: [2] for name in SIGNALS}
