"""`bptt run --fix`: cures applied while a script runs, proved by the same rules, taken back where they fail.

What is tried, and how it is judged, is `_treatment`'s. Here a run under repair is watched: when a repair has its turn,
what becomes of a run that is lost, and what is said of all that in the end.
"""

import math
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from torch import Tensor, nn
from torch.optim import Optimizer

from bptt.doctor._beginning import begin_anew
from bptt.doctor._first_calls import FirstCalls
from bptt.doctor._monitor import Monitor
from bptt.doctor._plan import CHECKS, EARLY, Repair, resorts
from bptt.doctor._prescription import Prescription
from bptt.doctor._treatment import Treatment
from bptt.doctor._trial import Case
from bptt.rules import Finding, Incident

MOST_SKIPPED = 0.2
"""Share of the updates that may be left out for a run to count as repaired."""


class Repairer:
    """Repairs the run that a monitor watches.

    Args:
        monitor: started already.
        say: prints a line as something is done; nothing is done silently.

    Attributes:
        repairs: everything that was tried, in order.
    """

    def __init__(self, monitor: Monitor, say: Callable[[str], Any] = lambda line: None) -> None:
        self.monitor = monitor
        self.treatment = Treatment(monitor, say)
        self._probed = False
        self._first_calls = FirstCalls(monitor, self._begins)
        self._registered = [
            monitor.on_step(before=self._before, after=self._after),
            monitor.on_probe(self._probe),
        ]

    @property
    def repairs(self) -> list[Repair]:
        """Everything that was tried, in order."""
        return self.treatment.repairs

    def close(self) -> None:
        """The run is over; changes stay, they belong to the script's model now. A second call does nothing."""
        if not self._registered:
            return
        self._first_calls.close()
        while self._registered:
            self._registered.pop().remove()
        case = self.treatment.case
        if case is not None and case.repair is not None and case.change is not None:
            case.repair.outcome = "kept"
            case.repair.reason = "the run ended before it could be judged"
            self.treatment.changes.append(case.change)
        for repair, change in zip(self._standing(), self.treatment.changes, strict=False):
            left_out = change.counts.get("skipped", 0)
            if left_out > MOST_SKIPPED * max(self.monitor.updates, 1):
                change.undo()
                repair.outcome = "undone"
                repair.reason = (
                    f"{left_out} updates were left out, and nothing was learned from them"
                )
        evidence = self.monitor.case.evidence
        evidence.incident = evidence.incident or next(iter(self.treatment.incidents), None)

    def undo(self) -> None:
        """Take back every repair that stands, the last one first: for a process that goes on with other models."""
        for change in reversed(self.treatment.changes):
            change.undo()

    def _give_up_idle(self, update: int) -> None:
        """A run is lost: what was kept and has met nothing to do was not why its rule was silent, and is taken back."""
        treatment = self.treatment
        for repair, change in [*zip(self._standing(), treatment.changes, strict=False)]:
            if change.counts.get("values") == 0:
                change.undo()
                treatment.changes.remove(change)
                treatment.closed.discard((repair.code, repair.site))
                repair.outcome = "undone"
                repair.reason = f"update {update} was lost, and there was nothing for it to do"

    def _standing(self) -> list[Repair]:
        """Repairs in place, in the order of their changes."""
        return [each for each in self.repairs if each.outcome == "kept"]

    def unrepaired(self, verdict: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Of the findings as `findings.json` holds them, those without a repair that was judged and kept."""
        kept = [each for each in self.repairs if each.outcome == "kept" and not each.reason]
        cured = {(each.code, each.site) for each in kept}
        return [each for each in verdict if (each["code"], each["site"]) not in cured]

    def as_dicts(self) -> list[dict[str, Any]]:
        """For `run.json`."""
        return [asdict(each) for each in self.repairs]

    # What the monitor calls.

    def _begins(
        self, module: nn.Module, finding: Finding, given: Tensor, again: Callable[[], list[Finding]]
    ) -> None:
        begin_anew(self.treatment, module, finding, given, again)

    def _probe(self, flow: Any, findings: Any) -> None:
        self._probed = True

    def _before(self, optimizer: Optimizer, update: int) -> None:
        self._first_calls.close()
        row = self.monitor.case.sentinel.owners[id(optimizer)].row
        finite = math.isfinite(row.norm) and not math.isinf(row.loss)
        self.treatment.kept.before(optimizer, update, row.loss if finite else math.nan)
        if update == 2:
            owner = self.monitor.case.sentinel.owners[id(optimizer)]
            self.treatment.gradients.take_off_first(owner)
        if not finite or self.treatment.kept.lost:
            self._lost(optimizer, update, finite)
        elif self._probed:
            self._probed = False
            # The weights may be begun anew here: this update's gradient is dropped if they are.
            self.treatment.go_on(optimizer, update, early=update <= EARLY)

    def _after(self, optimizer: Optimizer, update: int) -> None:
        self.treatment.gradients.put_back()
        if update == 1:
            self.treatment.gradients.keep_first(optimizer)
        if self.treatment.case is not None or update in CHECKS or update % 32 == 0:
            self.treatment.go_on(optimizer, update, early=False)
        if self.treatment.looks_at(update):
            self.monitor.probe_next()  # what was applied is seen in the next update

    # A run that is lost.

    def _lost(self, optimizer: Optimizer, update: int, finite: bool) -> None:
        """Something is not finite, or the loss has run away: the weights are spared it, and a cure is sought."""
        self.treatment.gradients.drop(optimizer)
        incident = self.monitor.case.evidence.incident
        treatment = self.treatment
        if treatment.case is not None and treatment.active:
            treatment.take_back(treatment.case, f"update {update} was lost with it in place")
        self._give_up_idle(update)
        finding = self._why(update, finite, incident)
        if treatment.case is None or treatment.case.finding.code != finding.code:
            treatment.case = Case(
                finding,
                treatment.waiting(finding, optimizer, update <= EARLY) or resorts(finding),
            )
        treatment.case.waiting = [
            each for each in treatment.case.waiting if not self._was_undone(each)
        ]
        treatment.attempt(optimizer, update, early=True)
        treatment.rearm()

    def _why(self, update: int, finite: bool, incident: Incident | None) -> Finding:
        """The finding that explains it best."""
        known = {each.code: each for each in self.monitor.case.findings()}
        for code in ("NF603", "NF602", "EG201", "OP501", "NF601"):
            if code in known and (code, known[code].site) not in self.treatment.closed:
                return known[code]
        what = "is not finite" if not finite else "has left its range"
        return Finding("lost", "lost", "", "error", f"update {update} {what}", update=update)

    def _was_undone(self, prescription: Prescription) -> bool:
        return any(
            each.remedy == prescription.remedy
            and each.outcome == "undone"
            and each.site == prescription.site
            for each in self.repairs
        )
