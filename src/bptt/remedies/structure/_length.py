"""A truncation length from the credit it would throw away."""

import math

import torch

from bptt.flow import Site
from bptt.remedies._target import RemedyError

FLAT = 1e-3
"""Rate per step above which a curve does not fall: a gradient would keep a third over a thousand steps."""


def propose_length(site: Site, lost: float = 0.1) -> int:
    """The shortest truncation length that throws away at most the share `lost` of the credit.

    Truncated backpropagation at length K keeps the lags below K of the credit curve `c`. What it throws away is
    `Σ_{k≥K} c_k / Σ_k c_k`. The curve is measured over the lags of the sequence at hand; beyond, it is carried on at
    the rate `r` of its last half, `c_{n+j} = c_n e^{rj}`, a geometric series.

    Args:
        site: of a flow that was measured on a sequence or on a chunk.
        lost: between 0 and 1.

    Returns:
        Steps, 1 or more; it can be longer than what was measured.

    Raises:
        RemedyError: the curve does not fall, so that no length is enough: the task or the memory has to decide; or
            there is no curve.

    Example:
        >>> import bptt, torch
        >>> from torch import nn
        >>> flow = bptt.measure(nn.LSTM(2, 16), torch.randn(30, 4, 2), loss=lambda out: out[0][-1].sum())
        >>> length = propose_length(flow["l0"])
        >>> 1 < length < 10
        True
        >>> propose_length(flow["l0"], lost=0.01) > length
        True

    Source: Williams & Peng (1990); Aicher, Foti & Fox (2020), arXiv 1905.07473, on lengths from the decay of gradients.
    """
    if not 0 < lost < 1:
        raise RemedyError(f"lost is {lost}, expected a share between 0 and 1, such as 0.1")
    curve = torch.empty(0) if site.log_credit is None else site.log_credit[: site.lags + 1].double()
    if len(curve) < 3:
        raise RemedyError(
            f"{site.name} has no credit curve of 3 lags or more; measure a longer sequence"
        )
    top = float(
        curve.max()
    )  # what is lost is a share, so that the unit is free; no exponential overflows in this one
    rate, tail = -math.inf, 0.0
    if top == math.inf or curve[-1] > -math.inf:
        half = (len(curve) - 1) // 2
        rate = float(curve[-1] - curve[half]) / (len(curve) - 1 - half)
        if not rate <= -FLAT or top == math.inf:
            raise RemedyError(
                f"the credit of {site.name} does not fall with the lag (rate {rate:+.2g} a step over the last half of "
                f"{len(curve)} lags), so no length throws away as little as {lost:g}; give a length that the task or "
                "the memory allows"
            )
        tail = math.exp(float(curve[-1]) - top + rate) / -math.expm1(rate)
    kept = (curve - top).exp()
    allowed = lost * (float(kept.sum()) + tail)
    beyond = kept.flip(0).cumsum(0).flip(0) + tail
    inside = (beyond <= allowed).nonzero()
    if len(inside):
        return max(1, int(inside[0]))
    # Σ_{j≥m} of the tail is tail · e^{r m}.
    return len(curve) + max(0, math.ceil(math.log(allowed / tail) / rate))
