"""States that were cut off within an update are joined again."""

from collections import Counter
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence
from torch.optim import Optimizer

from bptt.remedies._change import Change
from bptt.remedies._target import RemedyError, Target
from bptt.remedies.training._attach import Attached, around_forward
from bptt.remedies.training._awake import Awake
from bptt.remedies.training._modules import modules_at

CURES = ("TR401",)

OFTEN = 3
"""Detachings on one line within one forward pass from which on that line is taken to cut a loop."""


def fits(target: Target) -> str:
    """Recurrent modules, or a module with a loop of its own in its forward pass."""
    if _modules(target.model, target.site):
        return ""
    if type(target.model).forward is nn.Module.forward:
        return "it has neither recurrent modules nor a forward pass of its own"
    return ""


def keep_state(model: nn.Module, *, optimizer: Optimizer | None = None, site: str = "") -> Change:
    """Let the gradient through where a state is handed on by value: `h̃_{t-1} = stop(h_{t-1})` becomes `h_{t-1}`.

    Two ways lead there. A recurrent module that is given, without gradient, the very values in which one of the modules
    ended its last call is given that state itself, whatever took its gradient: `detach`, `.data`, NumPy; so is a model
    that makes one step a call and is given what it returned. A recurrent module that the model calls under `no_grad` in
    the midst of its forward pass in training is run with gradients. And a line of the model's forward pass that
    detaches three times or more within one pass cuts a loop: from the next pass on it no longer does. States that a
    backward pass has been through stay cut, as truncated backpropagation means them to be. `counts["joined"]` tells how
    often a state was joined.

    Args:
        model: holds the layers or the loop.
        optimizer: its steps end an update.
        site: one recurrent module, `""` for all.

    Raises:
        RemedyError: no module at the site; nothing was changed.

    Example:
        >>> cell = nn.RNNCell(1, 4)
        >>> h = h0 = torch.zeros(1, 4, requires_grad=True)
        >>> change = keep_state(cell)
        >>> for _ in range(3):
        ...     h = cell(torch.ones(1, 1), h if h is h0 else h.detach())
        >>> h.sum().backward(); change.undo()
        >>> change.counts["joined"], h0.grad is not None
        (2, True)

    Source: Williams & Peng (1990), on which products of Jacobians truncation keeps.
    """
    with Change("keep_state", {}) as change:
        change.counts["joined"] = 0
        states = _States(change.counts)
        awake = Awake(change.counts, always=_is_recurrent(model))
        for module in _modules(model, site):
            change.hook(module.register_forward_pre_hook(awake.begins))
            change.hook(module.register_forward_pre_hook(states.join, with_kwargs=True))
            change.hook(module.register_forward_hook(states.keep))
            change.hook(module.register_forward_hook(awake.ends, always_call=True))
        if type(model).forward is not nn.Module.forward and not _is_recurrent(model):
            around_forward(change, model, _Lines(change.counts, awake).mode)
            change.hook(model.register_forward_pre_hook(states.join_any, with_kwargs=True))
            change.hook(model.register_forward_hook(states.keep_any))
        if optimizer is not None:
            change.hook(optimizer.register_step_post_hook(states.forget))
        change.then(states.forget)
        change.said.append("states keep their gradient from step to step within an update")
        change.lines = (
            "h = cell(x_t, h)  # without detach(), .data, no_grad or NumPy on the way",
            "h = h.detach()  # after backward(), once an update",
        )
    return change


def _is_recurrent(module: nn.Module) -> bool:
    return isinstance(module, (nn.RNNBase, nn.RNNCellBase))


def _modules(model: nn.Module, site: str) -> list[nn.Module]:
    try:
        return modules_at(model, site)
    except RemedyError:
        if site:
            raise
        return []


