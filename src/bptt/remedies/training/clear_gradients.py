"""Gradients that nobody clears are cleared."""

from typing import Any

from torch import nn
from torch.optim import Optimizer

from bptt.remedies._change import Change
from bptt.remedies._target import Target, needed

CURES = ("OP503",)


def fits(target: Target) -> str:
    """An optimizer."""
    return "" if target.optimizers else "it acts on an optimizer, and none was given"


def clear_gradients(
    model: nn.Module, *, optimizer: Optimizer | None = None, site: str = ""
) -> Change:
    """Clear what a step has used before the next forward pass: `g ← None` once an update.

    Without it update n steps along `Σ_{m≤n} ∂L_m/∂θ`, the sum of all gradients since the beginning. Gradients that
    are accumulated on purpose, over several backward passes before one step, are not touched: only those that a step
    has used go. They stay readable until the model is called again, so that a script may still print their norm.

    Args:
        model: its first call after a step is when the gradients go.
        optimizer: whose parameters' gradients are meant, and whose step it is.
        site: has no meaning here.

    Example:
        >>> import torch
        >>> model = nn.RNN(1, 1)
        >>> optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
        >>> change = clear_gradients(model, optimizer=optimizer)
        >>> for _ in range(3):
        ...     model(torch.ones(1, 1))[0].sum().backward(); optimizer.step()
        >>> once = model.weight_ih_l0.grad.item(); change.undo()
        >>> model(torch.ones(1, 1))[0].sum().backward()
        >>> model.weight_ih_l0.grad.item() == 2 * once
        True

    Source: PyTorch documentation, torch.optim.Optimizer.zero_grad.
    """
    optimizer = needed(optimizer, "clear_gradients")
    with Change("clear_gradients", {}) as change:
        used = _Used(optimizer)
        change.counts["updates"] = 0
        used.counts = change.counts
        change.hook(optimizer.register_step_post_hook(used.mark))
        for module in {id(m): m for m in (model, *_recurrent(model))}.values():
            change.hook(module.register_forward_pre_hook(used.clear))
        change.said.append("gradients are cleared once a step has used them")
        change.lines = ("optimizer.zero_grad()", "loss.backward()")
    return change


def _recurrent(model: nn.Module) -> list[nn.Module]:
    """Scripts may call these without calling the model."""
    return [m for m in model.modules() if isinstance(m, (nn.RNNBase, nn.RNNCellBase))]


class _Used:
    """Whether the gradients of an optimizer's parameters have been used by a step."""

    def __init__(self, optimizer: Optimizer) -> None:
        self.optimizer, self.used = optimizer, False
        self.counts: dict[str, int] = {}

    def mark(self, *_: Any) -> None:
        """A step has used them."""
        self.used = True

    def clear(self, module: nn.Module, *_: Any) -> None:
        """The next update begins."""
        if self.used and module.training:
            self.used = False
            self.counts["updates"] += 1
            self.optimizer.zero_grad(set_to_none=True)
