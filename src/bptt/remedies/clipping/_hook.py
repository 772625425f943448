"""Clipping inside an optimizer's step: one hook for all, before any other, so that those who look see what is left."""

import weakref
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn
from torch.optim import LBFGS, Optimizer
from torch.optim.optimizer import register_optimizer_step_pre_hook

from bptt.remedies._target import RemedyError
from bptt.remedies.clipping._torch import give_back, take_over

if TYPE_CHECKING:
    from bptt.remedies.clipping._clipper import Clipper

KEY = "bptt_clippers"
"""Where an optimizer's `state_dict()` holds its clippers' states, by method."""

_active: "list[Attachment]" = []
_handle: list[Any] = []


class Attachment:
    """A clipper at work in the steps of optimizers; `remove` ends it. Also a context.

    Neither optimizer nor model is kept alive by it. `first`, if there is one, is called before each step's clipping.
    """

    def __init__(
        self, clipper: "Clipper", where: Optimizer | nn.Module, *, replace: bool = False
    ) -> None:
        self.clipper, self.replace = clipper, replace
        self.first: Callable[[Optimizer], None] | None = None
        self._where = weakref.ref(where)
        self._of: weakref.WeakKeyDictionary[Optimizer, Clipper] = weakref.WeakKeyDictionary()
        self._handles: list[Any] = []
        self._refuse(where)
        _active.append(self)
        if not _handle:
            handle = register_optimizer_step_pre_hook(_before_step)
            # A monitor that was there first would otherwise see gradients that no step ever uses.
            handle.hooks_dict_ref().move_to_end(handle.id, last=False)  # type: ignore[union-attr]
            _handle.append(handle)
        if replace:
            take_over(self._takes)
        if isinstance(where, Optimizer):
            self._clipper_of(where)

    def __enter__(self) -> "Attachment":
        return self

    def __exit__(self, *error: object) -> None:
        self.remove()

    @property
    def clippers(self) -> "list[Clipper]":
        """The clippers at work, one for each optimizer that was met."""
        return list(self._of.values())

    def remove(self) -> None:
        """Clip no more. A second call does nothing."""
        if self in _active:
            _active.remove(self)
        if self.replace:
            give_back(self._takes)
        while self._handles:
            self._handles.pop().remove()
        if not _active and _handle:
            _handle.pop().remove()

    def of(self, optimizer: Optimizer) -> bool:
        """Whether it clips this optimizer's gradients."""
        where = self._where()
        if isinstance(where, nn.Module):
            return any(True for _ in self._parameters(optimizer))
        return where is optimizer

    def clip(self, optimizer: Optimizer) -> None:
        """Clip what this optimizer is about to use."""
        if self.first is not None:
            self.first(optimizer)
        scale = getattr(optimizer, "grad_scale", None)  # a fused optimizer takes it out itself
        self._clipper_of(optimizer).clip(
            self._parameters(optimizer), scale=1.0 if scale is None else float(scale)
        )

    def ids(self) -> set[int]:
        """Of the parameters it may clip, by what is known now."""
        where = self._where()
        if where is None:
            return set()
        each = where.parameters() if isinstance(where, nn.Module) else _of_groups(where)
        return {id(p) for p in each}

    def _parameters(self, optimizer: Optimizer) -> Iterator[Tensor]:
        where = self._where()
        if isinstance(where, nn.Module):
            own = {id(p) for p in where.parameters()}
            return (p for p in _of_groups(optimizer) if id(p) in own)
        return _of_groups(optimizer)

    def _clipper_of(self, optimizer: Optimizer) -> "Clipper":
        if optimizer not in self._of:
            clipper = self._of[optimizer] = self.clipper.again() if len(self._of) else self.clipper
            if clipper.method.state():
                self._handles += _in_checkpoints(optimizer, clipper)
        return self._of[optimizer]

    def _takes(self, parameters: list[Any]) -> bool:
        """A script clips: if these are our parameters and no others, it is for us to do."""
        own = self.ids()
        with_grad = [p for p in parameters if p.grad is not None]
        if not with_grad or any(id(p) not in own for p in with_grad):
            return False
        stepped = {id(p) for optimizer in self._of for p in _of_groups(optimizer)}
        if not any(id(p) in stepped for p in with_grad):
            self.clipper.clip(with_grad)
        return True

    def _refuse(self, where: Optimizer | nn.Module) -> None:
        own = self.ids()
        if not own:
            raise RemedyError(
                f"{type(where).__name__} has no parameters, so there is nothing to clip"
            )
        if isinstance(where, LBFGS) and where.param_groups[0].get("line_search_fn"):
            raise RemedyError(
                "LBFGS searches along a line, which clipped gradients mislead; give line_search_fn=None, or do not clip"
            )
        method = self.clipper.method
        for other in _active:
            theirs = other.clipper.method
            if (
                theirs.name == method.name or (theirs.whole and method.whole)
            ) and other.ids() & own:
                raise RemedyError(
                    f"{theirs!r} is already at work on these parameters, expected one clipper of this kind at a time; "
                    f"undo or remove it before {method!r}"
                )


def _of_groups(optimizer: Optimizer) -> Iterator[Tensor]:
    return (p for group in optimizer.param_groups for p in group["params"])


def _before_step(optimizer: Optimizer, args: Any, kwargs: Any) -> Any:
    """torch calls it with the step's own arguments, the optimizer first."""
    at_work = [each for each in tuple(_active) if each.of(optimizer)]
    if not at_work:
        return None
    closure = args[1] if len(args) > 1 else kwargs.get("closure")
    if not callable(closure):
        for each in at_work:
            each.clip(optimizer)
        return None

    def clipped() -> Any:
        loss = closure()
        for each in at_work:
            each.clip(optimizer)
        return loss

    if len(args) > 1:
        return (args[0], clipped, *args[2:]), kwargs
    return args, {**kwargs, "closure": clipped}


def _in_checkpoints(optimizer: Optimizer, clipper: "Clipper") -> list[Any]:
    name = clipper.method.name

    def save(optimizer: Optimizer, state: dict[str, Any]) -> None:
        state.setdefault(KEY, {})[name] = clipper.state_dict()

    def load(optimizer: Optimizer, state: dict[str, Any]) -> None:
        if name in state.get(KEY, {}):
            clipper.load_state_dict(state[KEY][name])

    hooks: tuple[Callable[..., Any], ...] = (
        optimizer.register_state_dict_post_hook,
        optimizer.register_load_state_dict_pre_hook,
    )
    return [register(hook) for register, hook in zip(hooks, (save, load), strict=True)]
