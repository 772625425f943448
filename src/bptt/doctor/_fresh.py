"""Evidence since some update: what the rules may judge a repair by."""

from dataclasses import replace
from typing import Any

from bptt.rules import Evidence, Updates, Weights

COUNTED = ("steps", "with_grad", "moved", "other_moved")


class Since:
    """A mark in a run's evidence; `evidence` is what came after it.

    Example:
        >>> whole = Evidence(updates=Updates(norm=[1.0, 2.0]))
        >>> mark = Since(whole, 2)
        >>> whole.updates.norm.append(3.0)
        >>> mark.evidence(whole).updates.norm
        [3.0]
    """

    def __init__(self, whole: Evidence, update: int) -> None:
        self.update = update
        self.entries = whole.updates.count
        self.weights = {name: replace(facts) for name, facts in whole.weights.items()}

    def evidence(self, whole: Evidence) -> Evidence:
        """Looks after the mark, each of which counts; updates and weights likewise."""
        looks = {
            site: [replace(look, milestone=True) for look in looks if look.update > self.update]
            for site, looks in whole.looks.items()
        }
        incident = whole.incident
        return Evidence(
            looks={site: later for site, later in looks.items() if later},
            updates=self._updates(whole.updates),
            weights={name: self._facts(name, facts) for name, facts in whole.weights.items()},
            incident=incident if incident is not None and incident.update > self.update else None,
            lag=whole.lag,
        )

    def _updates(self, whole: Updates) -> Updates:
        later = min(whole.count - self.entries, len(whole))
        lists: dict[str, Any] = {
            name: column[len(column) - later :] for name, column in whole.columns()
        }
        over = whole.left_over
        left = over[max(len(over) - later, 0) :]
        return Updates(**lists, left_over=left, holds=whole.holds, by_hand=whole.by_hand)

    def _facts(self, name: str, facts: Weights) -> Weights:
        before = self.weights.get(name)
        if before is None:
            return facts
        less = {field: getattr(facts, field) - getattr(before, field) for field in COUNTED}
        return replace(facts, **less)
