"""Inputs on a scale that the recurrence expects."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence
from torch.optim import Optimizer

from bptt.remedies._change import Change
from bptt.remedies._target import RemedyError, Target
from bptt.remedies.training._modules import modules_at

CURES = ("SA301",)

VECTORS = 4096
"""Input vectors from which mean and spread are taken; then they stand."""


def fits(target: Target) -> str:
    """Any recurrent module, or a module with a forward pass of its own, which may hold a loop by hand."""
    try:
        _modules(target.model, target.site)
    except RemedyError as error:
        return str(error)
    return ""


def _modules(model: nn.Module, site: str) -> list[nn.Module]:
    try:
        return modules_at(model, site)
    except RemedyError:
        if site or type(model).forward is nn.Module.forward:
            raise
        return [model]


def scale_input(model: nn.Module, *, optimizer: Optimizer | None = None, site: str = "") -> Change:
    """Standardise what the recurrent modules read: `x̃ = (x - μ) / σ`, feature by feature.

    A cell's weights start at a size that keeps `W_ih x` of order one for `x` of order one. Inputs in the hundreds put
    every tanh and every gate at its end, where the slope is nearly zero and neither credit nor learning gets through.
    `μ` and `σ` are taken over time and samples of the first 4,096 vectors and stand from then on. A feature that never
    changes is only shifted.

    What is lost: a trained model needs the same `μ` and `σ`; `lines` and `said` give them.

    Args:
        model: holds the modules.
        optimizer: has no meaning here.
        site: one module or site, `""` for all that read the model's input or one another; where there is none, for a
            loop written by hand, the model's own input.

    Raises:
        RemedyError: no module there; nothing was changed.

    Example:
        >>> _ = torch.manual_seed(0)
        >>> model = nn.RNN(2, 8)
        >>> x = 500 + 200 * torch.randn(30, 4, 2)
        >>> (model(x)[0].abs() > 0.99).float().mean().item() > 0.9
        True
        >>> change = scale_input(model)
        >>> (model(x)[0].abs() > 0.99).float().mean().item()
        0.0
        >>> change.undo()

    Source: LeCun, Bottou, Orr & Müller (1998), "Efficient BackProp", section 4.3.
    """
    with Change("scale_input", {}) as change:
        for module in _modules(model, site):
            scale = _Scale()
            change.hook(module.register_forward_pre_hook(scale, with_kwargs=True))
        change.said.append(
            "inputs are standardised feature by feature, by their first 4,096 vectors"
        )
        change.lines = (
            "mean, std = x.mean((0, 1)), x.std((0, 1))  # of the training data, once",
            "x = (x - mean) / std",
        )
    return change


class _Scale:
    """Mean and spread of what one module reads."""

    def __init__(self) -> None:
        self.count = 0
        self.mean: Tensor | None = None
        self.square: Tensor | None = None  # sum of squared distances from the mean

    def __call__(self, module: nn.Module, args: Any, kwargs: Any) -> Any:
        x = args[0] if args else kwargs.get("input")
        packed = isinstance(x, PackedSequence)
        values = x.data if packed else x
        if not isinstance(values, Tensor) or not values.is_floating_point():
            return None
        if module.training and self.count < VECTORS:
            self._take(values.detach().flatten(0, -2).double())
        scaled = self._scaled(values)
        scaled = x._replace(data=scaled) if packed else scaled
        return ((scaled, *args[1:]), kwargs) if args else (args, {**kwargs, "input": scaled})

    def _take(self, vectors: Tensor) -> None:
        """Chan's update of mean and squares by a batch."""
        vectors = vectors[vectors.isfinite().all(1)]
        n = len(vectors)
        if not n:
            return
        mean = vectors.mean(0)
        square = (vectors - mean).square().sum(0)
        if self.mean is None or self.square is None:
            self.count, self.mean, self.square = n, mean, square
            return
        total, apart = self.count + n, mean - self.mean
        self.square = self.square + square + apart.square() * self.count * n / total
        self.mean = self.mean + apart * n / total
        self.count = total

    def _scaled(self, x: Tensor) -> Tensor:
        if self.mean is None or self.square is None:
            return x
        std = (self.square / max(self.count - 1, 1)).sqrt()
        std = torch.where(std > 1e-6 * (1 + self.mean.abs()), std, torch.ones_like(std))
        return (x - self.mean.to(x.dtype)) / std.to(x.dtype)
