"""What is shown of a run while it goes on, wherever that is known from: the run's own process, or its folder."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bptt.doctor import Run
from bptt.report.terminal import unfinite

Digest = Mapping[str, Any]

AWARE = 64
"""Losses at either end of a run that tell whether losses are seen at all."""
WORST = {"error": 0, "warning": 1, "advice": 2}


@dataclass(frozen=True)
class Reach:
    """How far the gradient reaches at one site.

    Attributes:
        site: its name.
        last: its latest digest, as `flow.jsonl` has it.
        first: its first one.
    """

    site: str
    last: Digest
    first: Digest = field(default_factory=dict)

    @property
    def share(self) -> float | None:
        """Of the lags there are, those that the gradient reaches; 0 where none is a number, None if that is not known.

        Example:
            >>> Reach("rnn.l0", {"horizon": 31, "lags": 124}).share
            0.25
        """
        horizon, lags = self.last.get("horizon"), self.last.get("lags")
        if unfinite(self.last):
            return 0.0
        return min(horizon / lags, 1.0) if horizon is not None and lags else None


@dataclass(frozen=True)
class Glance:
    """A run at one moment.

    Attributes:
        script: what runs.
        state: `running`, or how it ended.
        updates: updates of the weights so far.
        goal: updates in all, 0 where that is not known.
        seconds: since the start.
        speed: updates a second of late; None if not known.
        share: of the run's time, what the monitor took.
        losses: of the updates, the first first; nan where none was seen.
        sites: where gradients were measured.
        findings: as `findings.json` holds them.
        damage: a sentence for each part of the run's folder that is damaged.

    Example:
        >>> Glance("train.py", losses=[4.0, 2.5]).loss, Glance("train.py", losses=[math.nan]).loss
        (2.5, None)
    """

    script: str
    state: str = "running"
    updates: int = 0
    goal: int = 0
    seconds: float = 0.0
    speed: float | None = None
    share: float | None = None
    losses: Sequence[float] = ()
    sites: Sequence[Reach] = ()
    findings: Sequence[Digest] = ()
    damage: Sequence[str] = ()

    @property
    def loss(self) -> float | None:
        """The last one, which may be nan after others that were not; None if none was ever seen."""
        seen = (*self.losses[-AWARE:], *self.losses[:AWARE])
        return self.losses[-1] if any(not math.isnan(each) for each in seen) else None

    @property
    def worst(self) -> list[Digest]:
        """The findings, the worst first, and of those the one that began last."""
        return sorted(
            self.findings,
            key=lambda each: (WORST.get(str(each.get("severity")), 3), -(each.get("update") or 0)),
        )

    def shortest(self, n: int) -> list[Reach]:
        """The `n` sites with the shortest reach, in the order of the model.

        Example:
            >>> sites = [Reach(site, {"horizon": h, "lags": 9}) for site, h in (("a", 9), ("b", 3), ("c", 1))]
            >>> [each.site for each in Glance("train.py", sites=sites).shortest(2)]
            ['b', 'c']
        """
        order = sorted(
            range(len(self.sites)),
            key=lambda n: 2.0 if (share := self.sites[n].share) is None else share,
        )
        return [self.sites[n] for n in sorted(order[:n])]


def glance_of(run: Run, *, alive: bool = False) -> Glance:
    """The run that a folder holds.

    Args:
        run: as it was read.
        alive: whether a process still writes to the folder; one that says it runs, and is not, was killed.

    Example:
        >>> from pathlib import Path
        >>> run = Run(Path("a"), {"script": "train.py", "state": "running", "updates": 8, "seconds": 2.0},
        ...     updates=[{"update": 9, "loss": [0.5, 0.7, 0.9]}])
        >>> glance = glance_of(run)
        >>> glance.state, glance.updates, glance.speed, glance.loss
        ('killed', 9, 4.0, 0.7)
    """
    tally, told = run.tally(), run.run
    state = str(told.get("state") or "unknown")
    updates, seconds = _number(told, "updates") or 0.0, _number(told, "seconds") or 0.0
    # A series may be ahead of `run.json`, which is written after them.
    latest = [_number(each, "update") or 0.0 for each in (*run.updates[-1:], *run.records[-1:])]
    return Glance(
        str(told.get("script") or "a training loop"),
        state="killed" if state == "running" and not alive else state,
        updates=int(max(updates, *latest, 0.0)),
        seconds=seconds,
        speed=updates / seconds if seconds > 0 else None,
        share=_number(told, "overhead"),
        losses=losses(run),
        sites=[Reach(site, last, tally.first[site]) for site, last in tally.sites.items()],
        findings=run.findings,
        damage=run.damage,
    )


def losses(run: Run) -> list[float]:
    """The mean loss of each entry of `updates.jsonl`; nan where none was finite.

    Example:
        >>> from pathlib import Path
        >>> losses(Run(Path("a"), {}, updates=[{"update": 1, "loss": [1, 2, 3]}, {"update": 2, "loss": None}]))
        [2.0, nan]
    """
    return [_middle(each.get("loss")) for each in run.updates]


def _middle(told: Any) -> float:
    value = told[1] if isinstance(told, (list, tuple)) and len(told) == 3 else None
    return float(value) if isinstance(value, (int, float)) else math.nan


def _number(told: Digest, key: str) -> float | None:
    value = told.get(key)
    return float(value) if isinstance(value, (int, float)) and math.isfinite(value) else None


class Pace:
    """Updates a second of late, from what was seen now and then.

    Args:
        window: seconds over which the mean is taken.

    Example:
        >>> pace = Pace(window=10.0)
        >>> pace.at(0.0, 0), pace.at(5.0, 20), pace.at(12.0, 90)
        (None, 4.0, 7.5)
    """

    def __init__(self, window: float = 10.0) -> None:
        self._window = window
        self._seen: list[tuple[float, int]] = []

    def at(self, now: float, updates: int) -> float | None:
        """What it is at a moment."""
        self._seen.append((now, updates))
        while len(self._seen) > 2 and self._seen[1][0] <= now - self._window:
            del self._seen[0]
        (begun, before), (_, last) = self._seen[0], self._seen[-1]
        return (last - before) / (now - begun) if now > begun else None
