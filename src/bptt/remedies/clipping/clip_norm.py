"""Clipping by the norm of the whole gradient, at a fixed threshold."""

from dataclasses import asdict, dataclass
from typing import Any, ClassVar

from torch import nn
from torch.optim import Optimizer

from bptt.remedies._change import Change
from bptt.remedies._target import RemedyError
from bptt.remedies.clipping._install import fits_gradients as fits
from bptt.remedies.clipping._install import install
from bptt.remedies.clipping._method import TORCHS_LEAST, Clipped, Method, by_norm, positive

CURES = ("EG202", "EG203")

__all__ = ["CURES", "ClipNorm", "clip_norm", "fits"]


@dataclass(frozen=True)
class ClipNorm(Method):
    """`g ← g · min(1, max_norm / (‖g‖ + 1e-6))` over all gradients together: torch's own, for a `Clipper`.

    >>> ClipNorm(-1.0)
    Traceback (most recent call last):
    bptt.remedies._target.RemedyError: max_norm is -1.0, expected a positive, finite number
    """

    max_norm: int | float
    name: ClassVar[str] = "clip_norm"
    whole: ClassVar[bool] = True

    def __post_init__(self) -> None:
        positive("max_norm", self.max_norm)

    def options(self) -> dict[str, Any]:
        """`max_norm`."""
        return asdict(self)

    def clip(self, held: list[Any], scale: float) -> Clipped:
        """At `max_norm`."""
        return by_norm(held, scale, lambda norm: float(self.max_norm), least=TORCHS_LEAST)


def clip_norm(
    model: nn.Module,
    *,
    optimizer: Optimizer | None = None,
    site: str = "",
    max_norm: int | float = 1.0,
    replace: bool = True,
    by_hand: bool = False,
) -> Change:
    """Bound the norm of each update's gradient, `g ← g · min(1, max_norm / ‖g‖)`; its direction stays.

    ‖g‖ is the norm over all parameters together, as `torch.nn.utils.clip_grad_norm_` has it, which does the work. It
    bounds the step that an exploding gradient takes; where the gradient comes from, and so its direction, it leaves.
    A threshold for a run is best read from the run's own norms: `propose`.

    Args:
        model: its gradients are clipped inside each optimizer's step; the model itself is not changed.
        optimizer: the one that trains it; None for whichever will.
        site: for the record: a norm over one layer alone would bend the direction, so all parameters count.
        max_norm: the largest norm an update may use, above 0.
        replace: put the script's own clipping of these parameters aside, so that this threshold is the one that counts.
            A threshold that is far too low (EG203) is cured in this way.
        by_hand: put aside what the script multiplies or clamps its gradients by in its own code, too: the step uses
            them as the backward pass left them, which takes a copy of each. A factor that stays the same from update to
            update, as of an average, is left; so is whatever else is done to gradients. Needs the optimizer.

    Raises:
        RemedyError: a threshold that is not positive and finite, `by_hand` without an optimizer, an optimizer of
            another model, a clipper of the whole gradient already at work; nothing was changed.

    Example:
        >>> import torch, bptt
        >>> model = nn.Linear(1, 1, bias=False)
        >>> optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
        >>> change = clip_norm(model, optimizer=optimizer, max_norm=0.5)
        >>> before = model.weight.detach().clone()
        >>> (100 * model(torch.ones(1, 1))).sum().backward()
        >>> optimizer.step()
        >>> round((model.weight - before).norm().item(), 4)
        0.5
        >>> change.undo()

    Source: Pascanu, Mikolov & Bengio (2013), arXiv 1211.5063, algorithm 1.
    """
    method = ClipNorm(max_norm)
    if by_hand and optimizer is None:
        raise RemedyError("by_hand needs the optimizer, before whose steps gradients are put back")
    return install(
        method,
        model,
        optimizer,
        replace=replace,
        by_hand=by_hand,
        said=f"the gradient's norm is clipped at {max_norm:g} in every step",
        lines=(
            f"torch.nn.utils.clip_grad_norm_(model.parameters(), {max_norm:g})",
            "# after loss.backward() (and scaler.unscale_), before optimizer.step()",
        ),
    )
