"""One repair at a time of a running script: opened for a finding, applied, watched, and kept or taken back.

A repair is applied between two updates, the next update is probed, and the rule whose finding it is for is asked again,
on what came after it and on nothing else. Silent: the repair is kept. Still there: it is undone bit for bit, and the
next remedy has its turn. Cures that change weights belong before training and are tried at the first updates only; the
gradient of that update was taken at the former weights and is dropped.
"""

from collections.abc import Callable
from typing import Any

from torch.optim import Optimizer

from bptt.doctor._fresh import Since
from bptt.doctor._gradients import Gradients, begin_moments_anew, second_moments
from bptt.doctor._last_good import LastGood, restore, taken
from bptt.doctor._monitor import Monitor
from bptt.doctor._owner import Owner
from bptt.doctor._patient import Patient
from bptt.doctor._plan import (
    AS_IT_IS,
    EAGER,
    LOUD,
    PATIENT,
    QUIET,
    SATURATED,
    UNFREEZES,
    WEIGHTS_HURT,
    YOUNG,
    Repair,
    belongs_early,
    facts,
    ordered,
    settles,
    tuned,
)
from bptt.doctor._prescribe import complete
from bptt.doctor._prescription import Prescription, for_finding
from bptt.doctor._trial import Case, judged
from bptt.doctor._verdict import judge
from bptt.remedies import Change, RemedyError
from bptt.rules import Finding, Incident, rule


