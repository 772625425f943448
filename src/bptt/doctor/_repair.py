"""`bptt run --fix`: cures applied while a script runs, proved by the same rules, taken back where they fail.

One repair is tried at a time. It is applied between two updates, the next update is probed, and the rule whose finding
it is for is asked again, on what came after it and on nothing else. Silent: the repair is kept. Still there: it is
undone bit for bit, and the next remedy has its turn. Cures that change weights belong before training and are tried at
the first updates only; the gradient of that update was taken at the former weights and is dropped.
"""

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from torch.optim import Optimizer

from bptt.doctor._fresh import Since
from bptt.doctor._last_good import LastGood, restore, taken
from bptt.doctor._monitor import Monitor
from bptt.doctor._owner import Owner
from bptt.doctor._patient import Patient
from bptt.doctor._plan import (
    CHECKS,
    EARLY,
    LOUD,
    STRICTER,
    WATCH,
    WEIGHTS_HURT,
    Repair,
    belongs_early,
    facts,
    ordered,
    resorts,
    tuned,
)
from bptt.doctor._prescribe import complete
from bptt.doctor._prescription import Prescription, for_finding
from bptt.doctor._verdict import judge
from bptt.remedies import Change, RemedyError
from bptt.rules import Finding, Incident, rule

MOST_SKIPPED = 0.2
"""Share of the updates that may be left out for a run to count as repaired."""


@dataclass(eq=False)
class _Case:
    """A finding under treatment."""

    finding: Finding
    waiting: list[Prescription]
    change: Change | None = None
    repair: Repair | None = None
    mark: Since | None = None


