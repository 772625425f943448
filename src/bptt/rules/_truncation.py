"""What the two rules on truncation share: how much of the credit would have gone beyond a piece of the sequence."""

import math

from bptt.rules._evidence import Evidence, Look


def passes(evidence: Evidence, look: Look) -> int:
    """Backward passes of the update that was looked at; 1 where that is not known."""
    n = evidence.updates.entry(look.update)
    known = evidence.updates.passes[n : n + 1]
    return known[0] if known else 1


def discarded(look: Look, pieces: float = 20) -> float:
    """Share of the credit curve's mass beyond the piece, the curve carried on at its last rate.

    Args:
        look: of a site in pieces of `look.steps` steps.
        pieces: how many further ones are counted.

    Example:
        >>> look = Look("l0", 1, True, "gru", 3, 1, lags=2, log_credit=(0.0, -0.7, -1.4))
        >>> round(discarded(look), 2)
        0.12
        >>> discarded(Look("l0", 1, True, "gru", 3, 1, lags=2, log_credit=(0.0, math.inf, -1.4)))
        0.0
    """
    curve = [c for c in look.log_credit if not math.isnan(c)]
    top = max(curve, default=0.0)
    if len(curve) < 2 or math.isinf(curve[-1]) or math.isinf(top):  # an overflow says nothing
        return 0.0
    inside = sum(math.exp(c - top) for c in curve)
    further, rate = pieces * look.steps, min(rate_at_end(look), 0.0)
    terms = further if rate == 0 else math.expm1(rate * further) / math.expm1(rate)
    outside = math.exp(curve[-1] - top + rate) * terms
    return outside / (inside + outside)


def rate_at_end(look: Look) -> float:
    """Change of the log credit per step over the last half of what was measured."""
    curve = [c for c in look.log_credit if not math.isnan(c)]
    if len(curve) < 2:
        return 0.0
    half = (len(curve) - 1) // 2
    return (curve[-1] - curve[half]) / (len(curve) - 1 - half)
