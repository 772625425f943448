"""VG101 vanishing-through-time: most input steps get no credit from the loss.

## What it does

Fires when over half the input steps are unreached: what is left of the gradient there is less than a thousandth of
what entered at the nearest step that bears loss. With a stated lag (`--lag`), fires when the lag lies beyond the
gradient horizon, the number of steps over which that thousandth is kept.

## Why it is bad

A weight learns from step t only through the gradient that reaches step t. What lies before the horizon does not take
part in training, and nothing in the loss or in the parameters' gradients shows it: those are sums over time, which
the last steps fill. The model learns from nearby inputs and ignores the others.

## Evidence

The unreached share and the horizon of each site, at the milestones (updates 1, 3, 10, 30, …). A site at which the
loss enters so early that there is little to reach is not counted: there the loss is missing, and not the credit. Advice
says so of the backward direction of a bidirectional layer that is read at the last step: it has seen one input by then.

## Threshold

`share` 0.5 is the definition. From `sure` 0.7 at every look on it is an error, and below that advice: windows of 20
to 30 steps under torch's default initialisation (horizon 11 to 14) lie there, and train well when the task is short.

## Examples

`bad()`: an LSTM as torch initialises it, a last-step loss at T = 100; its forget gates stand at 0.5, so the gradient
halves every step. `good()`: the same with forget gates at 0.95.

## Remedies

For an LSTM or a GRU, gates that stay open for as long as the task needs (`chrono` with the lag, `forget_bias`). For a
simple RNN, an `orthogonal` recurrence, `identity_relu`, or a gated cell (`to_gru`, `to_lstm`). Or a loss that reads
more steps.

## Known limits

Whether a task needs its far past is not to be seen in gradients. If it needs the last K steps only, say `--lag K`:
the rule then judges by K, and what is left is advice.

## References

Hochreiter (1991); Bengio, Simard & Frasconi (1994); Pascanu, Mikolov & Bengio (2013), arXiv 1211.5063.
"""

from torch import nn

from bptt.rules._evidence import Evidence, Look
from bptt.rules._example import Example, adding, gate_bias_
from bptt.rules._rule import Finding, Options, Prescription, Severity
from bptt.rules._words import confidence, percent, since

OPTIONS: Options = {"share": 0.5, "sure": 0.7}


def bad() -> Example:
    """A default LSTM that answers after 100 steps."""
    return adding(nn.LSTM(2, 24), steps=100)


def good() -> Example:
    """The same, with forget gates that start open."""
    return adding(gate_bias_(nn.LSTM(2, 24), gate=1, value=3.0), steps=100)


def check(evidence: Evidence, options: Options) -> list[Finding]:
    """One finding a site whose last look is out of reach."""
    found = []
    for site, looks in evidence.each():

        def wrong(look: Look) -> bool:
            return _unreached(look) > options["share"] or _beyond(look, evidence.lag)

        look = looks[-1]
        if look.reverse and not look.lags and (look.unreached or 0.0) > options["sure"]:
            found.append(_read_at_its_first_step(site, looks, options))
        if not wrong(look):
            continue
        sure = all(_unreached(each) >= options["sure"] for each in looks)
        severity: Severity = "error" if sure else "advice"
        if evidence.lag is not None:
            severity = "error" if _beyond(look, evidence.lag) else "advice"
        need = f"The task needs {evidence.lag}. " if _beyond(look, evidence.lag) else ""
        found.append(
            Finding(
                code="VG101",
                name="vanishing-through-time",
                site=site,
                severity=severity,
                message=f"a gradient reaches {look.horizon} of {look.steps} steps back before a thousandth is left. "
                f"{need}{percent(_unreached(look))} of the input takes no part in learning: {_cause(look)}.",
                evidence={
                    "horizon": look.horizon,
                    "steps": look.steps,
                    "unreached": look.unreached,
                    "rate": look.rate,
                    "lag": evidence.lag,
                },
                update=since(looks, wrong),
                prescriptions=_remedies(look, evidence.lag),
                confidence=confidence(looks, wrong),
            )
        )
    return found


def _read_at_its_first_step(site: str, looks: list[Look], options: Options) -> Finding:
    """The backward direction, where the loss reads what it says of the last input alone."""
    look = looks[-1]

    def wrong(each: Look) -> bool:
        return not each.lags and (each.unreached or 0.0) > options["sure"]

    return Finding(
        code="VG101",
        name="vanishing-through-time",
        site=site,
        severity="advice",
        message=f"the loss reads the backward direction at its first step only, where it has seen 1 of {look.steps} "
        "inputs. Read its last state: h_n, or the output at step 0, beside the forward direction's at the end.",
        evidence={"horizon": look.horizon, "steps": look.steps, "unreached": look.unreached},
        update=since(looks, wrong),
        confidence=confidence(looks, wrong),
    )


def _unreached(look: Look) -> float:
    """The unreached share, 0 where nothing decays before it has reached what there is to reach."""
    if look.unreached is None or look.horizon is None or 2 * look.horizon >= look.lags:
        return 0.0
    return look.unreached


def _beyond(look: Look, lag: int | None) -> bool:
    known = lag is not None and look.horizon is not None
    return known and look.horizon < min(lag, look.lags)  # type: ignore[operator]


def _cause(look: Look) -> str:
    per_step = "" if look.rate is None else f" ({percent(min(2.718**look.rate, 1))} kept a step)"
    gate = {"lstm": "f", "gru": "z"}.get(look.kind, "")
    if gate in look.gate_means:
        label = {"f": "forget", "z": "update"}[gate]
        return f"the {label} gates let go too soon, their mean is {look.gate_means[gate]:.2f}{per_step}"
    return f"every step back shrinks it{per_step}"


def _remedies(look: Look, lag: int | None) -> tuple[Prescription, ...]:
    reach = max(lag or look.steps, 2)  # chrono begins at 2
    if look.kind == "lstm":
        return Prescription("chrono", {"lag": reach}), Prescription("forget_bias", {"value": 3.0})
    if look.kind == "gru":
        return Prescription("chrono", {"lag": reach}), Prescription("orthogonal")
    return Prescription("orthogonal"), Prescription("identity_relu"), Prescription("to_lstm")
