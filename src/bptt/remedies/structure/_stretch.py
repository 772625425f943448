"""Several chunks of truncated backpropagation made one: states stay linked, and the loop's backward and step wait."""

from collections.abc import Callable
from functools import wraps
from types import MethodType
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import Node
from torch.optim import Optimizer

from bptt.remedies._change import Change


class Stretch:
    """Hooks and wrappers around a loop that the user wrote. It is in place from `install` until the change is undone.

    Args:
        modules: the recurrent ones whose state is carried.
        length: steps that one backward pass shall cover, at least.
        counts: has the passes and the updates put off.
    """

    def __init__(self, modules: list[nn.Module], length: int, counts: dict[str, int]) -> None:
        self._modules, self._length, self._counts = modules, length, counts
        self._weights = {id(p) for module in modules for p in module.parameters()}
        self._ends: dict[int, list[Tensor]] = {}
        self._pending: list[tuple[Tensor, Tensor | None]] = []
        self._steps: dict[int, int] = {}
        self._carried, self._copy = False, False
        counts.update(passes=0, put_off=0)

    def __getstate__(self) -> dict[str, Any]:
        """A copied or saved model is trained by others, who do not wait: its hooks are there and do nothing."""
        return {"_ends": {}, "_steps": {}, "_copy": True}

    def install(self, change: Change, optimizer: Optimizer) -> None:
        """Put everything in place, through the change."""
        for module in self._modules:
            change.hook(module.register_forward_pre_hook(self._link, with_kwargs=True))
            change.hook(module.register_forward_hook(self._remember))
        change.attribute(torch.Tensor, "backward", self._backward(torch.Tensor.backward))
        # A bound method: learning-rate schedulers that are made later wrap what they find, and expect one.
        change.attribute(optimizer, "step", MethodType(self._step(optimizer.step), optimizer))
        change.then(self._forget)

    def _forget(self) -> None:
        self._ends.clear()
        self._pending.clear()
        self._steps.clear()

    def _link(self, module: nn.Module, args: Any, kwargs: Any) -> Any:
        """Give a state that was cut off the end it was cut from."""
        ends = self._ends.get(id(module))
        given = args[1] if len(args) > 1 else kwargs.get("hx")
        if ends is None or given is None or not torch.is_grad_enabled():
            return None
        parts = list(given) if isinstance(given, tuple | list) else [given]
        if len(parts) != len(ends) or not all(map(_cut_from, parts, ends)):
            return None
        if not self._carried:
            # The first chunk of all had its own pass, so its graph is gone; from here on they wait.
            self._carried = True
            return None
        linked = tuple(ends) if isinstance(given, tuple | list) else ends[0]
        if len(args) > 1:
            return (args[0], linked, *args[2:]), kwargs
        return args, {**kwargs, "hx": linked}

    def _remember(self, module: nn.Module, args: Any, output: Any) -> None:
        if self._copy or not torch.is_grad_enabled():
            return
        sequence = isinstance(module, nn.RNNBase)
        state = output[1] if sequence else output
        ends = list(state) if isinstance(state, tuple) else [state]
        if not ends[0].requires_grad:
            return
        self._ends[id(module)] = ends
        steps = _steps(module, args[0] if args else None, output[0]) if sequence else 1
        self._steps[id(module)] = self._steps.get(id(module), 0) + steps

    def _backward(self, original: Callable[..., None]) -> Callable[..., None]:
        @wraps(original)
        def backward(
            tensor: Tensor,
            gradient: Tensor | None = None,
            retain_graph: bool | None = None,
            create_graph: bool = False,
            inputs: Any = None,
        ) -> None:
            waits = self._carried and not retain_graph and not create_graph and inputs is None
            if not waits or not self._steps or not self._concerns(tensor):
                self._steps = self._steps if self._pending else {}
                return original(tensor, gradient, retain_graph, create_graph, inputs)
            self._pending.append((tensor, gradient))
            if max(self._steps.values()) >= self._length:
                self._pass()
            return None

        return backward

    def _pass(self) -> None:
        """The backward pass through all chunks since the last one. What follows starts a graph of its own."""
        pending = self._pending.copy()
        self._forget()
        self._counts["passes"] += 1
        torch.autograd.backward([t for t, _ in pending], [g for _, g in pending])  # type: ignore[arg-type]

    def _step(self, original: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(original)
        def step(_: Optimizer, closure: Callable[[], Any] | None = None) -> Any:
            loss = None
            if closure is not None:
                with torch.enable_grad():
                    loss = closure()
            if self._pending:
                self._counts["put_off"] += 1
            else:
                original()
            return loss

        return step

    def _concerns(self, loss: Tensor) -> bool:
        """Whether the graph below a loss uses the weights of the modules."""
        waiting: list[Node | None] = [loss.grad_fn]
        seen = set()
        while waiting:
            node = waiting.pop()
            if node is None or node in seen:
                continue
            seen.add(node)
            if id(getattr(node, "variable", None)) in self._weights:
                return True
            waiting.extend(below for below, _ in node.next_functions)
        return False


def _cut_from(part: Any, end: Tensor) -> bool:
    """Whether a given state is a returned one without its gradient."""
    return (
        isinstance(part, Tensor)
        and not part.requires_grad
        and part.shape == end.shape
        and torch.equal(part, end.detach())
    )


def _steps(module: nn.RNNBase, x: Any, y: Any) -> int:
    """T of a call."""
    if not isinstance(y, Tensor):
        return len(y.batch_sizes)
    return y.shape[1 if module.batch_first and y.dim() == 3 else 0]
