"""From the sentinels' columns to a series: what was seen of each update since the last time."""

import math

from bptt.doctor._owner import Owner
from bptt.doctor._sentinel import Sentinel
from bptt.doctor._series import Update
from bptt.rules import Updates


class Recent:
    """Takes the updates of all optimizers, or those of a loop by hand, each once.

    Args:
        sentinel: keeps a column of each quantity and optimizer.
    """

    def __init__(self, sentinel: Sentinel) -> None:
        self._sentinel = sentinel
        self._taken: dict[int, tuple[Owner, int]] = {}
        self._by_hand = 0

    def take(self) -> list[Update]:
        """Those since the last call, by their numbers."""
        found: list[Update] = []
        for key, owner in self._sentinel.owners.items():
            known, taken = self._taken.get(key, (owner, 0))
            taken = (
                taken if known is owner else 0
            )  # another optimizer in the place of one that is gone
            found += _since(owner.updates, taken)
            self._taken[key] = owner, owner.updates.count
        hand = self._sentinel.hand.updates
        found += _since(hand, self._by_hand)
        self._by_hand = hand.count
        return sorted(found)

    def parameters(self) -> int | None:
        """The number of weights that optimizers own, or that a loop by hand changes; None before either is known."""
        own = [p for owner in self._sentinel.owners.values() for p in owner.parameters]
        sizes = {id(p): p.numel() for p in own or self._sentinel.hand.leaves}
        return sum(sizes.values()) or None


def _since(columns: Updates, taken: int) -> list[Update]:
    """Those after so many; the latest are never let go."""
    fresh = min(columns.count - taken, len(columns))
    return [_update(columns, n) for n in range(len(columns) - fresh, len(columns))]


def _update(columns: Updates, n: int) -> Update:
    clip = columns.clip[n]
    return Update(
        columns.number(n),
        columns.loss[n],
        columns.unclipped[n],
        clip if math.isfinite(clip) else math.nan,
        columns.coefficient[n],
        columns.ratio[n],
    )
