"""What the three rules on non-finite values share: the first one, in words."""

from typing import Any

from bptt.rules._evidence import Incident

GATES = {
    "i": "input gate",
    "f": "forget gate",
    "g": "candidate",
    "o": "output gate",
    "r": "reset gate",
    "z": "update gate",
    "n": "candidate",
    "h": "state h",
    "c": "cell state c",
}


def place(incident: Incident) -> str:
    """Where the first one is: `step 12, sample 3, unit 7, forget gate`, as far as known.

    Example:
        >>> place(Incident("forward", 4, "rnn.l0", step=12, gate="f"))
        'update 4, step 12, forget gate'
    """
    known = {"step": incident.step, "sample": incident.sample, "unit": incident.unit}
    parts = [f"{word} {number}" for word, number in known.items() if number is not None]
    gate = [GATES.get(incident.gate, incident.gate)] if incident.gate else []
    return ", ".join([f"update {incident.update}", *parts, *gate])


def numbers(incident: Incident) -> dict[str, Any]:
    """The evidence of such a finding."""
    kept = ("what", "step", "sample", "unit", "gate", "share", "size", "kept", "outside")
    return {name: getattr(incident, name) for name in kept}


def replay(incident: Incident) -> str:
    """How to see it again; empty without a run folder."""
    return " `bptt replay` repeats that update." if incident.kept else ""
