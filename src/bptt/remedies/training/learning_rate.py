"""A ceiling for the learning rate."""

from typing import Any

from torch import Tensor, nn
from torch.optim import Optimizer

from bptt.remedies._change import Change
from bptt.remedies._target import RemedyError, Target, is_number, needed

CURES = ("OP501",)


def fits(target: Target) -> str:
    """An optimizer whose groups have a learning rate."""
    if not target.optimizers:
        return "it acts on an optimizer, and none was given"
    if any("lr" not in group for each in target.optimizers for group in each.param_groups):
        return f"{type(target.optimizers[0]).__name__} has no learning rate"
    return ""


def learning_rate(
    model: nn.Module, *, optimizer: Optimizer | None = None, site: str = "", lr: float
) -> Change:
    """Bound the learning rate of every group: `η ← min(η, lr)`, now and before each step.

    A recurrent matrix acts T times in a row, so that an update of relative size `r = ‖Δw‖ / ‖w‖` is felt about `T·r`
    times; what a feed-forward layer survives is too much here. Where a rule has seen a ratio `r` at the rate `η`,
    `lr = 0.01 η / r` brings it to a hundredth. A schedule goes on below the ceiling: warm-up and decay keep their
    form, and what they would set above it is cut off.

    Args:
        model: not looked at; every group counts, whatever it owns.
        optimizer: its groups are bounded.
        site: has no meaning here.
        lr: the ceiling, above 0.

    Raises:
        RemedyError: an `lr` that is not a positive number; nothing was changed.

    Example:
        >>> import torch
        >>> model = nn.GRU(2, 4)
        >>> optimizer = torch.optim.SGD(model.parameters(), lr=30.0)
        >>> change = learning_rate(model, optimizer=optimizer, lr=0.1)
        >>> optimizer.param_groups[0]["lr"]
        0.1
        >>> change.undo(); optimizer.param_groups[0]["lr"]
        30.0

    Source: Bottou, Curtis & Nocedal (2018), section 4; You, Gitman & Ginsburg (2017) for the ratio.
    """
    if not (is_number(lr) and lr > 0):
        raise RemedyError(f"lr is {lr!r}, expected a positive number")
    optimizer = needed(optimizer, "learning_rate")
    with Change("learning_rate", {"lr": lr}) as change:
        ceiling = Ceiling(optimizer, lr)
        before = sorted({float(group["lr"]) for group in optimizer.param_groups}, reverse=True)
        change.then(ceiling.lift)
        ceiling.press()
        change.hook(optimizer.register_step_pre_hook(ceiling.press))
        change.said.append(
            f"learning rate {', '.join(f'{each:g}' for each in before)} -> at most {lr:g}"
        )
        change.lines = (
            "for group in optimizer.param_groups:",
            f'    group["lr"] = min(group["lr"], {lr:g})',
        )
    return change


class Ceiling:
    """Keeps the learning rates of an optimizer at or below `lr`, and remembers what was asked for."""

    def __init__(self, optimizer: Optimizer, lr: float) -> None:
        self.optimizer, self.lr = optimizer, lr
        self.asked: dict[int, float] = {}

    def press(self, *_: Any) -> None:
        """Lower what is above."""
        for n, group in enumerate(self.optimizer.param_groups):
            if float(group["lr"]) > self.lr:
                self.asked[n] = float(group["lr"])
                _set(group, self.lr)

    def lift(self) -> None:
        """Give back what was asked for last, where the group is still at the ceiling."""
        for n, group in enumerate(self.optimizer.param_groups):
            if n in self.asked and float(group["lr"]) in (self.lr, _rounded(group, self.lr)):
                _set(group, self.asked[n])


def _set(group: dict[str, Any], lr: float) -> None:
    """A rate that is a tensor (for compiled or captured steps) stays the same tensor."""
    if isinstance(group["lr"], Tensor):
        group["lr"].fill_(lr)
    else:
        group["lr"] = lr


def _rounded(group: dict[str, Any], lr: float) -> float:
    """The ceiling as the group's own type holds it."""
    return float(group["lr"].new_tensor(lr)) if isinstance(group["lr"], Tensor) else lr
