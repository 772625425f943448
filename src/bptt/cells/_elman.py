"""What the tanh and the ReLU RNN share: `h_t = φ(a_t)`, `a_t = W_ih x_t + b_ih + W_hh h_{t-1} + b_hh`."""

from typing import NamedTuple

from torch import Tensor

from bptt.cells._cell import State, Weights, diag_times, linear


class Gates(NamedTuple):
    """The new state, `φ(a_t)`."""

    h: Tensor


class Local(NamedTuple):
    """The slope, `φ'(a_t)`."""

    slope: Tensor


def preactivation(x: Tensor, h: Tensor, w: Weights) -> Tensor:
    """`a_t` from the input and the state before the step."""
    return linear(x, w.w_ih, w.b_ih) + linear(h, w.w_hh, w.b_hh)


def pull(local: Local, costate: State, w: Weights) -> State:
    """`dh_{t-1} = W_hhᵀ (φ'(a_t) ∘ dh_t)`."""
    return ((local.slope * costate[0]) @ w.w_hh,)


def push(local: Local, tangent: State, w: Weights, dx: Tensor | None) -> State:
    """`δh_t = φ'(a_t) ∘ (W_hh δh_{t-1} + W_ih δx_t)`."""
    a = linear(tangent[0], w.w_hh, None)
    return (local.slope * (a if dx is None else a + linear(dx, w.w_ih, None)),)


FACTORS = ("slope", "weights")


def stages(local: Local, costate: State, w: Weights) -> tuple[Tensor, ...]:
    """`v`, then `φ'(a_t) ∘ v`, then `W_hhᵀ (φ'(a_t) ∘ v)`."""
    u = local.slope * costate[0]
    return u, u @ w.w_hh


def jacobian(local: Local, w: Weights) -> Tensor:
    """`∂h_t/∂h_{t-1} = diag(φ'(a_t)) W_hh`."""
    return diag_times(local.slope, w.w_hh)