class Repairer:
    """Repairs the run that a monitor watches.

    Args:
        monitor: started already.
        say: prints a line as something is done; nothing is done silently.

    Attributes:
        repairs: everything that was tried, in order.
    """

    def __init__(self, monitor: Monitor, say: Callable[[str], Any] = lambda line: None) -> None:
        self.monitor, self.say = monitor, say
        self.repairs: list[Repair] = []
        self.kept = LastGood()
        self.incidents: list[Incident] = []
        self._case: _Case | None = None
        self._closed: set[tuple[str, str]] = (
            set()
        )  # findings that are cured, or that nothing here cures
        self._base: Since | None = None
        self._probed = False
        self._changes: list[Change] = []
        self._dropped: list[tuple[Any, Any]] = []
        self._registered = [
            monitor.on_step(before=self._before, after=self._after),
            monitor.on_probe(self._probe),
        ]

    def close(self) -> None:
        """The run is over; changes stay, they belong to the script's model now."""
        for each in self._registered:
            each.remove()
        case = self._case
        if case is not None and case.repair is not None and case.change is not None:
            case.repair.outcome = "kept"
            case.repair.reason = "the run ended before it could be judged"
            self._changes.append(case.change)
        for repair, change in zip(self._standing(), self._changes, strict=False):
            left_out = change.counts.get("skipped", 0)
            if left_out > MOST_SKIPPED * max(self.monitor.updates, 1):
                change.undo()
                repair.outcome = "undone"
                repair.reason = (
                    f"{left_out} updates were left out, and nothing was learned from them"
                )
        evidence = self.monitor.case.evidence
        evidence.incident = evidence.incident or next(iter(self.incidents), None)

    def _standing(self) -> list[Repair]:
        """Repairs in place, in the order of their changes."""
        return [each for each in self.repairs if each.outcome == "kept"]

    def unrepaired(self, verdict: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Of the findings as `findings.json` holds them, those without a repair that was kept."""
        cured = {(each.code, each.site) for each in self.repairs if each.outcome == "kept"}
        return [each for each in verdict if (each["code"], each["site"]) not in cured]

    def as_dicts(self) -> list[dict[str, Any]]:
        """For `run.json`."""
        return [asdict(each) for each in self.repairs]

    # What the monitor calls.

    def _probe(self, flow: Any, findings: Any) -> None:
        self._probed = True

    def _before(self, optimizer: Optimizer, update: int) -> None:
        row = self.monitor.case.sentinel.owners[id(optimizer)].row
        finite = math.isfinite(row.norm) and not math.isinf(row.loss)
        self.kept.before(optimizer, update, row.loss if finite else math.nan)
        if not finite or self.kept.lost:
            self._lost(optimizer, update, finite)
        elif self._probed:
            self._probed = False
            # The weights may be begun anew here: this update's gradient is dropped if they are.
            self._go_on(optimizer, update, early=update <= EARLY)

    def _after(self, optimizer: Optimizer, update: int) -> None:
        for p, grad in self._dropped:
            p.grad = grad if p.grad is None else p.grad
            grad.zero_()
        self._dropped = []
        if self._case is not None or update in CHECKS or update % 32 == 0:
            self._go_on(optimizer, update, early=False)
        if self._case is not None and self._case.change is not None:
            self.monitor.probe_next()  # what was applied is seen in the next update

    # One step of the treatment.

    def _go_on(self, optimizer: Optimizer, update: int, *, early: bool) -> None:
        if self._case is not None and self._case.change is not None:
            self._judge(optimizer, update)
        if self._case is None:
            self._case = self._open(early)
        if self._case is not None and self._case.change is None:
            self._try(optimizer, update, early)

    def _judge(self, optimizer: Optimizer, update: int) -> None:
        """Keep the repair, undo it, or wait."""
        case = self._case
        assert (
            case is not None
            and case.change is not None
            and case.repair is not None
            and case.mark is not None
        )
        code, whole = case.finding.code, self.monitor.case.evidence
        fresh = case.mark.evidence(whole)
        needs = WATCH.get(code, 0)
        still = [
            each
            for each in rule(code).check(fresh, {**self._options(code), **STRICTER.get(code, {})})
            if each.severity in LOUD
        ]
        still = [each for each in still if not case.finding.site or each.site == case.finding.site]
        waits = len(fresh.updates) < needs or not (needs or fresh.looks)
        if still and not (
            waits and code == "TR402"
        ):  # where updates wait, the first look comes too soon
            self._take_back(case, still[0].message)
            return
        if waits:
            return  # silent so far, but it has not seen what it needs to speak
        case.repair.outcome = "kept"
        self._changes.append(case.change)
        self._closed.add((code, case.finding.site))
        self._base = case.mark
        self._case = None

    def _take_back(self, case: _Case, reason: str) -> None:
        assert case.change is not None and case.repair is not None
        case.change.undo()
        if belongs_early(Prescription(case.repair.remedy)):
            self.kept.renew(case.repair.update)
        for owner in self.monitor.case.sentinel.owners.values():
            _forget_sizes(owner)
        case.repair.outcome, case.repair.reason = "undone", reason
        self.say(f"--fix: {case.repair.remedy} undone, {case.finding.code} is still there")
        case.change = case.repair = case.mark = None

    def _open(self, early: bool) -> _Case | None:
        """The first finding that has a remedy left."""
        monitor, whole = self.monitor, self.monitor.case.evidence
        if self._base is None:
            found = monitor.case.findings()
        else:
            found = judge(self._base.evidence(whole), monitor.case._rules, monitor.case._options)
        for finding in found:
            key = (finding.code, finding.site)
            if finding.severity not in LOUD or key in self._closed:
                continue
            waiting = ordered(finding, early, self._scale())
            if waiting:
                return _Case(finding, waiting)
            if not early and not any(map(belongs_early, for_finding(finding))):
                self._closed.add(key)
        return None

    def _try(self, optimizer: Optimizer, update: int, early: bool) -> None:
        """Apply the next remedy that fits."""
        case = self._case
        assert case is not None
        while case.waiting:
            prescription = case.waiting.pop(0)
            if self._apply(case, prescription, optimizer, update, early):
                return
        self._closed.add((case.finding.code, case.finding.site))
        self._case = None

    def _apply(
        self,
        case: _Case,
        prescription: Prescription,
        optimizer: Optimizer,
        update: int,
        early: bool,
    ) -> bool:
        whole, finding = self.monitor.case.evidence, case.finding
        args = complete(prescription.row, tuned(prescription, whole), facts(whole, optimizer))
        told = Prescription(prescription.remedy, args or {}, prescription.site)
        repair = Repair(update, finding.code, finding.site, told.remedy, told.args)
        repair.finding = finding.message
        self.repairs.append(repair)
        sentinel = self.monitor.case.sentinel
        patient = Patient(self.monitor.case._names, sentinel.forward.living(), optimizer)
        now = taken([optimizer], update)
        if self.kept.hurt or finding.code in WEIGHTS_HURT:
            repair.back_to = self.kept.back(before=1 if finding.code == "OP501" else finding.update)
        try:
            if args is None:
                raise RemedyError("nothing is known yet that its arguments could be read from")
            change = patient.apply(told, sentinel.forward.calls)
        except RemedyError as error:
            repair.outcome, repair.reason, repair.back_to = "refused", str(error), None
            restore(now)
            return False
        repair.said, repair.lines = list(change.said), list(change.lines)
        if early:
            self._drop(optimizer)
        if belongs_early(told):
            self.kept.renew(update)
        _forget_sizes(sentinel.owners[id(optimizer)])
        self._rearm()
        case.change, case.repair, case.mark = change, repair, Since(whole, update)
        self.say(f"--fix: {finding.code} at update {update}: {told} applied")
        return True

    def _drop(self, optimizer: Optimizer) -> None:
        """Have the coming step leave the weights alone; afterwards its gradients are there, and zero."""
        owned = [p for group in optimizer.param_groups for p in group["params"]]
        self._dropped = [(p, p.grad) for p in owned if p.grad is not None]
        for p, _ in self._dropped:
            p.grad = None

    # A run that is lost.

    def _lost(self, optimizer: Optimizer, update: int, finite: bool) -> None:
        """Something is not finite, or the loss has run away: the weights are spared it, and a cure is sought."""
        self._drop(optimizer)
        incident = self.monitor.case.evidence.incident
        if self._case is not None and self._case.change is not None:
            self._take_back(self._case, f"update {update} was lost with it in place")
        finding = self._why(update, finite, incident)
        if self._case is None or self._case.finding.code != finding.code:
            self._case = _Case(
                finding, ordered(finding, update <= EARLY, self._scale()) or resorts(finding)
            )
        self._case.waiting = [each for each in self._case.waiting if not self._was_undone(each)]
        self._try(optimizer, update, early=True)
        self._rearm()

    def _why(self, update: int, finite: bool, incident: Incident | None) -> Finding:
        """The finding that explains it best."""
        known = {each.code: each for each in self.monitor.case.findings()}
        for code in ("NF603", "NF602", "EG201", "OP501", "NF601"):
            if code in known and (code, known[code].site) not in self._closed:
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

    def _rearm(self) -> None:
        """The sentinels tell of the first non-finite value of a run; after a repair they look for the next."""
        case = self.monitor.case
        if case.evidence.incident is not None:
            self.incidents.append(case.evidence.incident)
            case.evidence.incident = None
        case.sentinel._alarmed = False

    def _scale(self) -> float:
        """Mean size of what the recurrent modules were last given."""
        read = [
            call.x.detach().float().abs().mean()
            for call in self.monitor.case.sentinel.forward.calls[:8]
        ]
        return max((float(size) for size in read if size.isfinite()), default=1.0)

    def _options(self, code: str) -> dict[str, float]:
        return {**rule(code).options, **self.monitor.case._options.get(code, {})}


def _forget_sizes(owner: Owner) -> None:
    """What a repair did to the weights is not to be taken for the size of this update."""
    owner.row.before, owner.row.whole = [], None
