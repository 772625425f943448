"""From a run folder's records to the numbers of a page: per site, by update, thinned, each to four digits.

The pictures, the tables and the page's own script all read this one digest, so that they cannot differ.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from bptt.report.page._markup import all_rounded, clean, rounded
from bptt.report.page._thin import PICTURED, curves, details, keep, merged
from bptt.report.terminal import unfinite, untouched

Digest = dict[str, Any]
Record = Mapping[str, Any]
GATES = 8  # a site has at most four; more would be somebody's mistake
SCALARS = 400
CAUSES = ("weight", "slope", "gates")
SINGULAR = ("largest", "median", "smallest")


def digest(
    records: Sequence[Record], spectra: Sequence[Record], updates: Sequence[Record]
) -> Digest:
    """What a page shows.

    Args:
        records: of `flow.jsonl`.
        spectra: of `spectra.jsonl`.
        updates: of `updates.jsonl`.

    Returns:
        `sites`, a list in the order in which they were first seen, and `training`, rows of updates.

    Example:
        >>> site = {"kind": "gru", "horizon": 3, "lags": 3, "credit": [[0, 1.0], [3, 0.125]]}
        >>> told = digest([{"update": 1, "sites": {"rnn.l0": site}}], [], [])
        >>> told["sites"][0]["curve"]
        {'updates': [1], 'axes': [[0, 3]], 'axis': [0], 'credit': [[1.0, 0.125]], 'horizon': [3]}
    """
    seen: dict[str, list[tuple[int, Record]]] = {}
    for record in records:
        for name, site in _mapping(record.get("sites")).items():
            if isinstance(site, Mapping):
                seen.setdefault(str(name), []).append((_update(record), site))
    shape = min(len(seen), PICTURED)
    planes: dict[str, list[tuple[int, Record]]] = {}
    for record in spectra:
        for name, site in _mapping(record.get("sites")).items():
            if isinstance(site, Mapping):
                planes.setdefault(str(name), []).append((_update(record), site))
    sites = [_site(name, looks, planes.get(name, []), shape) for name, looks in seen.items()]
    return {"sites": sites, "training": merged(updates), "probes": len(records)}


def _site(
    name: str, looks: list[tuple[int, Record]], planes: list[tuple[int, Record]], sites: int
) -> Digest:
    last = looks[-1][1]
    often = _kept(looks, curves(sites))
    by_step = [each for each in looks if _known(each[1], "total")]
    seldom = _kept(by_step, details(sites))
    drawn = _kept([each for each in planes if each[1].get("gates")], details(sites))
    singular = [(u, _mapping(site.get("singular"))) for u, site in planes]
    singular = [each for each in singular if _known(each[1], *SINGULAR)]
    causes = [(u, _mapping(site.get("attribution"))) for u, site in looks]
    causes = _kept([each for each in causes if _known(each[1], *CAUSES)], details(sites))
    scalars = _kept(looks, SCALARS if sites < 8 else 64)
    return {
        "name": clean(name),
        "kind": clean(last.get("kind", "")),
        "steps": _whole(last.get("steps")),
        "batch": _whole(last.get("batch")),
        "reverse": last.get("reverse") is True,
        "lags": _whole(last.get("lags")),
        "finite": not unfinite(last),
        "untouched": untouched(last),
        "looks": len(looks),
        "measured": len(by_step),
        "reach": {
            "updates": [u for u, _ in scalars],
            "horizon": [_horizon(site) for _, site in scalars],
            "lags": [_whole(site.get("lags")) for _, site in scalars],
            "rate": [rounded(site.get("rate")) for _, site in scalars],
            "unreached": [
                None if unfinite(site) else rounded(site.get("unreached")) for _, site in scalars
            ],
        },
        "curve": {**_series(often, ("credit",)), "horizon": _horizons(often)},
        "gradients": _series(seldom, ("total", "direct")),
        "causes": _series(causes, CAUSES),
        "saturation": _saturation(scalars),
        "plane": {
            "updates": [u for u, _ in drawn],
            "gates": [
                _gates(_mapping(site.get("gates")), 256 if sites < 8 else 96) for _, site in drawn
            ],
        },
        "singular": _series(_kept(singular, details(sites)), SINGULAR),
    }


def _known(site: Record, *names: str) -> bool:
    """Whether one of the curves has a number: where gradients are not finite, the last look with some is shown."""
    return any(value is not None for name in names for value in _pairs(site.get(name)).values())


def _kept(looks: list[tuple[int, Any]], limit: int) -> list[tuple[int, Any]]:
    return [looks[n] for n in keep(len(looks), limit)]


def _series(looks: list[tuple[int, Record]], names: tuple[str, ...]) -> Digest:
    """Curves of several updates; their axis, where all share it, once. An update that has none of them is left out."""
    told: Digest = {"updates": [], "axes": [], "axis": [], **{name: [] for name in names}}
    for update, site in looks:
        columns = {name: _pairs(site.get(name)) for name in names}
        axis = list(next((column for column in columns.values() if column), {}))
        if not axis:
            continue
        if axis not in told["axes"]:
            told["axes"].append(axis)
        told["updates"].append(update)
        told["axis"].append(told["axes"].index(axis))
        for name, column in columns.items():
            told[name].append([column.get(place) for place in axis] if column else None)
    return told


def _horizons(looks: list[tuple[int, Record]]) -> list[int | None]:
    return [_horizon(site) for _, site in looks if _pairs(site.get("credit"))]


def _horizon(site: Record) -> int | None:
    return None if unfinite(site) else _whole(site.get("horizon"))


def _pairs(value: Any) -> dict[int, float | None]:
    """`[[place, value], ...]` by place; what is nothing of the kind is left out."""
    if not isinstance(value, (list, tuple)):
        return {}
    pairs = [each for each in value if isinstance(each, (list, tuple)) and len(each) == 2]
    places = all_rounded(place for place, _ in pairs)
    values = all_rounded(value for _, value in pairs)
    return {int(t): v for t, v in zip(places, values, strict=True) if t is not None}


def _saturation(looks: list[tuple[int, Record]]) -> Digest:
    """Shares by update, one column a cause: `tanh`, `relu_dead`, and of each gate `open` and `shut`."""
    rows = []
    for _, site in looks:
        told = _mapping(site.get("saturation"))
        row = {key: rounded(told.get(key)) for key in ("tanh", "relu_dead") if key in told}
        for gate, ends in list(_mapping(told.get("gates")).items())[:GATES]:
            for end in ("open", "shut"):
                row[f"{clean(gate, 8)} {end}"] = rounded(_mapping(ends).get(end))
        rows.append(row)
    names = list(dict.fromkeys(name for row in rows for name in row))
    columns = {name: [row.get(name) for row in rows] for name in names}
    columns = {name: column for name, column in columns.items() if set(column) != {None}}
    return {"updates": [u for u, _ in looks] if columns else [], "columns": columns}


def _gates(gates: Record, limit: int) -> Digest:
    """Of each gate the radius, and its eigenvalues as two lists; of too many the largest, and every nth of the rest."""
    told = {}
    for gate, each in list(gates.items())[:GATES]:
        each = _mapping(each)
        values = each.get("eigenvalues")
        pairs = [
            pair
            for pair in (values if isinstance(values, (list, tuple)) else [])
            if isinstance(pair, (list, tuple)) and len(pair) == 2
        ]
        columns = all_rounded(re for re, _ in pairs), all_rounded(im for _, im in pairs)
        points = [
            (re, im) for re, im in zip(*columns, strict=True) if re is not None and im is not None
        ]
        points.sort(key=lambda point: (-math.hypot(*point), point))
        points = [points[n] for n in keep(len(points), limit)]
        told[clean(gate, 8)] = {
            "radius": rounded(each.get("radius")),
            "re": [re for re, _ in points],
            "im": [im for _, im in points],
        }
    return told


def _mapping(value: Any) -> Record:
    return value if isinstance(value, Mapping) else {}


def _update(record: Record) -> int:
    return _whole(record.get("update")) or 0


def _whole(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None
