"""What `--fix` tries for a finding, in which order, with which numbers, and how long it watches."""

from dataclasses import dataclass, field, replace
from typing import Any

from torch.optim import Optimizer

from bptt.doctor._prescription import Prescription, for_finding
from bptt.remedies import RemedyError, propose
from bptt.rules import Evidence, Finding

EARLY = 3
"""Updates within which weights may still be begun anew."""
CHECKS = (1, 2, 3, 4, 6, 8, 10, 12, 14, 16, 20, 24, 28, 32, 40, 48, 56, 64)
"""Updates at which the rules are asked whether or not there was a probe; later on, every 32nd."""
WATCH = {
    "EG202": 12,
    "EG203": 4,
    "OP501": 4,
    "OP502": 3,
    "OP503": 4,
    "NF601": 4,
    "NF602": 4,
    "NF603": 4,
}
"""Updates that a rule which reads updates needs to speak; the others need one probe."""
WEIGHTS_HURT = ("OP501", "EG201", "EG202")
"""Faults whose updates before the repair have spoilt the weights: the run goes back behind them."""
LAST_RESORTS = ("clip_norm", "learning_rate")
"""For a run that is lost with no finding to say why."""
LOUD = ("error", "warning")


@dataclass
class Repair:
    """One thing that was done to a run.

    Attributes:
        update: after how many updates.
        code, site: of the finding it is for; `lost` for a run whose loss left its range.
        remedy, args: what was applied.
        outcome: `kept`, `undone`, `refused` or, until it is known, `watched`.
        said: what it did, in sentences.
        lines: the code that makes it permanent.
        finding: what the rule had said.
        reason: why it was undone or refused.
        back_to: the number of updates behind the state that the run went back to, None if it did not.
    """

    update: int
    code: str
    site: str
    remedy: str
    args: dict[str, Any]
    outcome: str = "watched"
    said: list[str] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    finding: str = ""
    reason: str = ""
    back_to: int | None = None


ORDER = {"training": 0, "initialisation": 1, "clipping": 2}
"""Repairs of the loop, then beginnings, then clipping: what cures the cause before what bounds it."""
LARGE = 10.0
"""Mean size of inputs from which on their scale is the first suspect; cells start for inputs of about 1."""
FASTER = (50.0, 5.0, 1.0)
"""Times the learning rate that OP501 names, tried in turn: it aims at a hundredth of the weights a step, which is where
healthy runs end, not where they begin."""
STRICTER = {"OP501": {"ratio": 0.15}}
"""Thresholds by which a repair is judged, where not to be found out is not enough."""
BEGINNINGS_FIRST = ("EG201", "NF601", "SA301", "SA302")
BOUNDS_FIRST = ("EG202", "EG203")


def ordered(finding: Finding, early: bool, scale: float = 1.0) -> list[Prescription]:
    """What may be tried for a finding. Structure is not: a script's own code relies on it.

    Args:
        finding: what is to be cured.
        early: whether weights may still be begun anew.
        scale: mean size of what the recurrent modules read.

    Example:
        >>> finding = Finding("OP501", "update-too-large", "", "error", "too large")
        >>> [each.remedy for each in ordered(finding, early=False)][0]
        'learning_rate'
    """
    order = dict(ORDER)
    if finding.code in BEGINNINGS_FIRST:
        order["initialisation"] = -1
    if finding.code in BOUNDS_FIRST:
        order["clipping"] = -1
    found = [p for p in for_finding(finding) if p.row.kind in order]
    found = [p for p in found if early or not belongs_early(p)]
    found = [each for p in found for each in _in_turn(p)]
    first = _likeliest(finding, scale)
    return sorted(found, key=lambda p: -2 if p.remedy == first else order.get(p.row.kind, 0))


def _in_turn(prescription: Prescription) -> list[Prescription]:
    """A learning rate from the largest that may do down to the one that was named."""
    lr = prescription.args.get("lr")
    if prescription.remedy != "learning_rate" or lr is None:
        return [prescription]
    return [replace(prescription, args={"lr": float(f"{times * lr:.2g}")}) for times in FASTER]


def _likeliest(finding: Finding, scale: float) -> str:
    """The remedy that the evidence itself points at."""
    if finding.code in ("SA301", "SA302") and scale > LARGE:
        return "scale_input"
    came_in = finding.evidence.get("outside") or finding.evidence.get("gate") == "input"
    if finding.code == "NF601" and came_in:
        return "finite_input"
    return "finite_gradients" if finding.code == "NF602" else ""


def belongs_early(prescription: Prescription) -> bool:
    """Whether it begins the weights anew, which only an untrained model bears."""
    return prescription.row.kind == "initialisation"


def resorts(finding: Finding) -> list[Prescription]:
    """What is left for a run that is lost."""
    return [Prescription(name, {}, finding.site) for name in LAST_RESORTS]


def tuned(prescription: Prescription, evidence: Evidence) -> dict[str, Any]:
    """Its arguments; a clipping threshold is read from the norms that the run has shown, once there are enough."""
    args = dict(prescription.args)
    if prescription.remedy == "clip_norm":
        try:
            args["max_norm"] = propose(evidence.updates.unclipped).max_norm
        except RemedyError:
            args.setdefault("max_norm", 1.0)
    return args


def facts(evidence: Evidence, optimizer: Optimizer) -> dict[str, Any]:
    """What arguments that nobody named are filled from."""
    looks = [look for looks in evidence.looks.values() for look in looks]
    known: dict[str, Any] = {"lag": max((look.steps for look in looks), default=2)}
    if "lr" in optimizer.param_groups[0]:
        known["lr"] = float(optimizer.param_groups[0]["lr"]) / 10
    return known
