"""Hearing that gradients are clipped: torch's clipping is wrapped for the time of a run and put back afterwards.

What `clip_grad_norm_` calls inside is wrapped, not the function: a script that imported it earlier is heard, too.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any

import torch
from torch.nn.utils import clip_grad

Heard = Callable[[str, float, float | None], None]
"""Called with what clipped (`norm`, `value`), its limit, and the norm before it (None if not computed)."""

_INNER = "_clip_grads_with_norm_"
_VALUE = "clip_grad_value_"

_listeners: list[Heard] = []
_kept: list[tuple[Any, str, Any]] = []


def listen(heard: Heard) -> None:
    """Tell `heard` of every clipping from now on."""
    if not _listeners:
        if hasattr(clip_grad, _INNER):
            _wrap(_INNER, "norm", clip_grad)
            _alias("clip_grads_with_norm_")
        _wrap(_VALUE, "value", clip_grad, torch.nn.utils)
    _listeners.append(heard)


def unlisten(heard: Heard) -> None:
    """Stop telling `heard`."""
    if heard in _listeners:
        _listeners.remove(heard)
    if not _listeners:
        while _kept:
            place, name, original = _kept.pop()
            setattr(place, name, original)


def _alias(name: str) -> None:
    """torch.nn.utils offers the inner function under a public name, too."""
    if hasattr(torch.nn.utils, name):
        _kept.append((torch.nn.utils, name, getattr(torch.nn.utils, name)))
        setattr(torch.nn.utils, name, getattr(clip_grad, _INNER))


def _wrap(name: str, kind: str, *places: Any) -> None:
    original = getattr(places[0], name)

    @wraps(original)
    def call(*args: Any, **kwargs: Any) -> Any:
        limit = args[1] if len(args) > 1 else kwargs.get("max_norm", kwargs.get("clip_value"))
        total = args[2] if len(args) > 2 else kwargs.get("total_norm")
        for heard in tuple(_listeners):
            heard(kind, float(limit), float(total) if kind == "norm" else None)  # type: ignore[arg-type]
        return original(*args, **kwargs)

    for place in places:
        _kept.append((place, name, original))
        setattr(place, name, call)
