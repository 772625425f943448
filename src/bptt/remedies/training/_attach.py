"""Undoing `detach()` and `.data` inside a module's forward pass."""

import sys
from collections import Counter
from collections.abc import Callable
from types import FrameType, MethodType
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from bptt.remedies._change import Change

_DETACH = {torch.Tensor.detach, torch.detach}
_DATA = torch.Tensor.data.__get__  # type: ignore[attr-defined]


class Attached(TorchFunctionMode):
    """While active, a tensor that requires a gradient stays attached where `wanted(place)` says so.

    Args:
        wanted: from the place in the code, `(file, line)`, to whether its detaching is undone.
    """

    def __init__(self, wanted: Callable[[tuple[str, int]], bool]) -> None:
        super().__init__()
        self.wanted = wanted
        self.seen: Counter[tuple[str, int]] = Counter()

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Torch calls this in place of each of its functions."""
        if func in _DETACH or func == _DATA:
            tensor = args[0]
            if isinstance(tensor, Tensor) and tensor.requires_grad and torch.is_grad_enabled():
                place = _place()
                self.seen[place] += 1
                if self.wanted(place):
                    return tensor
        return func(*args, **(kwargs or {}))


_NOT_THE_USERS = ("torch", "bptt", "beartype", "jaxtyping")


def _place() -> tuple[str, int]:
    """File and line of the user's own code that is running."""
    frame = sys._getframe(1)
    while frame.f_back is not None and _is_between(frame):
        frame = frame.f_back
    return frame.f_code.co_filename, frame.f_lineno


def _is_between(frame: FrameType) -> bool:
    package = str(frame.f_globals.get("__name__", "")).partition(".")[0]
    return package in _NOT_THE_USERS or frame.f_code.co_filename.startswith("<@beartype")


def around_forward(change: Change, model: nn.Module, mode: Callable[[], Any]) -> None:
    """Have `mode()` active whenever the model's own forward pass runs in training."""
    change.attribute(model, "forward", _Within(model, vars(model).get("forward"), mode))


class _Within:
    """A model's forward pass inside a mode. An object: of a copied or loaded model it is that model's own, and not the
    pass of the model that it was taken from.

    Args:
        model: whose forward pass it is.
        forward: one that the object itself had; None for that of its class.
        mode: gives the context for one pass.
    """

    def __init__(
        self, model: nn.Module, forward: Callable[..., Any] | None, mode: Callable[[], Any]
    ) -> None:
        self.model, self.forward, self.mode = model, forward, mode

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        forward = self.forward or MethodType(type(self.model).forward, self.model)
        if not (self.model.training and torch.is_grad_enabled()):
            return forward(*args, **kwargs)
        with self.mode():
            return forward(*args, **kwargs)
