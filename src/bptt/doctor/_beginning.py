"""A module's beginning is cured as it is first called: no update has been made, and none is lost by it."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from bptt.doctor._fresh import Since
from bptt.doctor._patient import Patient
from bptt.doctor._plan import LOUD, Repair, ordered
from bptt.doctor._prescribe import complete
from bptt.doctor._prescription import Prescription
from bptt.doctor._treatment import Treatment
from bptt.doctor._trial import Case
from bptt.remedies import RemedyError
from bptt.remedies.initialisation.redraw import wide_modules
from bptt.rules import Finding

Again = Callable[[], Sequence[Finding]]
"""Looks at the module once more."""


def begin_anew(
    treatment: Treatment, module: nn.Module, finding: Finding, given: Tensor, again: Again
) -> None:
    """Try what fits the module itself, until the same look is silent; the first probe will judge it.

    Args:
        treatment: has the repair afterwards, as one that is watched.
        module: about to be called.
        finding: what is wrong with it; sites as of the module alone.
        given: its input.
        again: the look.
    """
    if treatment.case is not None or any(wide_modules(module)):
        return  # weights that are too wide are so elsewhere, too: that is seen at the first update
    name = treatment.monitor.case._names(module)
    own = finding.site if isinstance(module, nn.RNNBase) or not name else ""
    site = ".".join(part for part in (name, own) if part)
    told = replace(finding, site=site)
    patient = Patient.of(treatment.monitor.case._names, module)
    waiting = [p for p in ordered(told, early=True, scale=_size(given)) if _belongs(p)]
    while waiting:
        prescription = waiting.pop(0)
        args = complete(prescription.row, dict(prescription.args), {})
        repair = Repair(0, finding.code, site, prescription.remedy, args or {}, back_to=None)
        repair.finding = finding.message
        if args is None:
            continue
        try:
            change = patient.apply(Prescription(prescription.remedy, args, site), [])
        except RemedyError:
            continue
        try:
            now = again()
        except BaseException:
            change.undo()
            raise
        still = [each for each in now if each.code == finding.code and each.severity in LOUD]
        treatment.repairs.append(repair)
        repair.said, repair.lines = list(change.said), list(change.lines)
        if still:
            change.undo()
            repair.outcome, repair.reason = "undone", still[0].message
            continue
        treatment.case = Case(
            told, waiting, change, repair, Since(treatment.monitor.case.evidence, 0)
        )
        treatment.say(f"--fix: {finding.code} before the first update: {prescription} applied")
        return


def _belongs(prescription: Prescription) -> bool:
    return prescription.row.kind == "initialisation" or prescription.remedy == "scale_input"


def _size(given: Tensor) -> float:
    values = given.data if isinstance(given, PackedSequence) else given
    mean = float(values.detach().float().abs().mean())
    return mean if mean == mean else 1.0
