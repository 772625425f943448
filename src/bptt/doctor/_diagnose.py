"""`diagnose`: one batch before training, and what the rules say of it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from bptt.doctor import _gather as gather
from bptt.doctor._config import Config
from bptt.doctor._incident import in_data, in_gradients, in_states
from bptt.doctor._prescription import applicable
from bptt.doctor._seen import Forward
from bptt.doctor._verdict import judge
from bptt.flow import Flow, measure
from bptt.flow.record._names import Names
from bptt.rules import Evidence, Finding, Incident, Options, chosen


@dataclass(frozen=True, eq=False)
class Diagnosis:
    """What one batch shows.

    Attributes:
        findings: the worst first; what has one root cause is one finding.
        flow: the gradient flow that they rest on.
    """

    findings: list[Finding]
    flow: Flow

    @property
    def healthy(self) -> bool:
        """Whether there is no error and no warning."""
        return all(finding.severity == "advice" for finding in self.findings)

    def __str__(self) -> str:
        return "\n".join(map(str, self.findings)) or "no findings"


def diagnose(
    model: nn.Module,
    x: Any,
    *,
    loss: Callable[[Any], Tensor],
    lag: int | None = None,
    lengths: Tensor | None = None,
    threshold: float = 1e-3,
    select: Sequence[str] = (),
    ignore: Sequence[str] = (),
    options: Mapping[str, Options] | None = None,
) -> Diagnosis:
    """Measure one forward and backward pass and ask the rules; the model is left as it was.

    Rules that look at many updates (spikes, clipping, update sizes) have nothing to say here; `Monitor` serves them.

    Args:
        model: as for `bptt.measure`; likewise `x`, `loss` and `lengths`.
        lag: the lag in steps that the task needs, if it is known.
        threshold: credit below it counts as not reached.
        select: rules to ask, by code, name or family; all of them if empty.
        ignore: rules not to ask.
        options: thresholds of rules, by code and name.

    Raises:
        NoRecurrenceError: the model called no recurrent module.
        NoGradientError: the loss does not depend on one.
        ValueError: an unknown rule, a lag below 1.

    Example:
        >>> import torch
        >>> _ = torch.manual_seed(0)
        >>> model, x = torch.nn.LSTM(4, 32), torch.randn(200, 2, 4)
        >>> diagnosis = diagnose(model, x, loss=lambda out: out[0][-1].sum())
        >>> diagnosis.findings[0].code
        'VG101'
    """
    Config(threshold=threshold, lag=lag, select=tuple(select), ignore=tuple(ignore))
    names, forward = Names(model), Forward(model)
    value: list[Tensor] = []

    def watched(output: Any) -> Tensor:
        result = loss(output)
        value.append(result)
        return result

    forward.start()
    try:
        flow = measure(model, x, loss=watched, threshold=threshold, lengths=lengths)
    finally:
        forward.stop()
    looks = {each.site: [each] for each in gather.looks_of(flow, update=1)}
    evidence = Evidence(looks, lag=lag, single=True, finished=True)
    evidence.incident = _incident(forward, names, value)
    found = judge(evidence, chosen(tuple(select), tuple(ignore)), options)
    return Diagnosis(applicable(found), flow)


def _incident(forward: Forward, names: Names, value: list[Tensor]) -> Incident | None:
    root = value[0].grad_fn if value else None
    place = in_data(forward, root, names) or in_states(forward.calls, names)
    place = place or in_gradients(forward.calls, names)
    return None if place is None else place.incident(1, None)
