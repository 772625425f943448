"""What every way of clipping is made of: the gradients it is given, and what it says it did."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor

from bptt.remedies._target import RemedyError
from bptt.remedies.clipping._torch import tell

_foreach_norm = torch._foreach_norm  # type: ignore[attr-defined]
TORCHS_LEAST = 1e-6
"""What torch adds to a norm before it divides by it."""

LEAST_NORM = 1e-16
"""Norms below it are summed in float64: the squares of such values have few digits in float32, or none."""


class Clipped(NamedTuple):
    """What one call of clipping did.

    Attributes:
        norm: ‖g‖ over all gradients, before; `nan` or `inf` if one of them is not finite, and then nothing was done.
        limit: the threshold in force; infinite where there is none yet.
        factor: ‖g‖ after over ‖g‖ before; 1 if nothing was clipped.
    """

    norm: float
    limit: float
    factor: float


class Method(ABC):
    """A way of clipping: final classes, one a file. `Clipper` runs it; what it remembers is in its state."""

    name: ClassVar[str]
    whole: ClassVar[bool]
    """Whether it scales the whole gradient, so that its direction stays."""

    @abstractmethod
    def options(self) -> dict[str, Any]:
        """Its settings, as its constructor takes them."""

    @abstractmethod
    def clip(self, held: list[Any], scale: float) -> Clipped:
        """Clip gradients that are `scale` times too large; leave them alone if they are not finite."""

    def observe(self, norm: float) -> None:
        """Learn from a norm that was seen elsewhere. A fixed threshold has nothing to learn."""
        return

    def state(self) -> dict[str, Any]:
        """What it remembers, for a checkpoint."""
        return {}

    def load(self, state: dict[str, Any]) -> None:
        """Take it up again."""
        if state:
            raise RemedyError(f"{self.name} remembers nothing, but was given {sorted(state)}")


class Rows(NamedTuple):
    """A sparse gradient's rows in a parameter's place: `grad` `[n, …]` and the same rows of the weight."""

    grad: Tensor
    weight: Tensor

    def detach(self) -> Tensor:
        """The weight's rows."""
        return self.weight


def gradients(parameters: Tensor | Iterable[Tensor]) -> list[Any]:
    """Those that have a gradient with something in it; sparse ones as `Rows`, made unique in place."""
    each = [parameters] if isinstance(parameters, Tensor) else parameters
    return [
        p if p.grad.layout is torch.strided else _rows(p)
        for p in each
        if p.grad is not None and p.grad.numel()
    ]


def _rows(parameter: Tensor) -> Rows:
    grad = parameter.grad
    assert grad is not None
    if grad.layout is not torch.sparse_coo or grad.sparse_dim() != 1:
        raise RemedyError(
            f"a gradient of layout {grad.layout} cannot be clipped; expected a dense one, or rows as "
            "nn.Embedding(sparse=True) makes them"
        )
    if (
        not grad.is_coalesced()
    ):  # a symbol that occurs twice has two rows, whose sum is its gradient
        parameter.grad = grad = grad.coalesce()
    return Rows(grad._values(), parameter.detach()[grad._indices()[0]])


def norm_of(held: list[Any]) -> Tensor:
    """‖g‖ as torch has it; in float64 where its squares over- or underflow although every value is finite."""
    grads = [p.grad for p in held]
    first = grads[0]
    if all(
        type(g) is Tensor and g.dtype == first.dtype and g.device == first.device for g in grads
    ):
        # torch's own, less the sorting by device and dtype, which is a fifth of its time.
        total = torch.linalg.vector_norm(torch.stack(_foreach_norm(grads, 2.0)), 2.0)
    else:
        total = torch.nn.utils.get_total_norm(grads)
    if not LEAST_NORM < float(total) < math.inf:
        total = torch.nn.utils.get_total_norm([g.double() for g in grads])
    return total


def by_norm(
    held: list[Any], scale: float, limit: Callable[[float], float], *, least: float = 0.0
) -> Clipped:
    """`g ← g · min(1, limit / (‖g‖ + least))` through torch's own function; `limit` is asked with ‖g‖.

    torch's `least` is 1e-6. That shortens gradients of such a size that no threshold asks for, so what finds its own
    threshold goes without.
    """
    total = norm_of(held)
    norm = float(total) / scale
    if not math.isfinite(norm):
        return Clipped(norm, math.nan, 1.0)
    most = limit(norm)
    size = norm * scale
    # On the very edge torch's own rounding decides, if the threshold is torch's.
    if size + least <= most * scale * (1 - least):
        tell("norm", most * scale, size)
        return Clipped(norm, most, 1.0)
    factor = min(1.0, most * scale / (size + least))
    bound = most * scale if least else factor * (size + TORCHS_LEAST)
    torch.nn.utils.clip_grads_with_norm_(held, bound, total)
    return Clipped(norm, most, factor)


def positive(name: str, value: Any) -> float:
    """A threshold, or the reason why it is none."""
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not number or not 0 < value < math.inf:
        raise RemedyError(f"{name} is {value!r}, expected a positive, finite number")
    return float(value)
