"""Missing and infinite values of the input are filled."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence
from torch.optim import Optimizer

from bptt.remedies._change import Change
from bptt.remedies._target import RemedyError, Target
from bptt.remedies.training._modules import modules_at

CURES = ("NF603",)

FILLS = ("zero", "last")


def fits(target: Target) -> str:
    """Any module."""
    return ""


def finite_input(
    model: nn.Module, *, optimizer: Optimizer | None = None, site: str = "", fill: str = "zero"
) -> Change:
    """Replace input entries that are not finite: by 0, or by the last finite value before them in time.

    `x̃_t = x_t` where `x_t` is finite, else 0; with `fill="last"`, `x̃_t = x̃_{t-1}`, entry by entry, and 0 before the
    first finite one. One missing value otherwise makes nan of its sample's states, of the loss, and of every gradient.
    `counts["values"]` tells how many were filled. What is lost: the model is not told which values were missing; a
    mask as a further input tells it.

    Args:
        model: its input is filled where it comes in.
        optimizer: has no meaning here.
        site: a recurrent module whose own input is filled instead.
        fill: `"zero"`, or `"last"`, which acts at the recurrent modules, where the axis of time is known.

    Raises:
        RemedyError: another `fill`, or no module at the site; nothing was changed.

    Example:
        >>> model = nn.GRU(1, 4)
        >>> change = finite_input(model, fill="last")
        >>> y, _ = model(torch.tensor([[1.0], [torch.nan], [3.0]]))
        >>> y.isfinite().all().item(), change.counts["values"]
        (True, 1)
        >>> change.undo()

    Source: Che et al. (2018), "Recurrent neural networks for multivariate time series with missing values", section 3.
    """
    if fill not in FILLS:
        raise RemedyError(f"fill is {fill!r}, expected one of {', '.join(FILLS)}")
    with Change("finite_input", {"fill": fill}) as change:
        change.counts["values"] = 0
        at = [model] if fill == "zero" and not site else modules_at(model, site)
        for module in at:
            filler = _Filler(fill, change.counts)
            change.hook(module.register_forward_pre_hook(filler, with_kwargs=True))
        what = "0" if fill == "zero" else "the last finite value before them"
        change.said.append(f"input values that are not finite are replaced by {what}")
        change.lines = ("x = torch.nan_to_num(x, 0.0, 0.0, 0.0)", "y = model(x)")
    return change


class _Filler:
    """Fills every tensor that a module is given."""

    def __init__(self, fill: str, counts: dict[str, int]) -> None:
        self.fill, self.counts = fill, counts

    def __call__(self, module: nn.Module, args: Any, kwargs: Any) -> tuple[Any, Any]:
        first = bool(getattr(module, "batch_first", False))
        time = 0 if isinstance(module, nn.RNNBase) and not first else 1
        filled = tuple(self._value(each, time) for each in args)
        return filled, {name: self._value(each, time) for name, each in kwargs.items()}

    def _value(self, value: Any, time: int) -> Any:
        if isinstance(value, Tensor) and value.is_floating_point():
            return self._tensor(value, time)
        if isinstance(value, PackedSequence):
            return value._replace(data=self._tensor(value.data, -1))
        if isinstance(value, tuple) and type(value) is tuple:
            return tuple(self._value(each, time) for each in value)
        return value

    def _tensor(self, x: Tensor, time: int) -> Tensor:
        bad = ~x.isfinite()
        count = int(bad.sum())
        if not count:
            return x
        self.counts["values"] += count
        zeros = x.masked_fill(bad, 0.0)
        if self.fill == "zero" or time < 0 or x.dim() < 2:
            return zeros
        time = 0 if x.dim() == 2 else time
        steps = torch.arange(x.shape[time], device=x.device)
        steps = steps.view([-1 if d == time else 1 for d in range(x.dim())]).expand_as(x)
        last = steps.masked_fill(bad, 0).cummax(time).values  # where none came before: the zero
        return zeros.gather(time, last)
