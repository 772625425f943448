"""A flow in plain words and in few numbers."""

import math
from typing import Any

import torch

from bptt.flow._flow import Flow, Site

THIN = 64


def summary(flow: Flow) -> str:
    """One line a site: name, cell, how far the gradient reaches, its rate, the share of steps it misses."""
    lines = [_line(site) for site in flow] or ["no site was measured"]
    return "\n".join([*lines, *(f"note: {note}" for note in flow.notes)])


def _line(site: Site) -> str:
    reach = "reach not measured" if site.horizon is None else f"gradient reaches {site.reach()}"
    parts = [f"{site.name} ({site.kind}): {reach}"]
    if site.rate is not None:
        parts.append(f"x{math.exp(site.rate):.3g} per step")
    if site.unreached is not None:
        parts.append(f"{100 * site.unreached:.0f} % of input steps unreached")
    split = site.attribution if site.steps > 1 else None
    # Its words for where no gradient passes are not those for where none is a number.
    if split is not None and (split.total.isfinite().any() or site.grad_state.isfinite().all()):
        parts.append(str(split))
    if site.theory is not None:
        parts.append(site.theory.words(site.threshold))
    return "; ".join([", ".join(parts[:3]), *parts[3:]])


def digest(flow: Flow) -> dict[str, Any]:
    """JSON-able numbers of every site; None where a number is not known or not finite."""
    return {
        "threshold": flow.threshold,
        "sites": {site.name: _site(site) for site in flow},
        "notes": [{"subject": note.subject, "reason": note.reason} for note in flow.notes],
    }


def _site(site: Site) -> dict[str, Any]:
    return {
        "kind": site.kind,
        "steps": site.steps,
        "batch": site.batch,
        "reverse": site.reverse,
        "horizon": site.horizon,
        "lags": site.lags,
        "rate": finite(site.rate),
        "unreached": finite(site.unreached),
        "cuts": site.cuts,
        "credit": _thinned(site),
    }


def _thinned(site: Site) -> list[list[int | float | None]] | None:
    if site.credit is None or site.log_credit is None:
        return None
    lags = torch.linspace(0, site.lags, min(THIN, site.lags + 1)).round().long().tolist()
    return [[lag, finite(float(site.credit[lag]))] for lag in lags]


def finite(value: float | None) -> float | None:
    """The number, or None where JSON has no word for it."""
    return value if value is not None and math.isfinite(value) else None
