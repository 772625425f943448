"""What `--fix` tries for a finding, in which order, with which numbers, and how long it watches."""

import math
from dataclasses import dataclass, field, replace
from statistics import median
from typing import Any

from torch.optim import Optimizer

from bptt.doctor._gradients import second_moments
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
WEIGHTS_HURT = ("OP501", "EG201")
"""Faults whose updates before the repair have spoilt the weights: the run goes back behind them."""
YOUNG = 8
"""Updates within which a repaired run begins anew: little was learned by then, and that with the fault in place."""
UNFREEZES = 16
"""Updates that a script has for setting `requires_grad` of what it froze itself: it may mean to, after a few."""
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
PATIENT = {"EG203": {"updates": 16}}
"""Thresholds by which a finding is opened: many a run is clipped hard in its first few updates, and in no other."""
EAGER = {"OP503": {"updates": 1}, "EG203": {"updates": 2, "hard": 0.02}}
"""Thresholds by which a finding is opened as well: what is so plain need not be waited for."""
AS_IT_IS = ("EG202", "EG203", "OP503", "TR402")
"""Faults that leave usable weights behind: the run goes on from where it is, unless its loss has left its range."""
WIDE = 10.0
"""Times the usual norm, for a threshold that is read from a few updates: beyond it begins what EG202 calls a spike."""
STEP = 0.1
"""Of the weights' size, for the longest step that such a threshold lets through."""
BEGINNINGS_FIRST = ("EG201", "NF601", "SA301", "SA302")
BOUNDS_FIRST = ("EG202", "EG203")


SATURATED = ("SA301", "SA302")
"""Found where inputs or weights are too large."""
MILDEST = {"SA303": ("bound_bias", "redraw", "identity_relu")}
"""Beginnings of one rule, from the one that changes least."""


def ordered(
    finding: Finding, early: bool, scale: float = 1.0, wide: bool = False
) -> list[Prescription]:
    """What may be tried for a finding. Structure is not: a script's own code relies on it.

    Args:
        finding: what is to be cured.
        early: whether weights may still be begun anew.
        scale: mean size of what the recurrent modules read.
        wide: whether weights are far wider than their modules draw them.

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
    present = float(finding.evidence.get("lr", math.inf))
    found = [each for p in found for each in _in_turn(p, present)]
    first, mildest = _likeliest(finding, scale, wide), MILDEST.get(finding.code, ())
    # What is too wide may be the readout as well: it is looked for in all that is trained.
    found = [replace(p, site="") if p.remedy == "redraw" and wide else p for p in found]
    found = [p for p in found if p.remedy != "redraw" or wide or p.remedy in mildest]
    suspect = finding.code in SATURATED or scale > LARGE
    found = [p for p in found if p.remedy != "scale_input" or suspect]

    def rank(p: Prescription) -> tuple[int, int]:
        among = mildest.index(p.remedy) if p.remedy in mildest else len(mildest)
        return -2 if p.remedy == first else order.get(p.row.kind, 0), among

    return sorted(found, key=rank)


FIRST = {"NF602": "finite_gradients", "TR403": "ignore_padding"}
"""What is tried before all else; where the loss has a setting against padding, what it is computed from may stay."""
QUIET = ("ignore_padding",)
"""Remedies that are looked at wherever their rule speaks, and fit few scripts: a refusal is not worth a line."""


def _in_turn(prescription: Prescription, present: float) -> list[Prescription]:
    """A learning rate from the largest that may do, below the present one, down to the one that was named; a window of
    the length that was named, then twice that: where a gradient hardly decays, what it needs shows in the longer one.
    """
    lr, length = prescription.args.get("lr"), prescription.args.get("length")
    if prescription.remedy == "reach_back" and length is not None:
        return [replace(prescription, args={"length": each}) for each in (length, 2 * length)]
    if prescription.remedy != "learning_rate" or lr is None:
        return [prescription]
    tried = [float(f"{times * lr:.2g}") for times in FASTER]
    return [replace(prescription, args={"lr": each}) for each in tried if each < present]


def _likeliest(finding: Finding, scale: float, wide: bool) -> str:
    """The remedy that the evidence itself points at."""
    if finding.code in SATURATED and wide:
        return "redraw"
    if finding.code in SATURATED and scale > LARGE:
        return "scale_input"
    came_in = finding.evidence.get("outside") or finding.evidence.get("gate") == "input"
    if finding.code == "NF601" and came_in:
        return "finite_input"
    if finding.code == "NF601" and scale > LARGE:
        return "scale_input"
    if finding.code == "NF603" and finding.site == "target":
        return "skip_non_finite"  # what the model reads is finite
    return FIRST.get(finding.code, "")


def belongs_early(prescription: Prescription) -> bool:
    """Whether it begins the weights anew, which only an untrained model bears."""
    return prescription.row.kind == "initialisation"


def resorts(finding: Finding) -> list[Prescription]:
    """What is left for a run that is lost."""
    return [Prescription(name, {}, finding.site) for name in LAST_RESORTS]


def settles(prescription: Prescription, finding: Finding) -> int:
    """Updates that a repair takes until it does all it can: as many as its window has chunks."""
    if prescription.remedy != "reach_back":
        return 0
    return math.ceil(prescription.args["length"] / max(int(finding.evidence.get("steps", 1)), 1))


def tuned(
    prescription: Prescription, evidence: Evidence, optimizer: Optimizer, finding: Finding
) -> dict[str, Any]:
    """Its arguments; a clipping threshold is read from the norms that the run has shown."""
    args = dict(prescription.args)
    if prescription.remedy != "clip_norm":
        return args
    if finding.code == "EG203" and not math.isfinite(float(finding.evidence.get("clip", 0.0))):
        args["by_hand"] = True
    if args.get("max_norm") and second_moments(optimizer):
        return args
    norms = evidence.updates.unclipped
    if finding.code == "EG203":
        # What a run shows that was held back so hard says little of how its gradients will be.
        scale = float(finding.evidence.get("loss_scale", 1.0))
        args["max_norm"] = _wide([norm / scale for norm in norms if 0 < norm < math.inf], optimizer)
        return args
    try:
        args["max_norm"] = propose(norms).max_norm
    except RemedyError:
        args["max_norm"] = _wide([norm for norm in norms if 0 < norm < math.inf], optimizer)
    return args


def _wide(norms: list[float], optimizer: Optimizer) -> float:
    """A threshold from a handful of norms, which tell what is usual and not how far the usual ones lie apart.

    Ten times the usual one, unless plain gradient descent would then take steps beyond `STEP` of the weights' size.
    """
    if len(norms) < 2:
        return 1.0
    usual, group = median(norms), optimizer.param_groups[0]
    widest = WIDE * usual
    if "lr" in group and not second_moments(optimizer):
        size = math.hypot(*(float(p.detach().norm()) for p in group["params"]))
        widest = min(widest, STEP * size / max(float(group["lr"]), 1e-12))
    return float(f"{max(widest, usual):.1e}")


def facts(evidence: Evidence, optimizer: Optimizer) -> dict[str, Any]:
    """What arguments that nobody named are filled from."""
    looks = [look for looks in evidence.looks.values() for look in looks]
    known: dict[str, Any] = {"lag": max((look.steps for look in looks), default=2)}
    if "lr" in optimizer.param_groups[0]:
        known["lr"] = float(optimizer.param_groups[0]["lr"]) / 10
    return known
