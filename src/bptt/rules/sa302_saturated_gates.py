"""SA302 saturated-gates: gates stuck open or shut, whatever the input.

## What it does

Fires when half the units of one gate are below 0.01, or above 0.99, at nine of ten steps and samples; and when nearly
all values of a gate are at one end or the other.

## Why it is bad

A gate decides by the input what is kept, let in or shown. Stuck, it decides nothing, and the slope of its sigmoid
(under 0.01) keeps it from learning to. An input gate that is shut lets nothing in; an output gate that is shut shows
nothing; a forget gate that is shut remembers nothing.

## Evidence

By gate, the share of units stuck open and stuck shut, and the gate's mean, at the milestones.

## Threshold

`share` 0.5 of the units, an error from `sure` 0.9 on. Gates that keep memory (the LSTM's forget gate and the GRU's
update gate open, the LSTM's input gate shut) are meant to be near their end when the memory is meant to be long:
chrono initialisation puts a forget gate at about 1 - 1/T. They count only where less than `turnover` 0.03 of the
state is replaced over the whole sequence. Where some units of a gate are stuck shut and others open, both together
have to be `sure` of them. A gate that jumps between its ends counts from `extreme` 0.8 of its values
on.

## Examples

`bad()`: an LSTM with input gates at a bias of -12. `good()`: forget gates at a bias of 4.

## Remedies

`bound_bias`, which brings every gate's bias back to where it can move; `chrono` with the lag that the task needs, which
draws those of the gates of the memory anew; inputs scaled (`scale_input`); smaller weights.

## Known limits

A unit may rightly ignore its input at 48 steps of 16 samples and not at others.

## References

Tallec & Ollivier (2018), arXiv 1804.11188; Gu et al. (2020), "Improving the Gating Mechanism", arXiv 1910.09890.
"""

from torch import nn

from bptt.rules._evidence import Evidence, Look
from bptt.rules._example import Example, adding, gate_bias_
from bptt.rules._rule import Finding, Options, Prescription
from bptt.rules._words import confidence, percent, since

OPTIONS: Options = {"share": 0.5, "sure": 0.9, "turnover": 0.03, "extreme": 0.8}

WORDS = {"i": "input", "f": "forget", "o": "output", "r": "reset", "z": "update"}
KEEPS = {("lstm", "f"): "open", ("lstm", "i"): "shut", ("gru", "z"): "open"}
"""Where a gate's end means that memory is kept."""

CARRIED = 20
"""A sequence that goes on over updates is taken for so many chunks long."""


def bad() -> Example:
    """Nothing gets in."""
    return adding(gate_bias_(nn.LSTM(2, 24), gate=0, value=-12.0), steps=12)


def good() -> Example:
    """Much is kept."""
    return adding(gate_bias_(nn.LSTM(2, 24), gate=1, value=4.0), steps=60)


def check(evidence: Evidence, options: Options) -> list[Finding]:
    """One finding a site with a stuck gate at the last look; the worst gate is named."""
    found = []
    for site, looks in evidence.each():

        def wrong(look: Look) -> bool:
            return bool(_stuck(look, options))

        if not (stuck := _stuck(looks[-1], options)):
            continue
        share, gate, end = max(stuck)
        look = looks[-1]
        found.append(
            Finding(
                code="SA302",
                name="saturated-gates",
                site=site,
                severity="error" if share >= options["sure"] else "warning",
                message=f"{percent(share)} of the {_name(gate)} are stuck {end} "
                f"(mean {look.gate_means[gate]:.2g}): slope near zero, so that they cannot learn when to open. "
                "Start with a moderate bias, and scale the inputs.",
                evidence={"gate": gate, "end": end, "share": share, "means": look.gate_means},
                update=since(looks, wrong),
                prescriptions=(
                    Prescription("bound_bias"),
                    Prescription("chrono", {"lag": max(evidence.lag or look.steps, 2)}),
                ),
                confidence=confidence(looks, wrong),
            )
        )
    return found


def _name(gate: str) -> str:
    """A gate in words; of a cell written by hand only its sigmoids are known, by their numbers.

    Example:
        >>> print(_name("r"), _name("gate 2"), sep="; ")
        reset gates; units of the step's sigmoid 2
    """
    own = gate.removeprefix("gate ")
    return f"{WORDS[gate]} gates" if gate in WORDS else f"units of the step's sigmoid {own}"


def _stuck(look: Look, options: Options) -> list[tuple[float, str, str]]:
    """`(share of units, gate, end)` of the gates that are stuck."""
    ends = [*((s, g, "shut") for g, s in look.shut.items())]
    ends += [(s, g, "open") for g, s in look.open.items()]
    stuck = [
        (share, gate, end)
        for share, gate, end in ends
        if share >= options["share"]
        and not (KEEPS.get((look.kind, gate)) == end and _turns_over(look, gate, end, options))
    ]
    stuck += [
        (
            both,
            gate,
            f"at either end, {percent(look.shut[gate])} shut and {percent(look.open[gate])} open",
        )
        for gate in look.shut.keys() & look.open.keys()
        if (both := look.shut[gate] + look.open[gate]) >= options["sure"]
        and (look.kind, gate) not in KEEPS
        and min(look.shut[gate], look.open[gate]) > 0
    ]
    jumping = [
        (share, gate, "at one end or the other")
        for gate, share in look.extreme.items()
        if share >= options["extreme"] and 0.05 < look.gate_means[gate] < 0.95
    ]
    return stuck or jumping


def _turns_over(look: Look, gate: str, end: str, options: Options) -> bool:
    """Whether, over the whole sequence, a noticeable part of the state is replaced all the same."""
    mean, chunks = look.gate_means[gate], CARRIED if look.carried else 1
    return chunks * look.steps * (mean if end == "shut" else 1 - mean) >= options["turnover"]
