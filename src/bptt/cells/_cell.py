"""What every cell offers: one step, its gates at all steps, and its derivative.

Shapes: T steps, B samples, I inputs, H hidden units, G gates, P state outputs (P = H unless the LSTM projects). A
    leading `...` may hold time, anchors, samples in any number; only the last axis is the cell's own.
"""

from abc import ABC, abstractmethod
from typing import Any, ClassVar, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

State = tuple[Tensor, ...]
"""The state handed from step to step: `(h,)`, or `(h, c)` for an LSTM."""


class Weights(NamedTuple):
    """Parameters of one layer and direction, in torch's layout (gates stacked on the first axis)."""

    w_ih: Float[Tensor, "GH I"]
    w_hh: Float[Tensor, "GH P"]
    b_ih: Float[Tensor, " GH"] | None = None
    b_hh: Float[Tensor, " GH"] | None = None
    w_hr: Float[Tensor, "P H"] | None = None

    def to(self, dtype: torch.dtype) -> "Weights":
        """The same parameters in another precision."""
        return Weights(*(None if w is None else w.to(dtype) for w in self))  # type: ignore[arg-type]


class Cell(ABC):
    """The mathematics of one recurrent cell; stateless, so one instance serves every layer.

    A *costate* is the gradient with respect to the state that one step hands to the next: `(dh,)`, or `(dh, e)` for an
    LSTM, where `e` is the part of `dL/dc` that does not pass through `h` of the same step.
    """

    name: ClassVar[str]
    gate_names: ClassVar[tuple[str, ...]]
    parts: ClassVar[int] = 1
    factors: ClassVar[tuple[str, ...]]
    """What `stages` blames each of its factors on: `"weights"`, `"slope"`, or the names of gates (`"z r"`)."""

    @abstractmethod
    def step(self, x: Float[Tensor, "*n I"], state: State, w: Weights) -> State:
        """One forward step, `s_t = f(x_t, s_{t-1})`. The specification of the cell."""

    @abstractmethod
    def gates(
        self, x: Float[Tensor, "T B I"], start: State, h: Float[Tensor, "T B P"], w: Weights
    ) -> Any:
        """Gate values of all steps at once, from the inputs and the known states `h` after each step.

        `start` is the state before step 0. The products are one matrix multiplication over all steps; only what the
        states do not reveal (an LSTM's `c`) is scanned.
        """

    @abstractmethod
    def states(self, gates: Any, w: Weights) -> State:
        """The states after each step that these gates produce."""

    @abstractmethod
    def local(self, gates: Any) -> Any:
        """The elementwise factors of every step Jacobian, all steps at once."""

    @abstractmethod
    def pull(self, local: Any, costate: State, w: Weights) -> State:
        """One backward step, `v_{t-1} = (∂s_t/∂s_{t-1})ᵀ v_t`."""

    @abstractmethod
    def preactivation_grad(self, local: Any, costate: State, w: Weights) -> Float[Tensor, "*n GH"]:
        """Gradient of the summed gate inputs `W_ih x + b_ih`, from which `dx = d @ W_ih` follows."""

    @abstractmethod
    def jacobian(self, local: Any, w: Weights) -> Float[Tensor, "*n S S"]:
        """The step Jacobian `∂s_t/∂s_{t-1}`, dense; S is the size of the joint state."""

    @abstractmethod
    def push(self, local: Any, tangent: State, w: Weights, dx: Tensor | None = None) -> State:
        """One tangent step, `δs_t = ∂s_t/∂s_{t-1} δs_{t-1} + ∂s_t/∂x_t δx_t`; an input that does not vary has no `dx`.

        Many tangents of one sample are rows of a further axis; `local` then needs an axis of 1 in its place.
        """

    @abstractmethod
    def stages(self, gates: Any, costate: State, w: Weights) -> tuple[Tensor, ...]:
        """The costate on its way through one backward step: one tensor after each of `factors`, the last is `pull`'s.

        The logarithms of the ratios of their norms, one after the other, sum to `log ‖J_tᵀ v‖ / ‖v‖`.
        """

    def total_c(self, local: Any, costate: State, w: Weights) -> Tensor | None:
        """`dL/dc_t` as autograd gives it, where the cell has a `c`; else None."""
        return None


def before(start: Tensor, h: Tensor) -> Tensor:
    """States before each step, from the states after each step and the one before the first."""
    return torch.cat([start.expand_as(h[0]).unsqueeze(0), h[:-1]])


def linear(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """`x Wᵀ + b`, with a bias that may be missing."""
    return F.linear(x, weight, bias)


def at(local: Any, index: int | slice) -> Any:
    """The entries of a named tuple of tensors at one step, or at a range of steps."""
    return type(local)(*(field[index] for field in local))


def diag_times(d: Tensor, m: Tensor) -> Tensor:
    """`diag(d) M` for every leading index."""
    return d.unsqueeze(-1) * m
