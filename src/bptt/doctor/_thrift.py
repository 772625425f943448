"""How much of each update the sentinels look at, where updates are so short that a full look costs too much.

| look | when |
|---|---|
| loss, norm of the gradients, whether they are finite | every update |
| calls of recurrent modules, data they were given | every update, or every `stride`-th |
| how far weights moved, clipping by hand, gradients left over, where gradients arrived | every `stride`-th |

The first updates and those around milestones are looked at whole, and so is one whose gradient is far above the
usual. What lasts (a frozen weight, gradients that nobody clears) is then seen all the same.
"""

import math

from bptt.doctor._sentinel import EVERY_ONE, Sentinel

SHARE = 0.45
"""Of the budget, for sentinels; probes, judging and writing have the rest."""
LEAST = 0.005
"""Share of the time that sentinels may take whatever the budget is."""
MOST_SELDOM = 64
"""At least one update of so many is looked at whole."""
ROUND = 16
"""Updates from which the cost is judged."""
BETWEEN = 256
"""Updates between two rounds, once it is known."""
STEP_SECONDS = 3e-5
"""What no clock of ours sees of one update: torch calls hooks, a pass and its clipping are announced, and all of that
pushes the script's own data out of the processor's nearest memory. `benchmarks/sentinel_cost.py` holds what the monitor
says it costs against what it does cost."""


class Thrift:
    """Measures what whole and thin looks cost, and spaces the whole ones so that the share holds.

    With a whole look costing `a`, a thin one `b`, an update `u` and the allowed share `s`, a whole look at every
    `k`-th update costs `b + (a - b) / k` an update, so `k = (a - b) / (s u - b)`.

    Args:
        budget: share of the time for sentinels and probes.
    """

    def __init__(self, budget: float) -> None:
        self._allowed = max(SHARE * budget, LEAST)
        self._seconds = self._elapsed = 0.0
        self._costs: dict[bool, list[float]] = {True: [], False: []}
        self._updates: list[float] = []
        self._from = 0

    def update(self, sentinel: Sentinel, seconds: float, elapsed: float) -> None:
        """An update is over. `seconds`, `elapsed`: the sentinels' time and the run's, so far."""
        if sentinel.number < self._from:
            return
        seconds += sentinel.forward.seconds
        if sentinel.number > self._from:
            self._costs[sentinel.was_full].append(seconds - self._seconds + STEP_SECONDS)
            self._updates.append(elapsed - self._elapsed)
        self._seconds, self._elapsed = seconds, elapsed
        if sentinel.number >= EVERY_ONE and len(self._updates) >= ROUND:
            self._judge(sentinel)

    def _judge(self, sentinel: Sentinel) -> None:
        """Medians: a probe, or an evaluation between two updates, says nothing of the usual one."""
        whole, thin = _median(self._costs[True]), _median(self._costs[False])
        allowed = self._allowed * _median(self._updates)
        for costs in (self._updates, *self._costs.values()):
            del costs[:-ROUND]
        if sentinel.stride == 1 and whole <= allowed:
            self._rest(sentinel)
            return
        if math.isnan(thin):  # not tried yet
            sentinel.look_less(3)
            self._updates.clear()
            return
        room = allowed - thin
        stride = math.ceil((whole - thin) / room) if room > 0 and whole > thin else MOST_SELDOM
        stride = min(max(stride, 1), MOST_SELDOM)
        if room <= 0:
            sentinel.forward.seldom = True
        sentinel.look_less(stride)
        self._rest(sentinel)

    def _rest(self, sentinel: Sentinel) -> None:
        self._updates.clear()
        self._from = sentinel.number + BETWEEN


def _median(values: list[float]) -> float:
    return sorted(values)[len(values) // 2] if values else math.nan
