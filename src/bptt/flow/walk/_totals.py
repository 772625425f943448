"""What the backward recurrence of one track gives, and the norms it is measured in."""

from dataclasses import dataclass

import torch
from torch import Tensor

from bptt.cells import State


@dataclass(eq=False)
class Totals:
    """Norms `[T, B]` in float64, processing order; the full gradients `[T, B, ·]` where they were asked for."""

    grad_h: Tensor
    grad_c: Tensor | None
    grad_state: Tensor
    dx: Tensor | None
    dh: Tensor | None
    dc: Tensor | None
    direct: Tensor
    direct_c: dict[int, Tensor]


def norm(v: Tensor) -> Tensor:
    """Euclidean norm over the last axis, summed in float64: squares of small gradients must not underflow."""
    return torch.linalg.vector_norm(v, dim=-1, dtype=wide(v))


def wide(tensor: Tensor) -> torch.dtype:
    """Its type in double precision: float64, or complex128."""
    return torch.promote_types(tensor.dtype, torch.float64)


def joint_norm(v: State) -> Tensor:
    """Norm of a state or costate over all its parts."""
    return norm(v[0]) if len(v) == 1 else torch.hypot(norm(v[0]), norm(v[1]))