class Treatment:
    """What is tried in a run, in turn.

    Args:
        monitor: of the run.
        say: prints a line as something is done.

    Attributes:
        repairs: everything that was tried, in order.
        changes: of the repairs that were kept, in order.
        kept: the states to go back to.
        case: the finding under treatment; None between two.
        closed: findings, by code and site, that are cured, or that nothing here cures.
        incidents: non-finite values that a repair was made for.
        gradients: those of a step, taken away from it.
    """

    def __init__(self, monitor: Monitor, say: Callable[[str], Any]) -> None:
        self.monitor, self.say = monitor, say
        self.repairs: list[Repair] = []
        self.changes: list[Change] = []
        self.kept = LastGood()
        self.case: Case | None = None
        self.closed: set[tuple[str, str]] = set()
        self.incidents: list[Incident] = []
        self._base: Since | None = None
        self.gradients = Gradients()

    @property
    def active(self) -> bool:
        """Whether something is applied that has not been judged yet."""
        return self.case is not None and self.case.change is not None

    def looks_at(self, update: int) -> bool:
        """Whether the update after this one tells of what is applied."""
        return self.case is not None and self.active and update >= self.case.settled

    def go_on(self, optimizer: Optimizer, update: int, *, early: bool) -> None:
        """One step of it."""
        if self.looks_at(update):
            self._judge(optimizer, update)
        if self.case is None:
            self.case = self._open(optimizer, early)
        if self.case is not None and self.case.change is None:
            self.attempt(optimizer, update, early)

    def _judge(self, optimizer: Optimizer, update: int) -> None:
        """Keep the repair, undo it, or wait."""
        case = self.case
        assert case is not None and case.change is not None and case.repair is not None
        said = judged(case, self.monitor.case.evidence, update, self._options(case.finding.code))
        if said is None:
            return
        if said:
            self.take_back(case, said)
            return
        case.repair.outcome = "kept"
        self.changes.append(case.change)
        self.closed.add((case.finding.code, case.finding.site))
        self._base = case.mark
        self.case = None

    def take_back(self, case: Case, reason: str) -> None:
        assert case.change is not None and case.repair is not None
        case.change.undo()
        if belongs_early(Prescription(case.repair.remedy)):
            self.kept.renew(case.repair.update)
        for owner in self.monitor.case.sentinel.owners.values():
            _forget_sizes(owner)
        case.repair.outcome, case.repair.reason = "undone", reason
        self.say(f"--fix: {case.repair.remedy} undone, {case.finding.code} is still there")
        case.change = case.repair = case.mark = None

    def _open(self, optimizer: Optimizer, early: bool) -> Case | None:
        """The first finding that has a remedy left."""
        monitor, whole = self.monitor, self.monitor.case.evidence
        monitor.case.findings()  # brings the evidence up to date
        fresh = whole if self._base is None else self._base.evidence(whole)
        patient = {code: {**self._options(code), **own} for code, own in PATIENT.items()}
        found = judge(fresh, monitor.case._rules, {**monitor.case._options, **patient})
        found = found or [
            each
            for code, options in EAGER.items()
            for each in rule(code).check(fresh, {**self._options(code), **options})
        ]
        for finding in found:
            key = (finding.code, finding.site)
            if finding.severity not in LOUD or key in self.closed:
                continue
            if finding.evidence.get("trains") is False and monitor.updates < UNFREEZES:
                continue
            waiting = self.waiting(finding, optimizer, early)
            if waiting:
                return Case(finding, waiting)
            if not early and not any(map(belongs_early, for_finding(finding))):
                self.closed.add(key)
        return None

    def attempt(self, optimizer: Optimizer, update: int, early: bool) -> None:
        """Apply the next remedy that fits."""
        case = self.case
        assert case is not None
        while case.waiting:
            prescription = case.waiting.pop(0)
            if self._apply(case, prescription, optimizer, update, early):
                return
        self.closed.add((case.finding.code, case.finding.site))
        self.case = None

    def _apply(
        self,
        case: Case,
        prescription: Prescription,
        optimizer: Optimizer,
        update: int,
        early: bool,
    ) -> bool:
        whole, finding = self.monitor.case.evidence, case.finding
        args = complete(
            prescription.row,
            tuned(prescription, whole, optimizer, finding),
            facts(whole, optimizer),
        )
        told = Prescription(prescription.remedy, args or {}, prescription.site)
        repair = Repair(update, finding.code, finding.site, told.remedy, told.args)
        repair.finding = finding.message
        self.repairs.append(repair)
        sentinel = self.monitor.case.sentinel
        patient = self._patient(optimizer)
        now = taken([optimizer], update)
        if self.kept.hurt or finding.code in WEIGHTS_HURT:
            repair.back_to = self.kept.back(before=1 if finding.code == "OP501" else finding.update)
        elif update <= YOUNG and finding.code not in AS_IT_IS:
            repair.back_to = self.kept.back(before=1)
        try:
            if args is None:
                raise RemedyError("nothing is known yet that its arguments could be read from")
            change = patient.apply(told, sentinel.forward.calls)
        except RemedyError as error:
            repair.outcome, repair.reason, repair.back_to = "refused", str(error), None
            if told.remedy in QUIET:
                self.repairs.remove(repair)
            restore(now)
            return False
        if finding.code == "EG202" and repair.back_to is None and second_moments(optimizer):
            begin_moments_anew(change, optimizer)
        repair.said, repair.lines = list(change.said), list(change.lines)
        if early:
            self.gradients.drop(optimizer)
        elif (
            told.remedy == "clear_gradients"
        ):  # those of the step that lies behind are used up as well
            optimizer.zero_grad(set_to_none=False)
        if belongs_early(told):
            self.kept.renew(update)
        _forget_sizes(sentinel.owners[id(optimizer)])
        self.rearm()
        case.change, case.repair, case.mark = change, repair, Since(whole, update)
        case.settled = update + settles(told, finding)
        self.say(f"--fix: {finding.code} at update {update}: {told} applied")
        return True

    def rearm(self) -> None:
        """The sentinels tell of the first non-finite value of a run; after a repair they look for the next."""
        case = self.monitor.case
        if case.evidence.incident is not None:
            self.incidents.append(case.evidence.incident)
            case.evidence.incident = None
        case.sentinel._alarmed = False

    def scale(self) -> float:
        """Mean size of what the recurrent modules were last given; of the data, where recurrences are by hand."""
        forward = self.monitor.case.sentinel.forward
        given = [call.x for call in forward.calls[:8]]
        given = given or [x for _, x in forward.data[:8] if x is not None and x.is_floating_point()]
        read = [x.detach().float().abs().mean() for x in given]
        return max((float(size) for size in read if size.isfinite()), default=1.0)

    def waiting(self, finding: Finding, optimizer: Optimizer, early: bool) -> list[Prescription]:
        """What is to be tried for a finding, in turn."""
        wide = early and finding.code in SATURATED and self._patient(optimizer).wide()
        return ordered(finding, early, self.scale(), wide)

    def _patient(self, optimizer: Optimizer) -> Patient:
        sentinel = self.monitor.case.sentinel
        loops, living = list(sentinel.loops.found.values()), sentinel.forward.living()
        moved = [loop.weights for loop in loops if loop.trains]
        still = [loop.weights for loop in loops if not loop.trains]
        return Patient(self.monitor.case._names, living, optimizer, moved, still)

    def _options(self, code: str) -> dict[str, float]:
        return {**rule(code).options, **self.monitor.case._options.get(code, {})}


def _forget_sizes(owner: Owner) -> None:
    """What a repair did to the weights is not to be taken for the size of this update."""
    owner.row.before, owner.row.whole = [], None
