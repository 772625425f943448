"""What the tanh and the ReLU RNN share: `h_t = φ(a_t)`, `a_t = W_ih x_t + b_ih + W_hh h_{t-1} + b_hh`."""

from typing import NamedTuple

from torch import Tensor

from bptt.cells._cell import State, Weights, before, diag_times, linear


class Gates(NamedTuple):
    """The new state, `φ(a_t)`."""

    h: Tensor


class Local(NamedTuple):
    """The slope, `φ'(a_t)`."""

    slope: Tensor


def preactivation(x: Tensor, h: Tensor, w: Weights) -> Tensor:
    """`a_t` from the input and the state before the step."""
    return linear(x, w.w_ih, w.b_ih) + linear(h, w.w_hh, w.b_hh)


def preactivations(x: Tensor, start: State, h: Tensor, w: Weights) -> Tensor:
    """`a_t` of all steps at once."""
    return preactivation(x, before(start[0], h), w)


def pull(local: Local, costate: State, w: Weights) -> State:
    """`dh_{t-1} = W_hhᵀ (φ'(a_t) ∘ dh_t)`."""
    return ((local.slope * costate[0]) @ w.w_hh,)


def jacobian(local: Local, w: Weights) -> Tensor:
    """`∂h_t/∂h_{t-1} = diag(φ'(a_t)) W_hh`."""
    return diag_times(local.slope, w.w_hh)
