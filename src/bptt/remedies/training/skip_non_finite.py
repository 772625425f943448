"""Updates whose gradients are not finite are left out."""

from collections.abc import Callable
from functools import wraps
from types import MethodType
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import LBFGS, Optimizer

from bptt.remedies._change import Change
from bptt.remedies._target import Target, needed

CURES = ("NF602",)


def fits(target: Target) -> str:
    """An optimizer that takes one gradient a step."""
    if not target.optimizers:
        return "it acts on an optimizer, and none was given"
    if any(isinstance(each, LBFGS) for each in target.optimizers):
        return "LBFGS evaluates several gradients within one step; none of them can be left out"
    return ""


def skip_non_finite(
    model: nn.Module, *, optimizer: Optimizer | None = None, site: str = ""
) -> Change:
    """Step only along finite gradients: `θ ← θ - η g` if every entry of `g` is finite, else `θ ← θ`.

    One infinite entry makes the norm infinite, and clipping by norm then multiplies every other entry by zero and that
    one by nan. A gradient that is not finite says nothing about any weight, so that the whole update is left out: no
    momentum, no weight decay, no count of a step. `counts["skipped"]` tells how many there were.

    What is lost: a fault that comes back in every update leaves nothing to learn from. `finite_gradients` then cures
    where it is born.

    Args:
        model: not looked at.
        optimizer: whose steps are left out. Under a loss scaler, which leaves them out itself, nothing changes.
        site: has no meaning here.

    Example:
        >>> import torch
        >>> model = nn.Linear(1, 1)
        >>> optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
        >>> change = skip_non_finite(model, optimizer=optimizer)
        >>> (model(torch.zeros(1)).sqrt() * torch.inf).sum().backward()
        >>> optimizer.step()
        >>> change.counts["skipped"], model.weight.isfinite().all().item()
        (1, True)
        >>> change.undo()

    Source: Micikevicius et al. (2018), "Mixed precision training", section 3.2, where it guards the loss scale.
    """
    optimizer = needed(optimizer, "skip_non_finite")
    with Change("skip_non_finite", {}) as change:
        change.counts["skipped"] = 0
        change.attribute(optimizer, "step", _guarded(optimizer, optimizer.step, change.counts))
        change.said.append("updates whose gradients are not finite are left out")
        change.lines = (
            "if all(p.grad is None or p.grad.isfinite().all() for p in model.parameters()):",
            "    optimizer.step()",
        )
    return change


def _guarded(
    optimizer: Optimizer, step: Callable[..., Any], counts: dict[str, int]
) -> Callable[..., Any]:
    @wraps(step)  # what a scheduler has noted on the step stays to be read
    def guarded(
        _: Optimizer, closure: Callable[[], Any] | None = None, *args: Any, **kwargs: Any
    ) -> Any:
        loss = None
        if closure is not None:  # it computes the gradients: once, and before the look at them
            with torch.enable_grad():
                loss = closure()
        if finite(p.grad for group in optimizer.param_groups for p in group["params"]):
            step(*args, **kwargs)
        else:
            counts["skipped"] += 1
            for group in optimizer.param_groups:
                for p in group["params"]:
                    if p.grad is not None:  # or the next backward pass would add to it
                        p.grad.zero_()
        return loss

    # A bound method: learning-rate schedulers that are made later wrap what they find, and expect one.
    return MethodType(guarded, optimizer)


def finite(grads: Any) -> bool:
    """Whether every entry of every gradient is finite; those that are None do not count."""
    kept = [g.coalesce()._values() if g.is_sparse else g for g in grads if g is not None]
    if not kept:
        return True
    norms: list[Tensor] = list(torch._foreach_norm(kept, float("inf")))  # pyright: ignore[reportPrivateImportUsage]
    return bool(torch.stack([norm.float().cpu() for norm in norms]).isfinite().all())
