"""What the probes of a run have shown so far: the records of `flow.jsonl`, folded."""

import math
import re
from collections.abc import Mapping
from typing import Any

Record = dict[str, Any]


class Tally:
    """Folds records into the latest digest of each site and the notes on what could not be measured.

    A record is one line of `flow.jsonl`: `{"update", "time", "cost", "sites": {name: digest}, "notes": [...]}`. The
    live line, the page at the end and `findings.json` are all made from a tally, so that a page rebuilt from a run
    folder equals the one shown at the end of the run.

    Example:
        >>> tally = Tally()
        >>> tally.add({"update": 1, "sites": {"rnn.l0": {"kind": "gru", "horizon": 11}}, "notes": []})
        >>> tally.sites["rnn.l0"]["horizon"], tally.probes
        (11, 1)
    """

    def __init__(self) -> None:
        self.sites: dict[str, dict[str, Any]] = {}  # latest digest of each site, "update" added
        self.first: dict[str, dict[str, Any]] = {}  # the first one
        self.notes: list[
            dict[str, str]
        ] = []  # {"subject", "reason"}, each once, with the first probe's numbers
        self.verdict: list[dict[str, Any]] = []  # findings as `findings.json` holds them
        self.probes = 0
        self._last: dict[tuple[str, str], int] = {}  # update at which a finding was last so

    def add(self, record: Mapping[str, Any]) -> None:
        """Take one record in."""
        sites: Mapping[str, Any] = record.get("sites") or {}
        for name, digest in sites.items():
            entry = {**digest, "update": record.get("update")}
            self.sites[name] = entry
            self.first.setdefault(name, entry)
        for note in record.get("notes") or ():
            if all(_sense(note) != _sense(known) for known in self.notes):
                self.notes.append(dict(note))
        self.probes += bool(sites)

    def dated(self, verdict: list[dict[str, Any]], update: int) -> list[dict[str, Any]]:
        """Findings as `findings.json` holds them, each with `last`: the update at which it was still so.

        Args:
            verdict: what the rules say.
            update: the update that they say it at.

        Example:
            >>> tally, finding = Tally(), {"code": "EG202", "site": "l0", "update": 2, "persists": True}
            >>> tally.dated([finding], 10)[0]["last"]
            10
            >>> tally.dated([{**finding, "persists": False}], 30)[0]["last"]
            10
        """
        found = []
        for each in verdict:
            key = each["code"], each["site"]
            if each.get("persists", True) or key not in self._last:
                began = each.get("update") or update
                self._last[key] = update if each.get("persists", True) else began
            below = self.dated(each.get("consequences", []), update)
            found.append({**each, "last": self._last[key], "consequences": below})
        return found

    def findings(self, script: str, sentence: str | None = None) -> dict[str, Any]:
        """The content of `findings.json`; `sentence` says why nothing was measured."""
        kept = ("kind", "steps", "horizon", "rate", "unreached", "update")
        return {
            "version": 1,
            "script": script,
            "sites": {
                name: {key: digest.get(key) for key in kept} for name, digest in self.sites.items()
            },
            "findings": self.verdict,
            "notes": [
                *self.notes,
                *([{"subject": script, "reason": sentence}] if sentence else []),
            ],
        }


def _sense(note: Mapping[str, str]) -> tuple[str, str]:
    """A note without its numbers, which differ from probe to probe where it says the same.

    Example:
        >>> _sense({"subject": "l0", "reason": "gradients of 3 of 16 samples"})
        ('l0', 'gradients of # of # samples')
    """
    return note["subject"], re.sub(r"\d+(?:\.\d+)?(?:e[+-]?\d+)?", "#", note["reason"])


def finite(value: Any) -> Any:
    """`value` with every number that JSON cannot hold (nan, infinities) replaced by None.

    Example:
        >>> finite({"rate": float("nan"), "credit": [[0, 1.0], [1, float("inf")]]})
        {'rate': None, 'credit': [[0, 1.0], [1, None]]}
    """
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(item) for item in value]
    return value
