"""What rules share: when something began, whether it lasts, and numbers in words."""

import math
from collections.abc import Callable, Sequence

from bptt.rules._evidence import Look

Wrong = Callable[[Look], bool]


def since(looks: Sequence[Look], wrong: Wrong) -> int:
    """The update at which the last unbroken run of wrong looks began; the last look is known to be wrong."""
    began = looks[-1].update
    for look in reversed(looks):
        if not wrong(look):
            break
        began = look.update
    return began


def confidence(looks: Sequence[Look], wrong: Wrong) -> float:
    """Share of the looks that agree, with one more that does not: one look alone is half sure.

    Example:
        >>> confidence([Look("l0", 1, True, "gru", 9, 2)] * 3, lambda look: True)
        0.75
    """
    return round(sum(map(wrong, looks)) / (len(looks) + 1), 2)


def percent(share: float) -> str:
    """A share in words; what is not all is never rounded to all, nor something to nothing.

    Example:
        >>> percent(0.123), percent(0.9991), percent(1.0), percent(0.001)
        ('12 %', 'over 99 %', '100 %', 'under 1 %')
    """
    if 0.99 < share < 1:
        return "over 99 %"
    return "under 1 %" if 0 < share < 0.01 else f"{100 * share:.0f} %"


def times(log_factor: float) -> str:
    """`exp(log_factor)` in words, without overflow.

    Example:
        >>> times(math.log(4096.0)), times(math.log(2.5)), times(900.0)
        ('4,100', '2.5', '1e+391')
    """
    if log_factor == math.inf:
        return "infinitely many"
    if log_factor < 600:
        said = f"{math.exp(log_factor):.2g}"
        return f"{float(said):,.0f}" if 100 <= float(said) < 1e6 else said
    return f"1e+{log_factor / math.log(10):.0f}"


def seen(values: Sequence[float]) -> list[float]:
    """The values that are finite numbers."""
    return [value for value in values if math.isfinite(value)]


def median(values: Sequence[float]) -> float:
    """The middle value (the upper one of two); nan of nothing."""
    return sorted(values)[len(values) // 2] if values else math.nan
