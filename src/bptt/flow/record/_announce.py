"""Hearing that a backward pass begins, while its whole graph is still alive.

Module hooks do not see a recurrence that is written with plain tensors. The graph below the loss shows it, and torch
has no hook that names the loss; so `torch.autograd.backward` (which `Tensor.backward` calls) and `torch.autograd.grad`
are wrapped while someone listens, and put back when the last one stops.
"""

import weakref
from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, NamedTuple

import torch
from torch import Tensor

from bptt.flow.record._shelter import sheltered


class Root(NamedTuple):
    """Where a pass begins: a node of the graph, the number of its output, the gradient that enters there, the value."""

    node: Any
    nr: int
    grad: Tensor
    value: Tensor | None = None


Listener = Callable[[list[Root]], Callable[[], None] | None]
"""Called before a pass; what it returns is called after it, whether the pass succeeded or not."""
Brief = Callable[[Any], bool]
"""Called before that with what the pass begins at, as the script gave it; True if this is all one needs to know."""

# Name in torch.autograd: the parameters for the roots and for their gradients, and the latter's position.
ENTRIES = {"backward": ("tensors", "grad_tensors", 1), "grad": ("outputs", "grad_outputs", 2)}

_listeners: list["weakref.WeakMethod[Listener]"] = []
_briefs: dict["weakref.WeakMethod[Listener]", "weakref.WeakMethod[Brief]"] = {}
_originals: dict[str, Callable[..., Any]] = {}
_wrappers: dict[str, Callable[..., Any]] = {}


def listen(listener: Listener, brief: Brief | None = None) -> None:
    """Tell a bound method of every backward pass from now on, until `unlisten` or until its object is gone.

    `brief`, of the same object, is asked first: to find a pass's roots takes longer than some updates have time for.
    """
    if not _listeners:
        for name, places in ENTRIES.items():
            _originals[name] = getattr(torch.autograd, name)
            _wrappers[name] = _announced(_originals[name], *places)
            setattr(torch.autograd, name, _wrappers[name])
    weak = weakref.WeakMethod(listener, _forget)  # type: ignore[arg-type]
    _listeners.append(weak)
    if brief is not None:
        _briefs[weak] = weakref.WeakMethod(brief)  # type: ignore[arg-type]


def unlisten(listener: Listener) -> None:
    """Stop telling `listener`."""
    for weak in [weak for weak in _listeners if weak() == listener]:
        _forget(weak)


def _forget(weak: "weakref.WeakMethod[Listener]") -> None:
    if weak not in _listeners:
        return
    _listeners.remove(weak)
    _briefs.pop(weak, None)
    if _listeners:
        return
    for name, original in _originals.items():
        if getattr(torch.autograd, name) is _wrappers[name]:  # else someone wrapped it after us
            setattr(torch.autograd, name, original)


def _announced(
    original: Callable[..., Any], tensors: str, grads: str, position: int
) -> Callable[..., Any]:
    @wraps(original)
    def call(*args: Any, **kwargs: Any) -> Any:
        if torch.compiler.is_compiling():
            return original(*args, **kwargs)
        finish: list[Callable[[], None]] = []
        if _listeners:
            begins(finish, args, kwargs)
        if not finish:
            return original(*args, **kwargs)
        try:
            return original(*args, **kwargs)
        finally:
            for done in finish:
                done()

    @sheltered
    def begins(finish: list[Callable[[], None]], args: Any, kwargs: Any) -> None:
        if _unusual(kwargs):
            return
        first = args[0] if args else kwargs.get(tensors)
        told = [weak for weak in _listeners if not _is_enough(weak, first)]
        if not told:
            return
        given = args[position] if len(args) > position else kwargs.get(grads)
        roots = _roots(first, given)
        for listener in [each for weak in told if (each := weak()) is not None]:
            if (done := listener(roots)) is not None:
                finish.append(sheltered(done))

    return call


def _is_enough(weak: "weakref.WeakMethod[Listener]", tensors: Any) -> bool:
    """Whether the listener needs to know no more than this."""
    brief = _briefs.get(weak)
    asked = None if brief is None else brief()
    return asked is not None and asked(tensors)


def _unusual(kwargs: dict[str, Any]) -> bool:
    """Passes inside another pass or a function transform, batched ones, and those that build a graph themselves."""
    return (
        bool(kwargs.get("create_graph") or kwargs.get("is_grads_batched"))
        or torch._C._current_graph_task_id() != -1
        or torch._C._functorch.peek_interpreter_stack() is not None  # type: ignore[attr-defined]
    )


def _roots(tensors: Any, grads: Any) -> list[Root]:
    """The roots that have a graph below them. A call that torch will refuse has none: the error is torch's to raise."""
    each = list(tensors) if isinstance(tensors, Sequence) else [tensors]
    given = list(grads) if isinstance(grads, Sequence) else [grads] * len(each)
    roots = []
    for tensor, grad in zip(each, given, strict=False):
        if not isinstance(tensor, Tensor) or tensor.grad_fn is None:
            continue
        if grad is None and tensor.numel() == 1:
            grad = torch.ones_like(tensor)
        if isinstance(grad, Tensor) and grad.shape == tensor.shape:
            roots.append(Root(tensor.grad_fn, tensor.output_nr, grad.detach(), tensor.detach()))
    return roots
