"""Several processes of one training: each watches, one writes, and all end with one verdict.

In data-parallel training every process sees other samples, so a fault in the data may show in one of them only. The
processes tell each other through the key-value store that their process group was made with. No collective is called:
one that a process does not reach, or dies in, would hold up all the others. Whoever waits does so for `WAIT` seconds
at most, at the run's end, and then goes on with what is there.

| key | holds | set |
|---|---|---|
| `bptt/RUN/now/RANK` | what that process would say | after each of its probes |
| `bptt/RUN/last/RANK` | its last word | when its monitor stops |
| `bptt/RUN/verdict` | what all say | by the first process, when every last word is there, or time is up |
| `bptt/RUN/heard/RANK` | nothing | once that process has read the verdict |
"""

import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from bptt.doctor._verdict import as_dict, together
from bptt.rules import Finding, Prescription

WAIT = 10.0
"""Seconds that a process waits for the others when its run is over."""
PAUSE = 0.02
"""Seconds between two looks into the store."""
_runs = [0]


def rank() -> int:
    """Number of this process among those of the training; 0 if it is the only one."""
    group, told = _group(), os.environ.get("RANK", "")
    return group.get_rank() if group is not None else int(told) if told.isdigit() else 0


def _group() -> Any:
    """`torch.distributed`, if it is in use."""
    module: Any = sys.modules.get("torch.distributed")
    ready = module is not None and module.is_available() and module.is_initialized()
    return module if ready else None


class Peers:
    """The processes of one training, as one of them sees the others.

    Args:
        store: a store of `torch.distributed`; it may outlive the process group.
        rank: number of this process.
        size: number of all.

    Example:
        >>> from torch.distributed import HashStore
        >>> alone = Peers(HashStore(), rank=0, size=1)
        >>> alone.settle([]), alone.missing
        ([], [])
    """

    def __init__(self, store: Any, rank: int, size: int) -> None:
        self.rank, self.size, self.missing = rank, size, list[int]()
        self._store = store
        _runs[0] += 1
        self._prefix = f"bptt/{_runs[0]}"

    @staticmethod
    def find() -> "Peers | None":
        """The other processes, once the default process group is there; None where this one is alone."""
        group = _group()
        if group is None or group.get_world_size() < 2:
            return None
        store = group.distributed_c10d._get_default_store()
        return Peers(store, group.get_rank(), group.get_world_size())

    def share(self, findings: list[Finding]) -> list[Finding]:
        """Amid the run: tell the others, wait for nobody. The first process adds what they have told so far."""
        self._try(lambda: self._set(f"now/{self.rank}", _packed(findings)))
        if self.rank != 0:
            return findings
        return together({0: findings, **self._told([])}, self.size)

    def settle(self, findings: list[Finding]) -> list[Finding]:
        """At the run's end: what all say, the same in every process that is still there to hear it.

        `missing` holds the numbers of those that did not come to their end in time; what they had told before counts.
        """
        self._try(lambda: self._set(f"last/{self.rank}", _packed(findings)))
        until = time.monotonic() + WAIT
        return self._say(findings, until) if self.rank == 0 else self._hear(findings, until)

    def _say(self, findings: list[Finding], until: float) -> list[Finding]:
        others = list(range(1, self.size))
        there = [other for other in others if self._await(f"last/{other}", until)]
        self.missing = [other for other in others if other not in there]
        found = together({0: findings, **self._told(there)}, self.size)
        verdict = {"findings": [as_dict(each) for each in found], "missing": self.missing}
        self._try(lambda: self._set("verdict", json.dumps(verdict)))
        # The store may live in this process: it stays until the others have read.
        until = time.monotonic() + WAIT
        for other in there:
            self._await(f"heard/{other}", until)
        return found

    def _hear(self, findings: list[Finding], until: float) -> list[Finding]:
        # The first process may itself be waiting for others, since later than this one.
        if not self._await("verdict", until + WAIT / 2):
            self.missing = [0]
            return findings
        verdict = self._try(lambda: json.loads(self._get("verdict")))
        self._try(lambda: self._set(f"heard/{self.rank}", ""))
        if verdict is None:
            self.missing = [0]
            return findings
        self.missing = verdict["missing"]
        return [_finding(each) for each in verdict["findings"]]

    def _told(self, ended: Sequence[int]) -> dict[int, list[Finding]]:
        """What the others have said: their last word where they have `ended`, else the one before."""
        found = {}
        for other in range(1, self.size):
            key = f"{'last' if other in ended else 'now'}/{other}"
            if other in ended or self._there(key):
                text = self._try(lambda key=key: self._get(key))
                found[other] = [] if text is None else [_finding(each) for each in json.loads(text)]
        return found

    # The store. One that no longer answers holds nothing.

    def _set(self, key: str, text: str) -> None:
        self._store.set(f"{self._prefix}/{key}", text)

    def _get(self, key: str) -> str:
        return self._store.get(f"{self._prefix}/{key}").decode()

    def _there(self, key: str) -> bool:
        return bool(self._try(lambda: self._store.check([f"{self._prefix}/{key}"])))

    def _await(self, key: str, until: float) -> bool:
        while not (there := self._there(key)) and time.monotonic() < until:
            time.sleep(PAUSE)
        return there

    @staticmethod
    def _try(call: Callable[[], Any]) -> Any:
        try:
            return call()
        except Exception:  # the process that held the store is gone; torch has many names for that
            return None


def _packed(findings: Sequence[Finding]) -> str:
    return json.dumps([as_dict(each) for each in findings])


def _finding(content: dict[str, Any]) -> Finding:
    """Back from a dictionary."""
    plain = {key: value for key, value in content.items() if key not in ("prescriptions",)}
    told = tuple(Prescription(each["remedy"], each["args"]) for each in content["prescriptions"])
    below = tuple(_finding(each) for each in content["consequences"])
    return replace(Finding(**plain), prescriptions=told, consequences=below)
