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
            fresh = range(taken, len(owner.numbers))
            found += [_update(owner.numbers[n], owner.updates, n) for n in fresh]
            self._taken[key] = owner, len(owner.numbers)
        hand = self._sentinel.hand.updates
        found += [_update(n + 1, hand, n) for n in range(self._by_hand, len(hand))]
        self._by_hand = len(hand)
        return sorted(found)

    def parameters(self) -> int | None:
        """The number of weights that optimizers own, or that a loop by hand changes; None before either is known."""
        own = [p for owner in self._sentinel.owners.values() for p in owner.parameters]
        sizes = {id(p): p.numel() for p in own or self._sentinel.hand.leaves}
        return sum(sizes.values()) or None


def _update(number: int, columns: Updates, n: int) -> Update:
    clip = columns.clip[n]
    return Update(
        number,
        columns.loss[n],
        columns.unclipped[n],
        clip if math.isfinite(clip) else math.nan,
        columns.coefficient[n],
        columns.ratio[n],
    )
