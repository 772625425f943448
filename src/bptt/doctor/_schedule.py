"""When to probe: as often as a share of the run's time allows, and always at the first update."""

import math
from dataclasses import dataclass

from bptt._errors import BpttError

MILESTONES = (1, 3, 10, 30, 100, 300, 1000, 3000, 10_000, 30_000, 100_000, 300_000, 1_000_000)
"""Updates that are probed whatever the budget is: what rules judge sites by."""
FREE = 30.0
"""Seconds that probes at milestones may take beyond what the budget allows. A verdict needs them, and so has them
whatever the budget is; where one takes so long that they do not fit, the next probe that does stands for them."""


@dataclass(frozen=True)
class Schedule:
    """Says when the next probe is due.

    With `spent` the seconds given to `probes` probes so far, a probe is expected to cost their mean, and it is due once

        spent + spent / probes <= budget * elapsed,

    so the share `spent / elapsed` stays at or below the budget whenever a probe costs what the ones before it did.
    The first probe is always due: a run that ends after one update has been measured too. Milestones (updates 1, 3, 10,
    30, …) are due as long as they fit into half a minute or the budget, whichever is more: a short run may
    spend more than its budget by that much, a long one does not.

    Args:
        budget: share of the elapsed time that probes may take; 0 probes the first update only, a
            large number (10) every one.

    Raises:
        BpttError: the budget is negative or not a number.

    Example:
        >>> schedule = Schedule(budget=0.02)
        >>> schedule.due(spent=0.0, probes=0, elapsed=0.0)
        True
        >>> schedule.wait(spent=0.1, probes=1, elapsed=4.0)  # 0.2 s are 2 % of 10 s
        6.0
    """

    budget: float = 0.02

    def forced(self, spent: float, probes: int, elapsed: float) -> bool:
        """Whether a probe at a milestone may start: within the budget, or within `FREE` seconds.

        Example:
            >>> Schedule(0.02).forced(spent=0.5, probes=2, elapsed=3.0), Schedule(0.02).due(0.5, 2, 3.0)
            (True, False)
        """
        expected = spent + spent / probes if probes else 0.0
        return expected <= max(self.budget * elapsed, FREE)

    def __post_init__(self) -> None:
        if not self.budget >= 0.0:
            raise BpttError(
                f"budget is {self.budget}, expected a share of the run's time of at least 0; "
                "0.02 allows 2 %, 0 probes the first update only"
            )

    def due(self, spent: float, probes: int, elapsed: float) -> bool:
        """Whether a probe may start now."""
        return self.wait(spent, probes, elapsed) <= 0.0

    def wait(self, spent: float, probes: int, elapsed: float) -> float:
        """Seconds until a probe may start if nothing is spent meanwhile; infinite when the budget is 0."""
        if probes == 0:
            return 0.0
        if self.budget == 0.0:
            return math.inf
        return max(0.0, (spent + spent / probes) / self.budget - elapsed)
