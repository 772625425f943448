"""ZClip: only norms that are outliers by their z-score are clipped."""

import math
from typing import Any, ClassVar

from torch import nn
from torch.optim import Optimizer

from bptt.remedies._change import Change
from bptt.remedies._target import RemedyError
from bptt.remedies.clipping._install import fits_gradients as fits
from bptt.remedies.clipping._install import install
from bptt.remedies.clipping._method import Clipped, Method, by_norm, positive

CURES = ("EG203",)
"""By putting hard clipping aside. Spikes (EG202) it cuts from the end of its warm-up on, not those before."""

__all__ = ["CURES", "ZClip", "fits", "zclip"]

_LEAST = 1e-6
"""Beside the standard deviation, so that equal norms divide by something."""
_MOST = 1e150
"""The largest norm whose square can be averaged."""


class ZClip(Method):
    """Clips ‖g‖ where it lies more than `z` deviations above the mean of the recent ones; for a `Clipper`.

    Mean `μ` and deviation `σ` start from the first `warmup` norms, during which nothing is clipped, and go on as moving
    averages of what was used, `m ← alpha m + (1 - alpha) value`. A norm with `s = (‖g‖ - μ) / σ > z` is clipped at
    `μ + σ z² / s`: the further out, the lower.

    >>> method = ZClip(warmup=2)
    >>> [method.limit(norm) for norm in (1.0, 3.0, 4.0)]
    [inf, inf, inf]
    >>> round(method.limit(100.0), 2)
    2.13
    """

    name: ClassVar[str] = "zclip"
    whole: ClassVar[bool] = True

    def __init__(self, z: int | float = 2.5, alpha: int | float = 0.97, warmup: int = 25) -> None:
        positive("z", z)
        if isinstance(alpha, bool) or not 0 < alpha < 1:
            raise RemedyError(f"alpha is {alpha!r}, expected between 0 and 1")
        if not warmup >= 2:
            raise RemedyError(
                f"warmup is {warmup!r}, expected two updates at least, to have a deviation"
            )
        self.z, self.alpha, self.warmup = z, alpha, warmup
        self.first: list[float] = []
        self.mean = self.variance = math.nan

    def __repr__(self) -> str:
        return f"ZClip(z={self.z:g}, alpha={self.alpha:g}, warmup={self.warmup})"

    def options(self) -> dict[str, Any]:
        """`z`, `alpha` and `warmup`."""
        return {"z": self.z, "alpha": self.alpha, "warmup": self.warmup}

    def clip(self, held: list[Any], scale: float) -> Clipped:
        """Where the norm is an outlier."""
        return by_norm(held, scale, self.limit)

    def limit(self, norm: float) -> float:
        """The threshold for an update of this norm; what the update then uses enters the averages."""
        most = math.inf
        if len(self.first) == self.warmup:
            deviation = math.sqrt(self.variance)
            score = (norm - self.mean) / (deviation + _LEAST)
            if score > self.z:
                most = self.mean + self.z * deviation * self.z / score
        self.observe(min(norm, most))
        return most

    def observe(self, norm: float) -> None:
        """Take a norm into the averages."""
        norm = min(norm, _MOST)
        if len(self.first) < self.warmup:
            self.first.append(norm)
            if len(self.first) == self.warmup:
                self.mean = sum(self.first) / self.warmup
                self.variance = sum((n - self.mean) ** 2 for n in self.first) / self.warmup
            return
        self.mean = self.alpha * self.mean + (1 - self.alpha) * norm
        self.variance = self.alpha * self.variance + (1 - self.alpha) * (norm - self.mean) ** 2

    def state(self) -> dict[str, Any]:
        """The first norms, mean and variance."""
        return {"first": list(self.first), "mean": self.mean, "variance": self.variance}

    def load(self, state: dict[str, Any]) -> None:
        """Take them up again."""
        if len(state["first"]) > self.warmup:
            raise RemedyError(
                f"the state is that of a warm-up of {len(state['first'])} updates or more, this one's is "
                f"{self.warmup}; build ZClip with the warm-up it was saved with"
            )
        self.first = list(state["first"])
        self.mean, self.variance = state["mean"], state["variance"]


def zclip(
    model: nn.Module,
    *,
    optimizer: Optimizer | None = None,
    site: str = "",
    z: int | float = 2.5,
    alpha: int | float = 0.97,
    warmup: int = 25,
    replace: bool = True,
) -> Change:
    """Clip only the gradients whose norm is an outlier among the recent ones.

    With `s = (‖g‖ - μ) / σ` the z-score of this update's norm against moving averages, a gradient with `s > z` is
    scaled to the norm `μ + σ z² / s`; all others are left alone, however large they have become by and by.

    Args:
        model: its gradients are clipped inside each optimizer's step; the model itself is not changed.
        optimizer: the one that trains it; None for whichever will.
        site: for the record: all parameters count.
        z: deviations above the mean from which a norm is an outlier, above 0.
        alpha: how slowly the averages move, between 0 and 1.
        warmup: updates that only teach the averages, 2 at least; nothing is clipped in them.
        replace: put the script's own clipping of these parameters aside.

    Raises:
        RemedyError: a number out of its range, an optimizer of another model, a clipper of the whole gradient already
            at work; nothing was changed.

    Example:
        >>> model = nn.Linear(2, 2)
        >>> change = zclip(model, z=3.0)
        >>> change.lines[-1]
        'Clipper(ZClip(z=3, alpha=0.97, warmup=25)).attach(optimizer)'
        >>> change.undo()

    Source: Kumar, Owen, Roy Chowdhury & Güra (2025), arXiv 2504.02507.
    """
    method = ZClip(z, alpha, warmup)
    return install(
        method,
        model,
        optimizer,
        replace=replace,
        said=f"gradients whose norm is over {z:g} deviations above the mean of recent ones are clipped, "
        f"after {warmup} updates",
        lines=(
            "from bptt.remedies import Clipper, ZClip",
            f"Clipper({method!r}).attach(optimizer)",
        ),
    )