class _States:
    """The states that recurrent modules ended in, as long as no backward pass has been through them."""

    def __init__(self, counts: dict[str, int]) -> None:
        self.counts = counts
        self.last: dict[int, tuple[Tensor, ...]] = {}

    def __getstate__(self) -> dict[str, Any]:
        """A copied or saved model starts without remembered states: they hold a graph, which cannot be copied."""
        return {"counts": self.counts, "last": {}}

    def keep(self, module: nn.Module, args: Any, output: Any) -> None:
        """After a call."""
        state = output[1] if isinstance(module, nn.RNNBase) else output
        parts = state if isinstance(state, tuple) else (state,)
        if not all(isinstance(part, Tensor) and part.requires_grad for part in parts):
            return
        self.last[id(module)] = parts
        y = output[0] if isinstance(output, tuple) else output
        for each in (*parts, y.data if isinstance(y, PackedSequence) else y):
            if isinstance(each, Tensor) and each.requires_grad:
                each.register_hook(self._passed)

    def join(self, module: nn.Module, args: Any, kwargs: Any) -> Any:
        """Before a call."""
        if not self.last or not torch.is_grad_enabled():
            return None
        given = args[1] if len(args) > 1 else kwargs.get("hx")
        parts = given if isinstance(given, (tuple, list)) else (given,)
        joined = tuple(self._own(part) for part in parts)
        if all(a is b for a, b in zip(joined, parts, strict=True)):
            return None
        self.counts["joined"] += 1
        state = joined if isinstance(given, (tuple, list)) else joined[0]
        if len(args) > 1:
            return (args[0], state, *args[2:]), kwargs
        return args, {**kwargs, "hx": state}

    def keep_any(self, module: nn.Module, args: Any, output: Any) -> None:
        """After a call of a module of the user's own: all that it returned may be its state."""
        parts = output if isinstance(output, tuple) else (output,)
        live = tuple(p for p in parts if isinstance(p, Tensor) and p.requires_grad)
        if live:
            self.last[id(module)] = live
            for each in live:
                each.register_hook(self._passed)

    def join_any(self, module: nn.Module, args: Any, kwargs: Any) -> Any:
        """Before one: any argument may be its state."""
        if not self.last or not torch.is_grad_enabled():
            return None
        joined = tuple(self._own(each) for each in args)
        named = {name: self._own(each) for name, each in kwargs.items()}
        pairs = (*zip(joined, args, strict=True), *((named[n], kwargs[n]) for n in kwargs))
        self.counts["joined"] += (changed := sum(a is not b for a, b in pairs))
        return (joined, named) if changed else None

    def _own(self, part: Any) -> Any:
        """The state whose values these are; else what was given."""
        if not isinstance(part, Tensor) or part.requires_grad:
            return part
        for state in (each for parts in self.last.values() for each in parts):
            same = state.shape == part.shape and state.dtype == part.dtype
            if same and bool((state == part).all()) and bool(part.any()):
                return state
        return part

    def _passed(
        self, grad: Tensor | None
    ) -> None:  # None where this output had no part in the loss
        self.last = {}

    def forget(self, *_: Any) -> None:
        """An update is over."""
        self.last = {}


class _Lines:
    """Lines of a forward pass that detach again and again."""

    def __init__(self, counts: dict[str, int], awake: Awake) -> None:
        self.cutting: set[tuple[str, int]] = set()
        self.counts, self.awake = counts, awake

    def mode(self) -> "_Pass":
        """For one forward pass."""
        return _Pass(self)


class _Pass:
    """One forward pass: lines that cut are known from the passes before."""

    def __init__(self, lines: _Lines) -> None:
        self.lines, self.mode = lines, Attached(lines.cutting.__contains__)

    def __enter__(self) -> None:
        self.mode.__enter__()
        self.lines.awake.inside += 1

    def __exit__(self, *error: Any) -> None:
        self.lines.awake.inside -= 1
        self.mode.__exit__(*error)
        seen: Counter[tuple[str, int]] = self.mode.seen
        self.lines.counts["joined"] += sum(seen[place] for place in self.lines.cutting)
        self.lines.cutting |= {place for place, count in seen.items() if count >= OFTEN}
