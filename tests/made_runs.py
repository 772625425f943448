"""Runs that never ran: what their folders would hold, of any size, for tests of what is shown."""

import math
import random
from pathlib import Path
from typing import Any

from bptt.doctor import Run

GATES = {"rnn_tanh": ["hh"], "gru": ["r", "z", "n"], "lstm": ["i", "f", "g", "o"]}
STEPS = 128


def a_run(
    *,
    sites: int = 1,
    updates: int = 2000,
    probes: int = 12,
    rows: int = 400,
    hidden: int = 64,
    **changes: Any,
) -> Run:
    """A run of the present format: every series is there, and every number differs from its neighbours."""
    rng = random.Random(0)
    names = [f"{'encoder' if n % 2 else 'decoder'}.rnn.l{n}" for n in range(sites)]
    kinds = dict(zip(names, list(GATES) * sites, strict=False))
    when = moments(updates, probes)
    size = max(1, updates // rows)
    told = {
        "run": {
            "script": "train.py",
            "argv": ["--epochs", "3"],
            "options": {"threshold": 1e-3},
            "state": "finished",
            "updates": updates,
            "probes": len(when),
            "seconds": 68.3,
            "overhead": 0.0175,
        },
        "records": [record(kinds, u, u / updates, rng) for u in when],
        "spectra": [
            {
                "update": u,
                "sites": {n: spectrum(k, u / updates, hidden, rng) for n, k in kinds.items()},
            }
            for u in when[:: max(1, len(when) // 6)]
        ],
        "updates": [row(n, size, updates, rng) for n in range(0, updates, size)],
        "findings": [finding("SA301", "saturated-activation", names[0], "advice", when[-1] // 2)],
    }
    return Run(path=Path("runs/a"), **(told | changes))


def moments(updates: int, probes: int) -> list[int]:
    """Milestones at first, then evenly: in any case as many as were asked for."""
    spread = sorted({max(1, round(updates ** (k / max(probes - 1, 1)))) for k in range(probes)})
    even = sorted({1 + k * (updates - 1) // max(probes - 1, 1) for k in range(probes)})
    return spread if len(spread) == probes else even


def record(
    kinds: dict[str, str], update: int, progress: float, rng: random.Random
) -> dict[str, Any]:
    """One line of `flow.jsonl`."""
    sites = {name: site(kind, n, progress, rng) for n, (name, kind) in enumerate(kinds.items())}
    return {
        "update": update,
        "time": 0.01 * update,
        "cost": 0.01,
        "threshold": 1e-3,
        "sites": sites,
    }


def site(kind: str, n: int, progress: float, rng: random.Random) -> dict[str, Any]:
    """One site at one probe: its credit decays the more slowly the longer the run lasted."""
    rate = -0.6 + 0.35 * progress + 0.01 * n
    lags = range(0, STEPS, 2)
    horizon = min(STEPS - 1, int(math.log(1e-3) / rate))
    gated = kind != "rnn_tanh"
    attribution = {
        "weight": [[t, 0.2 + 0.1 * math.sin(t / 9)] for t in lags],
        "slope": [[t, -0.5 - 0.1 * rng.random() + 0.3 * progress] for t in lags],
    }
    saturation: dict[str, Any] = {"tanh": 0.1 + 0.3 * progress}
    if gated:
        attribution["gates"] = [[t, -0.1 * rng.random()] for t in lags]
        saturation["gates"] = {
            gate: {"open": 0.2 + 0.1 * k + 0.2 * progress, "shut": 0.3 - 0.05 * k}
            for k, gate in enumerate(GATES[kind])
        }
    return {
        "kind": kind,
        "steps": STEPS,
        "batch": 32,
        "reverse": False,
        "horizon": horizon,
        "lags": STEPS - 1,
        "rate": rate,
        "unreached": max(0.0, 1 - horizon / 64),
        "cuts": 0,
        "credit": [[k, math.exp(rate * k) * (rng.uniform(0.8, 1.2) if k else 1.0)] for k in lags],
        "total": [[t, 1e-2 * math.exp(0.02 * (t - STEPS)) * rng.uniform(0.9, 1.1)] for t in lags],
        "direct": [[t, None if t == 0 else 4e-3 * rng.uniform(0.6, 1.4)] for t in lags],
        "attribution": attribution,
        "saturation": saturation,
    }


def spectrum(kind: str, progress: float, hidden: int, rng: random.Random) -> dict[str, Any]:
    """Eigenvalues that fill a disc, and singular values around it."""
    told = {}
    for gate in GATES[kind]:
        radius = 0.6 + 0.5 * progress
        points = []
        for _ in range(hidden // 2):
            size, angle = radius * math.sqrt(rng.random()), math.pi * rng.random()
            points += [[size * math.cos(angle), sign * size * math.sin(angle)] for sign in (1, -1)]
        told[gate] = {"radius": max(math.hypot(*each) for each in points), "eigenvalues": points}
    steps = range(0, STEPS, 4)
    return {
        "gates": told,
        "singular": {
            "largest": [[t, 1.1 + 0.1 * rng.random()] for t in steps],
            "median": [[t, 0.4 + 0.1 * rng.random()] for t in steps],
            "smallest": [[t, 1e-3 * (1 + rng.random())] for t in steps],
        },
    }


def row(n: int, size: int, updates: int, rng: random.Random) -> dict[str, Any]:
    """Neighbouring updates told together."""
    loss, norm = 1.5 + 3 * math.exp(-6 * n / updates) + 0.1 * rng.random(), 0.5 + rng.random()
    return {
        "from": n + 1,
        "update": min(n + size, updates),
        "loss": [0.9 * loss, loss, 1.2 * loss],
        "norm": [0.3 * norm, norm, 4 * norm],
        "clip": 1.0,
        "clipped": 0.4,
        "ratio": 1e-3,
    }


def finding(
    code: str, name: str, site: str, severity: str, update: int, **more: Any
) -> dict[str, Any]:
    """A finding as `findings.json` holds it."""
    message = "44 % of the tanh states lie beyond ±0.99, where the slope is under 0.02."
    told = {
        "code": code,
        "name": name,
        "site": site,
        "severity": severity,
        "update": update,
        "persists": True,
        "message": message,
        "evidence": {"saturated": 0.44399070739746094, "units": 0.0},
        "confidence": 0.12,
        "prescriptions": [
            {"remedy": "scale_input", "args": {}},
            {"remedy": "spectral_radius", "args": {"radius": 1.0}},
        ],
        "consequences": [],
    }
    return told | more


def repair(site: str, update: int, **more: Any) -> dict[str, Any]:
    """A repair as `run.json` holds it."""
    told = {
        "update": update,
        "code": "VG101",
        "site": site,
        "remedy": "forget_bias",
        "args": {"value": 3.0},
        "outcome": "kept",
        "said": ["The bias of the forget gate is 3."],
        "lines": ["bptt.remedies.forget_bias(model, value=3.0)"],
        "finding": "a gradient reaches 11 of 128 steps back.",
        "reason": "",
        "back_to": None,
    }
    return told | more
