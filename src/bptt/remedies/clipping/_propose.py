"""A clipping threshold read from the norms that a run has shown, with the reasons for it."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import median

from bptt.remedies._target import RemedyError

LEAST = 8
"""Fewer norms say nothing of what is usual."""
DEVIATIONS = 3.0
BOUNDS = (1.5, 10.0)
"""In medians. Below, ordinary updates would be cut for being a little larger; above lies what EG202 calls a spike."""
MOVED = 2.0
"""If norms have moved by this factor, the earlier ones are of another time."""
TO_SIGMA = 1.4826
"""From the median of the deviations to the standard deviation of a normal distribution."""


@dataclass(frozen=True)
class Proposal:
    """A threshold for `clip_norm`.

    Attributes:
        max_norm: the threshold, to two digits.
        reasoning: where it comes from, in words and numbers.
        share: of the updates it was read from, those that it would have clipped.
        usual: the median norm.
    """

    max_norm: float
    reasoning: str
    share: float
    usual: float

    def __str__(self) -> str:
        return f"clip the norm at {self.max_norm:g}: {self.reasoning}"


def propose(norms: Iterable[float]) -> Proposal:
    """A threshold that lets the usual gradient pass and cuts the rare one.

    With `m` the median of `log ‖g‖` and `s` its spread, 1.4826 times the median distance from `m`, the threshold is
    `exp(m + 3 s)`, kept between 1.5 and 10 times the median norm. Median and spread hardly move if up to half of the
    norms are spikes, where a percentile or a mean would follow them. If norms have moved twofold between the first half
    and the second, and by more than their spread, only the second counts.

    Args:
        norms: ‖g‖ of each update, before any clipping, the oldest first; zeros and those not finite are passed over.

    Raises:
        RemedyError: fewer than 8 of them can be used.

    Example:
        >>> proposal = propose([1.0, 1.3, 0.8, 1.1, 1.0, 0.7, 1.2, 40.0, 1.0, 1.4])
        >>> proposal.max_norm, proposal.share
        (2.3, 0.1)
        >>> print(proposal.reasoning)
        the median of 10 norms is 1.05, the largest 40. Usual ones lie within a factor of 1.29, and three such steps
        above the median is 2.27. It would have clipped 1 of 10 updates, the largest to 0.06 of its length.
    """
    given = [float(norm) for norm in norms]
    usable = [norm for norm in given if 0 < norm < math.inf]
    if len(usable) < LEAST:
        raise RemedyError(
            f"{len(usable)} of {len(given)} norms are positive and finite, expected {LEAST} at least; let more updates "
            "pass first"
        )
    recent, moved = _recent(usable)
    usual = median(recent)
    spread = _spread(recent)
    wanted = math.exp(min(DEVIATIONS * spread, 50.0))
    most = float(f"{usual * min(max(wanted, BOUNDS[0]), BOUNDS[1]):.1e}")
    over = sum(norm > most for norm in recent)
    words = [
        f"without {len(given) - len(usable)} that were zero or not finite, "
        if len(usable) < len(given)
        else "",
        moved,
        f"the median of {len(recent)} norms is {usual:.3g}, the largest {max(recent):.3g}. ",
        _why(usual, spread, wanted),
        f"It would have clipped {over} of {len(recent)} updates",
        f", the largest to {most / max(recent):.1g} of its length." if over else ".",
    ]
    return Proposal(most, "".join(words), over / len(recent), usual)


def _recent(norms: list[float]) -> tuple[list[float], str]:
    """The norms that still tell what is usual, and a sentence if those are not all."""
    half = len(norms) // 2
    before, after = median(norms[:half]), median(norms[half:])
    far = max(math.log(MOVED), _spread(norms[:half]), _spread(norms[half:]))
    if half < LEAST or abs(math.log(before) - math.log(after)) < far:
        return norms, ""
    return norms[
        half:
    ], f"norms have moved from {before:.3g} to {after:.3g}, so the later half counts: "


def _spread(norms: list[float]) -> float:
    """Of `log ‖g‖` about its median, as a standard deviation."""
    usual = math.log(
        median(norms)
    )  # a quotient of norms that differ this much may be 0 or infinite
    return TO_SIGMA * median(abs(math.log(norm) - usual) for norm in norms)


def _why(usual: float, spread: float, wanted: float) -> str:
    factor = math.exp(min(spread, 50.0))
    lies = f"Usual ones lie within a factor of {factor:.3g}, and three such steps above the median "
    lowest, highest = BOUNDS
    if wanted < lowest:
        return (
            lies
            + f"would cut ordinary updates, so it is {lowest:g} times the median, {lowest * usual:.3g}. "
        )
    if wanted > highest:
        return (
            lies
            + f"would let spikes pass, so it is {highest:g} times the median, {highest * usual:.3g}. "
        )
    return lies + f"is {wanted * usual:.3g}. "
