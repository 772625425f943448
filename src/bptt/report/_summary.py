"""What one run came to, in the numbers by which it is compared with others."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from bptt.doctor import Run
from bptt.report._panel_glance import glance_of
from bptt.report.terminal import unfinite

TWENTIETH = 20
"""A loss is the mean over this part of a run, at its beginning or its end: a single batch says little."""


def summary(run: Run, *, alive: bool = False) -> dict[str, Any]:
    """What a run came to, as JSON holds it.

    Args:
        run: as it was read.
        alive: whether it still goes on.

    Example:
        >>> from pathlib import Path
        >>> records = [{"update": u, "sites": {"l0": {"horizon": h, "lags": 9}}} for u, h in ((1, 3), (9, 9))]
        >>> updates = [{"update": n, "loss": [1 / n] * 3} for n in range(1, 10)]
        >>> told = summary(Run(Path("a"), {"script": "train.py", "updates": 9, "seconds": 3.0}, records, [], updates))
        >>> told["loss"]["first"], told["speed"], told["sites"]["l0"]["horizon"]
        (1.0, 3.0, [3, 9])
    """
    glance = glance_of(run, alive=alive)
    told = run.run
    model = told.get("model")
    return {
        "folder": str(run.path),
        "script": glance.script,
        "state": glance.state,
        "started": told.get("started"),
        "updates": glance.updates,
        "probes": len(run.records),
        "seconds": glance.seconds,
        "speed": glance.speed,
        "overhead": glance.share,
        "parameters": model.get("parameters") if isinstance(model, Mapping) else None,
        "loss": _loss(run, glance.losses),
        "sites": {each.site: _site(each.first, each.last) for each in glance.sites},
        "findings": _findings(run.findings),
        "remedies": [
            _remedy(each) for each in told.get("repairs") or () if isinstance(each, Mapping)
        ],
        "settings": _settings(told),
        "damage": list(run.damage),
    }


def _loss(run: Run, course: Sequence[float]) -> dict[str, float | None]:
    part = max(len(course) // TWENTIETH, 1)
    lows = [
        float(low)
        for each in run.updates
        if isinstance(told := each.get("loss"), list) and told and is_number(low := told[0])
    ]
    return {
        "first": _mean(course[:part]),
        "last": _mean(course[-part:]),
        "least": min(lows, default=None),
    }


def _mean(values: Sequence[float]) -> float | None:
    known = [each for each in values if math.isfinite(each)]
    return sum(known) / len(known) if known else None


def _site(first: Mapping[str, Any], last: Mapping[str, Any]) -> dict[str, Any]:
    told = {key: last.get(key) for key in ("kind", "steps", "lags")}
    looks = [{} if unfinite(each) else each for each in (first, last)]
    pairs = {key: [each.get(key) for each in looks] for key in ("horizon", "rate", "unreached")}
    return {**told, **pairs, "finite": not unfinite(last)}


def _findings(found: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """One entry a code and severity, with the sites."""
    told: dict[tuple[str, str], dict[str, Any]] = {}
    for each in found:
        key = str(each.get("severity")), str(each.get("code"))
        entry = {"code": key[1], "name": each.get("name"), "severity": key[0], "sites": []}
        told.setdefault(key, entry)["sites"].append(each.get("site"))
    return list(told.values())


def _remedy(each: Mapping[str, Any]) -> str:
    args = ", ".join(f"{key}={value}" for key, value in (each.get("args") or {}).items())
    return f"{each.get('remedy')}({args}) at update {each.get('update')}: {each.get('outcome')}"


def _settings(run: Mapping[str, Any]) -> dict[str, str]:
    told: dict[str, str] = {
        "script": str(run.get("script")),
        "arguments": " ".join(map(str, run.get("argv") or [])),
    }
    for group in ("options", "versions"):
        entries = run.get(group)
        if isinstance(entries, Mapping):
            told |= {str(key): str(value) for key, value in entries.items()}
    return told


def is_number(value: Any) -> bool:
    """Whether it is a finite number, as a file may hold one.

    Example:
        >>> is_number(2), is_number(float("nan")), is_number(True), is_number("2")
        (True, False, False, False)
    """
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
