"""One repair on trial: what it is for, and what the rule says of it by what came after."""

import math
from dataclasses import dataclass
from statistics import median

from bptt.doctor._fresh import Since
from bptt.doctor._plan import LOUD, WATCH, Repair
from bptt.doctor._prescription import Prescription
from bptt.remedies import Change
from bptt.rules import Evidence, Finding, Options, rule


@dataclass(eq=False)
class Case:
    """A finding under treatment."""

    finding: Finding
    waiting: list[Prescription]
    change: Change | None = None
    repair: Repair | None = None
    mark: Since | None = None
    settled: int = 0  # the update from which on the repair does all it can


def judged(case: Case, whole: Evidence, update: int, options: Options) -> str | None:
    """Why the repair has failed, `""` if it has not, None as long as it cannot be told.

    Args:
        case: with a repair in place.
        whole: the run's evidence; what came after the repair counts.
        update: after how many updates it is asked.
        options: thresholds of the rule that had spoken.
    """
    assert case.mark is not None
    code = case.finding.code
    if case.mark.update < case.settled:
        case.mark = Since(whole, update)
    fresh = case.mark.evidence(whole)
    needs = WATCH.get(code, 0)
    still = [each for each in rule(code).check(fresh, options) if each.severity in LOUD]
    still = [each for each in still if not case.finding.site or each.site == case.finding.site]
    waits = len(fresh.updates) < needs or not (needs or fresh.looks)
    if still and not (
        waits and code == "TR402"
    ):  # where updates wait, the first look comes too soon
        return still[0].message
    if waits:
        return None  # silent so far, but it has not seen what it needs to speak
    return _rises(fresh.updates.loss) if code == "OP501" else ""


def _rises(losses: list[float]) -> str:
    """Why updates are still too large though no rule speaks: the loss is higher than where it began."""
    known = [loss for loss in losses if math.isfinite(loss)]
    if len(known) < 3 or median(known[-3:]) <= 2 * known[0]:
        return ""
    return f"the loss went from {known[0]:.3g} to {median(known[-3:]):.3g} with it in place"
