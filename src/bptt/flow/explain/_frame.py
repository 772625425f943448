"""Tangents kept apart: the QR method, with its interval chosen from the growth that it sees.

    V = J_n … J_1 Q,   V = Q' R,   log R_jj summed over intervals, divided by steps: exponent j

All columns lean towards the direction that grows most. What column j has of its own is `R_jj` of its length `‖V_j‖`;
below the precision of the numbers it is lost. The interval aims at a share `R_jj / ‖V_j‖` of `KEPT`; one that ends
below `FLOOR` is taken back and made again in halves.

Source: Benettin et al., Meccanica 15 (1980); Vogt et al., arXiv 2006.14123 (2020).
"""

import math

import torch
from torch import Tensor

from bptt._errors import UnmeasurableError
from bptt.flow.explain._stack import Linear, Stack

KEPT, FLOOR = 1e-6, 1e-8
EPS = torch.finfo(torch.float64).eps
RANGE = 300.0
"""Growth of logarithms within one interval that stays clear of overflow and underflow."""
LONGEST = 64


def frame(size: int, k: int) -> Tensor:
    """`[k, S]` orthonormal rows to start from: the same ones every time, in no special direction."""
    generator = torch.Generator().manual_seed(0)
    return torch.linalg.qr(torch.randn(size, k, dtype=torch.float64, generator=generator))[0].mT


class Frame:
    """k orthonormal tangents for each of B samples, and how much they have grown.

    Attributes:
        every: steps between two orthonormalisations, as the growth allows it now.
        grown: `[B, k]` sum of `log R_jj` since `forget`, float64; -inf for a direction that a step sends to zero.
        counted: `[B]` steps since then.
    """

    def __init__(
        self, stack: Stack, batch: int, k: int, device: torch.device, every: int | None
    ) -> None:
        self.stack, self.every, self._fixed = stack, every or 1, every is not None
        self._v = frame(stack.size, k).to(device).expand(batch, -1, -1).contiguous()
        self._lost = torch.zeros(batch, k, dtype=torch.bool, device=device)
        self._any_lost = False
        self.forget()

    def forget(self) -> None:
        """Count from here on; the directions stay."""
        batch, k = self._lost.shape
        self.grown = torch.zeros(batch, k, dtype=torch.float64, device=self._v.device)
        self.counted = torch.zeros(batch, dtype=torch.float64, device=self._v.device)

    def advance(self, linear: Linear) -> None:
        """Take the tangents through all steps of a linearised stretch."""
        t, steps = 0, len(linear.inside)
        while t < steps:
            n = min(self.every, steps - t)
            pushed = self.stack.push(linear, t, t + n, self._v)
            if self._orthonormalise(pushed, n):
                self.counted += linear.inside[t : t + n].sum(0)
                t += n

    def _orthonormalise(self, pushed: Tensor, n: int) -> bool:
        """Take the growth out of the tangents after n steps. False: n was too long; the interval is now shorter."""
        factors, tau = torch.geqrf(pushed.mT)
        r = factors[:, : pushed.shape[1]].triu()
        diagonal = r.diagonal(dim1=-2, dim2=-1).abs()
        own, logs = diagonal / torch.linalg.vector_norm(pushed, dim=-1), diagonal.log()
        least, most = torch.stack([own.min(), logs.abs().max()]).tolist()
        if n > 1 and not self._fixed and least < FLOOR:
            return self._shorten(n, own)
        if not (least > EPS * self.stack.size and math.isfinite(most)) or self._any_lost:
            return self._with_lost_ones(pushed, factors, tau, logs, own.nan_to_num(0.0), n)
        self.grown += logs
        self._v = torch.linalg.solve_triangular(r, pushed.mT, upper=True, left=False).mT
        self._choose(least, most, n)
        return True

    def _with_lost_ones(
        self, pushed: Tensor, factors: Tensor, tau: Tensor, logs: Tensor, own: Tensor, n: int
    ) -> bool:
        """The same where directions have been lost: to rounding, or because a step sends them to zero."""
        fallen = (own <= EPS * self.stack.size) & ~self._lost
        overflow = not bool(pushed.isfinite().all())
        if n > 1 and (overflow or bool(fallen.any())):
            return self._shorten(n, own)
        if overflow:
            raise UnmeasurableError(
                f"{self.stack.name}: tangents overflow within one step; its weights are too large to measure"
            )
        # One step does it: a singular Jacobian, as ReLU units that are off make it.
        self._lost |= fallen
        self._any_lost = bool(self._lost.any())
        self.grown += torch.where(self._lost, -math.inf, logs)
        self._v = torch.linalg.householder_product(factors, tau).mT.contiguous()
        kept = ~self._lost
        if bool(kept.any()):
            self._choose(float(own[kept].min()), float(logs[kept].abs().max()), n)
        return True

    def _shorten(self, n: int, own: Tensor) -> bool:
        if self._fixed:
            raise UnmeasurableError(
                f"{self.stack.name}: over {n} steps (every={self.every}) the tangents fall together or overflow "
                f"(one keeps {float(own.min()):.0e} of its own direction, less than float64 resolves): "
                "give a smaller every=, or leave it None"
            )
        self.every = max(1, n // 2)
        return False

    def _choose(self, least: float, most: float, n: int) -> None:
        """The next interval, from what this one did to the directions and to the lengths."""
        if self._fixed or n < self.every:
            return
        longest = min(2 * n, LONGEST)
        if least < 1:
            longest = min(longest, int(n * math.log(KEPT) / math.log(least)))
        if most > 0:
            longest = min(longest, int(n * RANGE / most))
        self.every = max(1, longest)
