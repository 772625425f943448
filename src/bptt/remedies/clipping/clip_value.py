"""Clipping of every value of the gradient by itself."""

import math
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import torch
from torch import nn
from torch.optim import Optimizer

from bptt.remedies._change import Change
from bptt.remedies.clipping._install import fits_gradients as fits
from bptt.remedies.clipping._install import install
from bptt.remedies.clipping._method import Clipped, Method, norm_of, positive

CURES = ("EG202",)

__all__ = ["CURES", "ClipValue", "clip_value", "fits"]


@dataclass(frozen=True)
class ClipValue(Method):
    """`g_i ← min(max(g_i, -value), value)`: torch's own, for a `Clipper`."""

    value: int | float
    name: ClassVar[str] = "clip_value"
    whole: ClassVar[bool] = False

    def __post_init__(self) -> None:
        positive("value", self.value)

    def options(self) -> dict[str, Any]:
        """`value`."""
        return asdict(self)

    def clip(self, held: list[Any], scale: float) -> Clipped:
        """At `value`, wherever a value is above it."""
        total = norm_of(held)
        before = float(total)
        if not math.isfinite(before):
            return Clipped(before, math.nan, 1.0)
        torch.nn.utils.clip_grad_value_(held, self.value * scale)
        after = float(norm_of(held))
        return Clipped(before / scale, float(self.value), after / before if before > 0 else 1.0)


def clip_value(
    model: nn.Module,
    *,
    optimizer: Optimizer | None = None,
    site: str = "",
    value: int | float = 1.0,
    replace: bool = False,
) -> Change:
    """Force every value of the gradient into `[-value, value]`.

    Large values are cut and small ones kept, so that the gradient's direction bends towards the parameters that had
    little; `clip_norm` keeps it. Two parameters of very unequal gradients then move alike, which may be what is wanted.
    `torch.nn.utils.clip_grad_value_` does the work.

    Args:
        model: its gradients are clipped inside each optimizer's step; the model itself is not changed.
        optimizer: the one that trains it; None for whichever will.
        site: for the record: all parameters count.
        value: the largest modulus, above 0.
        replace: put the script's own clipping of these parameters aside.

    Raises:
        RemedyError: a value that is not positive and finite, an optimizer of another model; nothing was changed.

    Example:
        >>> import torch
        >>> model = nn.Linear(2, 1, bias=False)
        >>> change = clip_value(model, value=0.5)
        >>> model.weight.grad = torch.tensor([[0.25, -8.0]])
        >>> torch.optim.SGD(model.parameters(), lr=1.0).step()
        >>> model.weight.grad
        tensor([[ 0.2500, -0.5000]])
        >>> change.undo()

    Source: Mikolov (2012), "Statistical language models based on neural networks", section 3.2.2.
    """
    return install(
        ClipValue(value),
        model,
        optimizer,
        replace=replace,
        said=f"each value of the gradient is clipped to ±{value:g} in every step",
        lines=(
            f"torch.nn.utils.clip_grad_value_(model.parameters(), {value:g})",
            "# after loss.backward() (and scaler.unscale_), before optimizer.step()",
        ),
    )
