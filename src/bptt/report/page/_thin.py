"""Fewer numbers where there are more than a page can hold: which probes stay, which updates are told together."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from bptt.report.page._markup import rounded

PICTURED = 48
"""Sites that get pictures; the table names the others too."""
ROWS = 600
"""Points of a curve over the whole training."""


def keep(n: int, limit: int) -> list[int]:
    """At most `limit` of `n` places, evenly, the first and the last among them.

    Example:
        >>> keep(3, 9), keep(101, 5)
        ([0, 1, 2], [0, 25, 50, 75, 100])
    """
    if n <= limit:
        return list(range(n))
    return [round(k * (n - 1) / (limit - 1)) for k in range(limit)]


def curves(sites: int) -> int:
    """How many updates of each site's credit curve a page holds: 64, less for many sites."""
    return max(16, min(64, 1600 // max(sites, 1)))


def details(sites: int) -> int:
    """How many updates of what is drawn by step a page holds: 48, less for many sites."""
    return max(6, min(48, 320 // max(sites, 1)))


Row = Mapping[str, Any]


def merged(rows: Sequence[Row], limit: int = ROWS) -> list[dict[str, Any]]:
    """At most `limit` rows of `updates.jsonl`, neighbours told together: least, mean and largest of each stay true.

    Example:
        >>> rows = [{"from": n, "update": n, "loss": [n, n, n]} for n in (1, 2, 3, 4)]
        >>> [(row["from"], row["update"], row["loss"]) for row in merged(rows, 2)]
        [(1, 2, [1.0, 1.5, 2.0]), (3, 4, [3.0, 3.5, 4.0])]
    """
    rows = [row for row in rows if isinstance(row.get("update"), int)]
    size = max(1, math.ceil(len(rows) / limit))
    return [_together(rows[n : n + size]) for n in range(0, len(rows), size)]


def _together(rows: Sequence[Row]) -> dict[str, Any]:
    first = rows[0].get("from")
    told: dict[str, Any] = {
        "from": first if isinstance(first, int) else rows[0]["update"],
        "update": rows[-1]["update"],
    }
    weights = [_updates(row) for row in rows]
    for key in ("loss", "norm"):
        told[key] = _range([row.get(key) for row in rows], weights)
    clips = [rounded(row.get("clip")) for row in rows]
    told["clip"] = next((each for each in reversed(clips) if each is not None), None)
    told["clipped"] = _mean([rounded(row.get("clipped")) for row in rows], weights)
    ratios = [each for each in (rounded(row.get("ratio")) for row in rows) if each is not None]
    told["ratio"] = max(ratios, default=None)
    return told


def _updates(row: Row) -> int:
    first = row.get("from")
    return max(1, row["update"] - first + 1) if isinstance(first, int) else 1


def _range(triples: Sequence[Any], weights: Sequence[int]) -> list[float] | None:
    whole = [
        (numbers, weight)
        for each, weight in zip(triples, weights, strict=True)
        if isinstance(each, (list, tuple)) and len(each) == 3
        if None not in (numbers := [rounded(number) for number in each])
    ]
    if not whole:
        return None
    mean = _mean([numbers[1] for numbers, _ in whole], [weight for _, weight in whole])
    low, high = min(n[0] for n, _ in whole), max(n[2] for n, _ in whole)  # type: ignore[type-var]
    assert low is not None and mean is not None and high is not None
    return [low, mean, high]


def _mean(values: Sequence[float | None], weights: Sequence[int]) -> float | None:
    pairs = [(v, w) for v, w in zip(values, weights, strict=True) if v is not None]
    total = sum(w for _, w in pairs)
    return rounded(sum(v * w for v, w in pairs) / total) if total else None
