"""Cells that users wrote themselves and whose state they declare.

A cell declares its state with a class attribute that maps the argument of `forward` that holds the state before the
step to the place of the state after it in what `forward` returns:

    class MyCell(nn.Module):
        bptt_state = {"h": 0}

Each step is run again after the pass, on the inputs it had. A cell that declares nothing is found in the autograd graph
instead (`bptt.flow.by_hand`).
"""

import inspect
import weakref
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from bptt._errors import BpttError
from bptt.flow.record._call import StateCall
from bptt.flow.record._names import Names


class Made(NamedTuple):
    """Where a tensor came from: the module, its place in what `forward` returned, the call if it was recorded."""

    tensor: weakref.ref[Tensor]
    module: int
    place: int
    call: StateCall | None


class OwnCells:
    """Recognises users' cells among all module calls and records them."""

    def __init__(self, names: Names, watch: Callable[[Tensor, StateCall, str], None]) -> None:
        self._names, self._watch = names, watch
        self.clear()

    def clear(self) -> None:
        """Forget the calls of one flow."""
        self._calls: list[StateCall] = []
        self._made: dict[int, Made] = {}
        self.seen = False

    def take(self) -> list[StateCall]:
        """What was recorded; the recorder forgets it next."""
        return self._calls

    def after(
        self, module: nn.Module, args: Any, kwargs: Any, output: Any, rng: Tensor | None
    ) -> None:
        """Look at one call of a module that is none of torch's recurrent ones. `rng`: the generator before the call."""
        declared = getattr(module, "bptt_state", None)
        if declared is not None and torch.is_grad_enabled():
            self._declared(module, declared, args, kwargs, output, rng)

    def _declared(
        self,
        module: nn.Module,
        declared: dict[str, int],
        args: Any,
        kwargs: Any,
        output: Any,
        rng: Tensor | None,
    ) -> None:
        self.seen = True
        bound = inspect.signature(module.forward).bind(*args, **kwargs)
        returned = output if isinstance(output, tuple | list) else (output,)
        try:
            before = tuple(bound.arguments[name] for name in declared)
            after = tuple(returned[place] for place in declared.values())
        except (KeyError, IndexError) as missing:
            raise BpttError(
                f"{type(module).__name__}.bptt_state = {declared!r} does not fit its forward: expected "
                f"{{argument: place in the returned tuple}}, but {missing} is not there"
            ) from None
        if not any(part.requires_grad for part in after):
            return
        call = StateCall(
            module=module,
            name=self._names(module) or type(module).__name__,
            before=tuple(part.detach() for part in before),
            after=after_copy(after),
            declared=dict(declared),
            args=tuple(map(_detached, args)),
            kwargs={name: _detached(value) for name, value in kwargs.items()},
            rng=rng,
            versions=versions(module),
        )
        self._record(call, after)
        made = self._made_by(before[0], module)
        if made is not None and made.call is not None:
            self._chain(made.call, call)
        self._remember(after[0], module, 0, call)

    def _record(self, call: StateCall, after: tuple[Tensor, ...]) -> StateCall:
        self._calls.append(call)
        for key, part in zip("hc", after, strict=False):
            self._watch(part, call, key)
        return call

    def _made_by(self, state: Tensor, module: nn.Module) -> "Made | None":
        made = self._made.get(id(state))
        alive = made is not None and made.tensor() is state and made.module == id(module)
        return made if alive else None

    def _remember(
        self, tensor: Tensor, module: nn.Module, place: int, call: StateCall | None
    ) -> None:
        self._made[id(tensor)] = Made(weakref.ref(tensor), id(module), place, call)

    @staticmethod
    def _chain(earlier: StateCall, call: StateCall) -> None:
        if earlier.next is None:
            call.previous, earlier.next = earlier, call


def after_copy(parts: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """Copies of the states after a step."""
    return tuple(part.detach().clone() for part in parts)


def versions(module: nn.Module) -> tuple[int, ...]:
    """Counters that change when a parameter is written to."""
    return tuple(parameter._version for parameter in module.parameters())


def _detached(value: Any) -> Any:
    return value.detach() if isinstance(value, Tensor) else value
