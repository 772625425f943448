"""What sentinels saw of every update, as a series that stays small: neighbours are merged as it grows.

An entry stands for the updates `first … last`; at first for one each. Once there are more than twice as many entries as
wanted, neighbours are merged in pairs, and each new entry stands for twice as many updates as before; so it does where
entries come so fast that to write them would cost more than a thousandth of the time. A run of any length has at most
8,000 entries, and every update has left its smallest and largest values in one of them.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

MOST = 4000
"""Entries that are kept of a long run; twice as many before they are merged."""
FREELY, PER_SECOND = 1000, 20.0
"""Entries that are made at whatever pace, and how many a second beyond them."""


class Update(NamedTuple):
    """One update: its number, loss, gradient norm before clipping, what clipped it, how far the weights moved.

    `clip` is the threshold, `coefficient` what clipping multiplied the gradient by, `ratio` is `‖Δw‖/‖w‖` of the
    recurrent weights; nan where not known.
    """

    number: int
    loss: float
    norm: float
    clip: float
    coefficient: float
    ratio: float


@dataclass
class Range:
    """Smallest, mean and largest of the finite values taken in."""

    low: float = math.inf
    high: float = -math.inf
    total: float = 0.0
    count: int = 0

    def take(self, values: Iterable[float]) -> None:
        """Take some in; those that are not finite are passed over."""
        finite = [value for value in values if math.isfinite(value)]
        if finite:
            self.join(Range(min(finite), max(finite), sum(finite), len(finite)))

    def join(self, other: "Range") -> None:
        """Take all in that another one has taken in."""
        self.low, self.high = min(self.low, other.low), max(self.high, other.high)
        self.total, self.count = self.total + other.total, self.count + other.count

    def told(self) -> list[float | None]:
        """`[smallest, mean, largest]`, to six digits; None each where there was none."""
        if not self.count:
            return [None, None, None]
        return [short(each) for each in (self.low, self.total / self.count, self.high)]


@dataclass
class Entry:
    """Updates `first … last` of a series."""

    first: int
    last: int
    norm: Range = field(default_factory=Range)
    loss: Range = field(default_factory=Range)
    clip: float = math.nan
    clipped: int = 0
    ratio: float = math.nan
    count: int = 0
    bad: int = 0  # updates whose loss or gradient is not finite

    def take(self, updates: Sequence[Update]) -> None:
        """Some updates more, column by column: this is done for every update of a run."""
        numbers, losses, norms, clips, coefficients, ratios = zip(*updates, strict=True)
        self.last = numbers[-1]
        self.norm.take(norms)
        self.loss.take(losses)
        self.clip = next((each for each in reversed(clips) if math.isfinite(each)), self.clip)
        self.clipped += sum(each < 1 - 1e-6 for each in coefficients)
        self.ratio = _larger(self.ratio, max((r for r in ratios if r == r), default=math.nan))
        self.count += len(updates)
        self.bad += sum(
            not math.isfinite(norm) or math.isinf(loss)
            for norm, loss in zip(norms, losses, strict=True)
        )

    def join(self, later: "Entry") -> None:
        """The entry after this one becomes part of it."""
        self.last = later.last
        self.norm.join(later.norm)
        self.loss.join(later.loss)
        self.clip = later.clip if math.isfinite(later.clip) else self.clip
        self.clipped += later.clipped
        self.ratio = _larger(self.ratio, later.ratio)
        self.count += later.count
        self.bad += later.bad

    def as_dict(self) -> dict[str, Any]:
        """As a line of `updates.jsonl` holds it."""
        told = {
            "update": self.last,
            "from": self.first,
            "norm": self.norm.told(),
            "loss": self.loss.told(),
            "clip": short(self.clip),
            "clipped": round(self.clipped / max(self.count, 1), 4),
            "ratio": short(self.ratio),
        }
        return {**told, "nonfinite": self.bad} if self.bad else told


class Series:
    """Entries of all updates so far.

    Args:
        most: entries wanted of a long run.

    Attributes:
        entries: all that are complete.
        width: updates that an entry stands for by now.
        written: entries that are on the disk; None once they were merged, for then all are written anew.

    Example:
        >>> series = Series(most=2)
        >>> series.add(Update(n, 1.0 / n, float(n), 4.0, 0.8, 1e-3) for n in range(1, 6))
        >>> series.entries[0].as_dict()
        {'update': 2, 'from': 1, 'norm': [1.0, 1.5, 2.0], 'loss': [0.5, 0.75, 1.0], 'clip': 4.0, 'clipped': 1.0,
         'ratio': 0.001}
        >>> [(each["from"], each["update"]) for each in series.as_dicts()]
        [(1, 2), (3, 4), (5, 5)]
    """

    def __init__(self, most: int = MOST) -> None:
        self.entries: list[Entry] = []
        self.width = 1
        self.written: int | None = 0
        self._most, self._open, self._made = most, Entry(1, 0), 0
        self._paced = (0.0, 0)  # seconds, and entries made by then

    def add(self, updates: Iterable[Update]) -> None:
        """Take updates in, in the order of their numbers."""
        given, n = list(updates), 0
        while n < len(given):
            if not self._open.count:
                self._open.first = given[n].number
            part = given[n : n + max(self.width - self._open.count, 1)]
            self._open.take(part)
            n += len(part)
            if self._open.count >= self.width:
                self._complete()

    def pace(self, seconds: float) -> None:
        """The run is so many seconds old: where entries came too fast for that, new ones stand for more updates."""
        since, then = self._paced
        share = (self._made - then) / (PER_SECOND * max(seconds - since, 1.0))
        if self._made > FREELY and share > 1:
            self.width *= 2 ** math.ceil(math.log2(share))
        self._paced = seconds, self._made

    def _complete(self) -> None:
        self._made += 1
        self.entries.append(self._open)
        self._open = Entry(1, 0)
        if len(self.entries) <= 2 * self._most:
            return
        alone = self.entries.pop() if len(self.entries) % 2 else None
        for one, other in zip(self.entries[::2], self.entries[1::2], strict=True):
            one.join(other)
        self.entries = self.entries[::2]
        self.width *= 2
        if alone is not None:  # half an entry of the new width: goes on
            self._open = alone
        self.written = None

    def close(self) -> None:
        """The run is over: the last entry stays as short as it is."""
        if self._open.count:
            self.entries.append(self._open)
            self._open = Entry(1, 0)

    def as_dicts(self) -> list[dict[str, Any]]:
        """All entries, the one that is not complete too."""
        rest = [self._open] if self._open.count else []
        return [each.as_dict() for each in [*self.entries, *rest]]


def short(value: float, digits: int = 6) -> float | None:
    """The number with so many digits, None where it is not finite.

    Example:
        >>> short(2 / 3), short(float("nan"))
        (0.666667, None)
    """
    return float(f"{value:.{digits}g}") if math.isfinite(value) else None


def _larger(a: float, b: float) -> float:
    return b if math.isnan(a) or b > a else a
