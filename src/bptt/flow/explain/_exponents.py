"""What `lyapunov` finds: the exponents of one system, their errors, and what follows from them."""

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from bptt.flow.explain._frame import Frame
from bptt.flow.explain._stack import Stack


@dataclass(frozen=True, eq=False)
class Exponents:
    """Lyapunov exponents of one system, natural logarithm per step. S is the size of its joint state.

    Attributes:
        sites: the layers that make up the system.
        exponents: `[k]` means over samples, largest first; -inf for a direction that some step sends to zero.
        error: `[k]` standard errors over samples; NaN with a single one.
        per_sample: `[B, k]` the samples' own, in the same order.
        steps: `[B]` steps that were counted.
        warmup: steps before them.
        every: the interval of orthonormalisation at the end.
        size: S.
        stopped: `"end of data"` or `"tolerance reached"`.
    """

    sites: list[str]
    exponents: Float[Tensor, " k"]
    error: Float[Tensor, " k"]
    per_sample: Float[Tensor, "B k"]
    steps: Float[Tensor, " B"]
    warmup: int
    every: int
    size: int
    stopped: str

    @classmethod
    def of(cls, stack: Stack, frame: Frame, warmup: int, stopped: str) -> "Exponents":
        """From a frame at the end of its way."""
        each = (frame.grown / frame.counted.unsqueeze(-1)).cpu()
        counted = frame.counted.cpu()
        return cls._from(stack.sites, each, counted, warmup, frame.every, stack.size, stopped)

    @classmethod
    def beside(cls, group: list["Exponents"]) -> "Exponents":
        """Several sequences of one module as samples of one measurement."""
        if len(group) == 1:
            return group[0]
        first = group[0]
        each, steps = (
            torch.cat([getattr(e, name) for e in group]) for name in ("per_sample", "steps")
        )
        every = min(e.every for e in group)
        return cls._from(first.sites, each, steps, first.warmup, every, first.size, first.stopped)

    @classmethod
    def _from(
        cls,
        sites: list[str],
        each: Tensor,
        steps: Tensor,
        warmup: int,
        every: int,
        size: int,
        stopped: str,
    ) -> "Exponents":
        mean, order = each.mean(0).sort(descending=True)
        each = each[:, order]
        alone = len(each) == 1
        error = torch.full_like(mean, float("nan")) if alone else each.std(0) / len(each) ** 0.5
        return cls(sites, mean, error, each, steps, warmup, every, size, stopped)

    @property
    def largest(self) -> float:
        """The largest exponent. Below 0 deviations and gradients shrink in the long run, above 0 they grow."""
        return float(self.exponents[0])

    @property
    def dimension(self) -> float | None:
        """Kaplan–Yorke dimension: `j + (λ_1 + … + λ_j) / |λ_{j+1}|`, j the most exponents whose sum is not below 0.

        0 where already the largest is below 0; S where all sum to 0 or more; None where the k exponents do not reach.
        """
        sums = self.exponents.cumsum(0)
        below = (sums < 0).nonzero()
        if len(below) == 0:
            return float(self.size) if len(sums) == self.size else None
        j = int(below[0])
        return j + float(sums[j - 1] / -self.exponents[j]) if j else 0.0

    @property
    def entropy_rate(self) -> float | None:
        """Sum of the exponents above 0, nats per step: by Pesin's identity the rate at which chaos makes information.

        None where all k are above 0 and more may follow.
        """
        above = self.exponents > 0
        if bool(above.all()) and len(above) < self.size:
            return None
        return float(self.exponents[above].sum())

    def plot(self, ax: Any = None) -> Any:
        """Draw the exponents by their number, with standard errors, and the line at 0; by matplotlib.

        Args:
            ax: the axes to draw on; None makes new ones with `pyplot`.

        Returns:
            The axes.

        Raises:
            BpttError: matplotlib is not installed.
        """
        from bptt.flow.picture._spectra import plot_exponents

        return plot_exponents(self, ax)

    def __repr__(self) -> str:
        error = f" ± {float(self.error[0]):.1g}" if bool(self.error[0].isfinite()) else ""
        return f"largest exponent {self.largest:.3g}{error} per step"
