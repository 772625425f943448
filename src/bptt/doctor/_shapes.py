"""What the parts of a run folder may hold: the types of every field that is read, checked once, where it is read.

A checksum tells what was written from what was not; who wrote it may have been another program, or format 1, which had
none. Whoever shows a run relies on these shapes. None stands for what was not measured; fields that are not named here
may hold anything.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any

Shape = Callable[[Any], bool]
LARGEST = 2**63
"""Whole numbers beyond it were never counted, and no float may hold them."""
LARGEST_LOG = 700.0
"""A logarithm beyond it has no exponential in a float."""


def number(value: Any) -> bool:
    """A finite number, or None.

    Example:
        >>> [number(each) for each in (0.5, None, True, "1", 10**400, float("nan"))]
        [True, True, False, False, False, False]
    """
    # JSON's own types and no others: a bool is no number. This is asked of every point of every curve.
    if type(value) is float:
        return -math.inf < value < math.inf
    return whole(value)


def whole(value: Any) -> bool:
    """A whole number, or None."""
    return value is None or (type(value) is int and -LARGEST <= value <= LARGEST)


def logarithm(value: Any) -> bool:
    """A number that has an exponential, or None."""
    return number(value) and not (value is not None and value > LARGEST_LOG)


def text(value: Any) -> bool:
    """A string, or None."""
    return value is None or isinstance(value, str)


def words(value: Any) -> bool:
    """A string."""
    return isinstance(value, str)


def anything(value: Any) -> bool:
    """Whatever JSON holds."""
    return True


def or_none(shape: Shape) -> Shape:
    """Of this shape, or None."""
    return lambda value: value is None or shape(value)


def needed(shape: Shape) -> Shape:
    """Of this shape, and not None."""
    return lambda value: value is not None and shape(value)


def listed(shape: Shape) -> Shape:
    """A list of such, or None."""
    return or_none(lambda value: isinstance(value, list) and all(map(shape, value)))


def table(shape: Shape) -> Shape:
    """An object whose every value is such, or None."""
    return or_none(lambda value: isinstance(value, dict) and all(map(shape, value.values())))


def record(must: Mapping[str, Shape] | None = None, **may: Shape) -> Shape:
    """An object with the fields of `must`, and perhaps those of `may`, each of its shape.

    Example:
        >>> fits = record({"code": words}, update=whole)
        >>> fits({"code": "VG101"}), fits({"code": "VG101", "update": "3"}), fits({})
        (True, False, False)
    """
    must = must or {}

    def fits(value: Any) -> bool:
        return (
            isinstance(value, dict)
            and all(key in value and shape(value[key]) for key, shape in must.items())
            and all(key not in value or shape(value[key]) for key, shape in may.items())
        )

    return fits


def curve(of: Shape) -> Shape:
    """A list of places, which are numbers, each with what is there; or None."""

    def fits(value: Any) -> bool:
        if type(value) is not list:
            return value is None
        for point in value:
            if type(point) is not list or len(point) != 2:
                return False
            place, there = point
            if place is None or not number(place) or not of(there):
                return False
        return True

    return fits


def _finding(value: Any) -> bool:
    return FINDING(value)


CURVE, LOGARITHMS = curve(number), curve(logarithm)
NOTES = listed(record({"subject": words, "reason": words}))
GATE_ENDS = or_none(record(open=number, shut=number))
SITE = record(
    kind=text, steps=whole, batch=whole, lags=whole, horizon=whole, rate=logarithm, unreached=number, cuts=number,
    credit=CURVE, total=CURVE, direct=CURVE, attribution=table(LOGARITHMS),
    saturation=or_none(record(tanh=number, relu_dead=number, gates=table(GATE_ENDS))),
)  # fmt: skip
PROBE = record(
    {"sites": needed(table(SITE))}, update=whole, time=number, cost=number, threshold=number, notes=NOTES
)  # fmt: skip
"""A line of `flow.jsonl`."""
SPECTRA = record({
    "sites": needed(table(record(
        gates=table(or_none(record(radius=number, eigenvalues=CURVE))), singular=table(CURVE),
    )))},
    update=whole, notes=NOTES,
)  # fmt: skip
"""A line of `spectra.jsonl`."""
THREE = listed(number)
UPDATE = record({"update": needed(whole)}, **{"from": whole}, norm=THREE, loss=THREE,
                clip=number, clipped=number, ratio=number)  # fmt: skip
"""A line of `updates.jsonl`."""
PRESCRIPTION = record({"remedy": words}, args=table(anything))
FINDING = record(
    {"code": words}, name=text, site=text, severity=text, message=text, update=whole, last=whole,
    confidence=needed(number), evidence=table(anything), prescriptions=listed(PRESCRIPTION),
    consequences=listed(_finding),
)  # fmt: skip
"""An entry of `findings.json`."""
REPAIR = record({
    "code": words, "remedy": words, "outcome": words, "update": needed(whole), "site": text, "reason": text,
    "args": needed(table(anything)), "lines": listed(words)},
    said=listed(words), back_to=whole,
)  # fmt: skip
"""An entry of `repairs` in `run.json`."""
RUN: dict[str, Shape] = {
    "script": text, "argv": listed(anything), "options": table(anything), "state": text, "started": text,
    "updates": whole, "probes": whole, "seconds": number, "spent": number, "overhead": number, "sentence": text,
    "versions": table(anything), "repairs": listed(REPAIR), "ends": table(text),
    "model": or_none(record(parameters=whole)),
}  # fmt: skip
"""Fields of `run.json`."""


def misshapen(run: Mapping[str, Any]) -> str | None:
    """The first field of `run.json` that is not of its shape.

    Example:
        >>> misshapen({"script": "train.py", "updates": "many"}), misshapen({"script": "train.py"})
        ('updates', None)
    """
    return next((key for key, shape in RUN.items() if key in run and not shape(run[key])), None)
