"""Cells that users wrote themselves: a module whose own output comes back as its input.

A cell declares its state with a class attribute that maps the argument of `forward` that holds the state before the
step to the place of the state after it in what `forward` returns:

    class MyCell(nn.Module):
        bptt_state = {"h": 0}

A module that declares nothing is recognised when a tensor it returned is given to its next call. Its total gradients
are then exact, but its steps are not run again, so its credit curve is not measured.
"""

import inspect
import weakref
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from bptt._errors import BpttError
from bptt.flow._call import StateCall, kind_of
from bptt.flow._names import Names

CONTAINERS = (nn.Sequential, nn.ModuleList, nn.ModuleDict)


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
        self._plain: dict[int, bool] = {}
        self.clear()

    def clear(self) -> None:
        """Forget the calls of one flow."""
        self._calls: list[StateCall] = []
        self._made: dict[int, Made] = {}
        self._recurrent: set[int] = set()
        self.seen = False

    def take(self) -> list[StateCall]:
        """What was recorded; the recorder forgets it next."""
        return self._calls

    def known(self, module: nn.Module) -> None:
        """A module that is measured by other means; what contains it is not a cell."""
        self._recurrent.add(id(module))

    def after(
        self, module: nn.Module, args: Any, kwargs: Any, output: Any, rng: Tensor | None
    ) -> None:
        """Look at one call of a module that is none of torch's recurrent ones. `rng`: the generator before the call."""
        declared = getattr(module, "bptt_state", None)
        if declared is None and not self._may_be_cell(module, args, kwargs):
            return
        if not torch.is_grad_enabled():
            return
        if declared is not None:
            self._declared(module, declared, args, kwargs, output, rng)
        else:
            self._recognised(module, args, kwargs, output)

    def _may_be_cell(self, module: nn.Module, args: Any, kwargs: Any) -> bool:
        plain = self._plain.get(id(module))
        if plain is None:
            plain = isinstance(module, CONTAINERS) or next(module.parameters(), None) is None
            self._plain[id(module)] = plain
        if plain or len(args) + len(kwargs) < 2:
            return False
        inside = (each for each in module.modules() if each is not module)
        return not any(id(e) in self._recurrent or kind_of(e) is not None for e in inside)

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

    def _recognised(self, module: nn.Module, args: Any, kwargs: Any, output: Any) -> None:
        returned = output if isinstance(output, tuple | list) else (output,)
        given = [each for each in [*args, *kwargs.values()] if isinstance(each, Tensor)]
        chained = -1
        for state in given if len(given) > 1 else ():
            made = self._made_by(state, module)
            if made is None or made.place >= len(returned):
                continue
            after = returned[made.place]
            if not isinstance(after, Tensor) or not after.requires_grad:
                continue
            self.seen, chained = True, made.place
            self._recurrent.add(id(module))
            earlier = made.call or self._record(self._undeclared(module, state), (state,))
            call = self._record(self._undeclared(module, after), (after,))
            self._chain(earlier, call)
            self._remember(after, module, made.place, call)
            break
        for place, each in enumerate(returned):
            if place != chained and isinstance(each, Tensor) and each.requires_grad:
                self._remember(each, module, place, None)

    def _undeclared(self, module: nn.Module, after: Tensor) -> StateCall:
        name = self._names(module) or type(module).__name__
        return StateCall(module, name, None, after_copy((after,)), None)

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
