"""Adaptive gradient clipping: each unit's gradient is bounded by the size of its weights."""

import math
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from bptt.kernels import clip_units
from bptt.remedies._change import Change
from bptt.remedies.clipping._install import fits_gradients as fits
from bptt.remedies.clipping._install import install
from bptt.remedies.clipping._method import Clipped, Method, positive

CURES = ("EG202", "OP501")

__all__ = ["AGC", "CURES", "agc", "fits"]

_foreach_norm, _foreach_mul_ = torch._foreach_norm, torch._foreach_mul_  # type: ignore[attr-defined]
_ROW = {dims: tuple(range(1, dims)) for dims in range(2, 8)}
_LEAST = 1e-6
"""Beside a gradient's norm, so that a zero one divides by something."""


@dataclass(frozen=True)
class AGC(Method):
    """`G_i ← G_i · min(1, λ max(‖W_i‖, ε) / ‖G_i‖)` for every unit `i`; for a `Clipper`.

    A unit is what the first axis counts: a row of `weight_hh` `[G·H, H]` is one gate of one hidden unit. A bias is one
    unit as a whole. The limit that `Clipped` holds is λ.
    """

    factor: int | float = 0.01
    least: int | float = 1e-3
    name: ClassVar[str] = "agc"
    whole: ClassVar[bool] = False

    def __post_init__(self) -> None:
        positive("factor", self.factor)
        positive("least", self.least)

    def options(self) -> dict[str, Any]:
        """`factor` λ and `least` ε."""
        return asdict(self)

    def clip(self, held: list[Any], scale: float) -> Clipped:
        """Every unit whose gradient is too large for its weights."""
        pairs = [p.detach() for p in held], [p.grad.detach() for p in held]
        told = clip_units(*pairs, self.factor * scale, self.least, _LEAST * scale)
        if told is not None:
            before, after = told
            return Clipped(
                before / scale, float(self.factor), after / before if before > 0 else 1.0
            )
        devices = {p.grad.device for p in held}
        before = after = 0.0
        found = []
        for device in devices:
            units = _Units([p for p in held if p.grad.device == device])
            sizes = units.norms([p.detach() for p in units.held])
            norms = units.norms(units.grads)
            total = float(norms.norm())
            if not math.isfinite(total):  # not finite, or finite and too large for its dtype
                norms = units.norms([g.double() for g in units.grads])
                total = float(norms.norm())
            if not math.isfinite(total):
                return Clipped(total, math.nan, 1.0)
            limits = sizes.clamp_min_(self.least).mul_(self.factor * scale)
            found.append((units, norms, limits))
            before = math.hypot(before, total)
        for units, norms, limits in found:
            if (norms > limits).any():
                factors = (limits / norms.clamp_min(_LEAST * scale)).clamp_max_(1.0)
                units.scale_(factors)
                norms = norms * factors
            after = math.hypot(after, float(norms.norm()))
        return Clipped(before / scale, float(self.factor), after / before if before > 0 else 1.0)


class _Units:
    """Gradients of one device, in the order in which their units' norms stand: matrices, then vectors."""

    def __init__(self, held: list[Any]) -> None:
        self.matrices = [p for p in held if p.grad.dim() > 1]
        self.vectors = [p for p in held if p.grad.dim() <= 1]
        self.held = self.matrices + self.vectors
        self.grads: list[Tensor] = [p.grad for p in self.held]

    def norms(self, tensors: list[Tensor]) -> Tensor:
        """‖·‖ of every unit `[units]`, of tensors in the order of `held`."""
        count = len(self.matrices)
        rows = [torch.linalg.vector_norm(_wide(t), dim=_ROW[t.dim()]) for t in tensors[:count]]
        if tensors[count:]:
            rows.append(torch.stack(_foreach_norm([_wide(t) for t in tensors[count:]])))
        return torch.cat(rows)

    def scale_(self, factors: Tensor) -> None:
        """Multiply every unit by its own factor, in place."""
        counts = [len(p.grad) for p in self.matrices] + [1] * len(self.vectors)
        parts = [
            # A number that multiplies a vector is a tensor without axes: it does not change its dtype.
            part.view(-1, *[1] * (grad.dim() - 1)).to(grad.dtype) if grad.dim() > 1 else part[0]
            for grad, part in zip(self.grads, factors.split(counts), strict=True)
        ]
        _foreach_mul_(self.grads, parts)


def _wide(tensor: Tensor) -> Tensor:
    """Half precision has too few digits, and too small a range, for sums of squares."""
    return tensor.float() if tensor.dtype in (torch.float16, torch.bfloat16) else tensor


def agc(
    model: nn.Module,
    *,
    optimizer: Optimizer | None = None,
    site: str = "",
    factor: int | float = 0.01,
    least: int | float = 1e-3,
    replace: bool = False,
) -> Change:
    """Bound every unit's gradient by the size of that unit's weights.

    `G_i ← G_i · min(1, λ max(‖W_i‖, ε) / ‖G_i‖)`, `i` a row of a weight: one gate of one hidden unit, one output of a
    linear layer, one symbol of an embedding. A bias, or any vector, is one unit. With a plain step of learning rate
    `lr`, no unit then changes by more than the share `lr · λ` of its size.

    The source leaves the last linear layer unclipped; for that, attach a `Clipper(AGC())` to an optimizer of the
    others.

    Args:
        model: its gradients are clipped inside each optimizer's step; the model itself is not changed.
        optimizer: the one that trains it; None for whichever will.
        site: for the record: all parameters count.
        factor: λ, the largest ratio of gradient to weight, above 0.
        least: ε, the norm that a unit of smaller weights is taken to have, so that zeros can grow; above 0.
        replace: put the script's own clipping of these parameters aside.

    Raises:
        RemedyError: a number that is not positive and finite, an optimizer of another model; nothing was changed.

    Example:
        >>> model = nn.Linear(2, 2, bias=False)
        >>> change = agc(model, factor=0.1)
        >>> model.weight.data = torch.tensor([[3.0, 4.0], [3.0, 4.0]])
        >>> model.weight.grad = torch.tensor([[0.3, 0.4], [30.0, 40.0]])
        >>> torch.optim.SGD(model.parameters(), lr=0.01).step()
        >>> model.weight.grad
        tensor([[0.3000, 0.4000],
                [0.3000, 0.4000]])
        >>> change.undo()

    Source: Brock, De, Smith & Simonyan (2021), arXiv 2102.06171, section 4.
    """
    return install(
        AGC(factor, least),
        model,
        optimizer,
        replace=replace,
        said=f"each unit's gradient is clipped at {factor:g} of its weights' norm in every step",
        lines=(
            "from bptt.remedies import AGC, Clipper",
            f"Clipper(AGC(factor={factor:g}, least={least:g})).attach(optimizer)",
        ),
    )
