"""What the recurrent weights alone say about the credit curve of a cell without gates.

    J_t = diag(φ'(a_t)) W_hh,   0 <= φ' <= 1   ⇒   credit[k] <= σ^k,   σ the largest singular value of W_hh

The popular statement takes the largest eigenvalue ρ instead. `ρ^k` is what a linear recurrence comes to in the long
run; for a finite number of steps it bounds nothing, because the eigenvectors of W_hh need not be orthogonal, and it
knows neither slopes nor inputs.

Source: Pascanu, Mikolov, Bengio, arXiv 1211.5063 (2013), section 2.1.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

UNGATED = ("rnn_tanh", "rnn_relu")
"""Cells whose step Jacobian is a slope of at most 1 times the recurrent weights."""


@dataclass(frozen=True)
class Theory:
    """The two numbers of `W_hh`, and the curves they give beside a measured credit curve of `steps` lags.

    Attributes:
        radius: ρ, the largest modulus of its eigenvalues.
        norm: σ, its largest singular value.
        steps: T.
    """

    radius: float
    norm: float
    steps: int

    @classmethod
    def of(cls, w_hh: Tensor, steps: int) -> "Theory":
        """From the recurrent weights `[H, H]`."""
        w = w_hh.double()
        radius = float(torch.linalg.eigvals(w).abs().max())
        return cls(radius, float(torch.linalg.matrix_norm(w, 2)), steps)

    @property
    def bound(self) -> Float[Tensor, " T"] | None:
        """`[T]` `σ^k`, which no credit curve exceeds; None where σ is 1 or more, for then it says nothing of vanishing.

        Exploding it cannot prove either way: with σ above 1 the gradient may still vanish.
        """
        return self._powers(self.norm) if self.norm < 1 else None

    @property
    def linear(self) -> Float[Tensor, " T"]:
        """`[T]` `ρ^k`, what a linear recurrence decays or grows as in the long run; no bound."""
        return self._powers(self.radius)

    def _powers(self, base: float) -> Tensor:
        return torch.tensor(base, dtype=torch.float64) ** torch.arange(self.steps)

    def farthest(self, threshold: float) -> int | None:
        """The largest lag that the bound leaves at or above `threshold`; None where it says nothing."""
        if self.norm >= 1:
            return None
        return int(math.log(threshold) / math.log(self.norm)) if self.norm > 0 else 0

    def words(self, threshold: float) -> str:
        """One clause for a summary."""
        eigen = f"theory: largest eigenvalue {self.radius:.3g} (no bound)"
        if self.norm >= 1:
            return (
                f"{eigen}, largest singular value {self.norm:.3g} >= 1, so its bound says nothing"
            )
        return (
            f"{eigen}, largest singular value {self.norm:.3g}: the gradient reaches at most "
            f"{self.farthest(threshold)} steps"
        )
