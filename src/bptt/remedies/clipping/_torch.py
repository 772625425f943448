"""Torch's own clipping, heard and put aside: wrapped while anyone asks for it, put back when the last one stops.

What `clip_grad_norm_` calls inside is wrapped, not the function: a script that imported it earlier is met, too. There
is one wrapper for all, so that those who listen and those who put aside may come and go in any order.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils import clip_grad

from bptt.flow.record._shelter import sheltered

Heard = Callable[[str, float, float | None], None]
"""Called with what clipped (`norm`, `value`), its limit, and the norm before it (None if not computed)."""

Taker = Callable[[list[Any]], bool]
"""Called with the parameters of a script's call; True if it has seen to them, and torch is not to."""

_INNER = "_clip_grads_with_norm_"
_VALUE = "clip_grad_value_"

_listeners: list[Heard] = []
_takers: list[Taker] = []
_kept: list[tuple[Any, str, Any, Any]] = []
_ours = [0]


def listen(heard: Heard) -> None:
    """Tell `heard` of every clipping from now on, whoever clips."""
    _install()
    _listeners.append(heard)


def unlisten(heard: Heard) -> None:
    """Stop telling `heard`."""
    if heard in _listeners:
        _listeners.remove(heard)
    _put_back()


def take_over(taker: Taker) -> None:
    """Ask `taker` before every clipping that a script does."""
    _install()
    _takers.append(taker)


def give_back(taker: Taker) -> None:
    """Stop asking `taker`."""
    if taker in _takers:
        _takers.remove(taker)
    _put_back()


@contextmanager
def ours() -> Iterator[None]:
    """Clipping inside is our own: it is heard, and no taker is asked."""
    _ours[0] += 1
    try:
        yield
    finally:
        _ours[0] -= 1


def tell(kind: str, limit: float, total: float | None) -> None:
    """Tell the listeners of a clipping that had nothing to do, and so did not go through torch."""
    for heard in tuple(_listeners):
        heard(kind, limit, total)


def _install() -> None:
    if _listeners or _takers:
        return
    _wrap(_INNER, "norm", clip_grad)
    # torch.nn.utils offers the inner function under a public name, too.
    _set(torch.nn.utils, "clip_grads_with_norm_", getattr(clip_grad, _INNER))
    _wrap(_VALUE, "value", clip_grad, torch.nn.utils)


def _put_back() -> None:
    if not _listeners and not _takers:
        while _kept:
            place, name, original, put = _kept.pop()
            if getattr(place, name) is put:  # else someone wrapped it after us
                setattr(place, name, original)


def _set(place: Any, name: str, value: Any) -> None:
    _kept.append((place, name, getattr(place, name), value))
    setattr(place, name, value)


def _wrap(name: str, kind: str, *places: Any) -> None:
    original = getattr(places[0], name)

    @wraps(original)
    def call(parameters: Any, *args: Any, **kwargs: Any) -> Any:
        if torch.compiler.is_compiling() and not _takers:
            return original(parameters, *args, **kwargs)
        # A generator would be used up by the first one who looks.
        each = [parameters] if isinstance(parameters, Tensor) else list(parameters)
        if not _ours[0] and any([taker(each) for taker in tuple(_takers)]):  # noqa: C419  all are asked
            return None
        heard(args, kwargs)
        return original(each, *args, **kwargs)

    @sheltered
    def heard(args: Any, kwargs: Any) -> None:
        limit = args[0] if args else kwargs.get("max_norm", kwargs.get("clip_value"))
        total = args[1] if len(args) > 1 else kwargs.get("total_norm")
        tell(kind, float(limit), float(total) if kind == "norm" else None)  # type: ignore[arg-type]

    for place in places:
        _set(place, name, call)
