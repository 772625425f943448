"""What regularisers share: the calls of an update, a hook before each step, and a place in checkpoints."""

from collections.abc import Iterable
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn
from torch.optim import LBFGS, Optimizer
from torch.optim.optimizer import register_optimizer_step_pre_hook

from bptt.flow._recorder import Recorder
from bptt.flow.walk._sequence import Sequence, chains
from bptt.remedies._change import Change
from bptt.remedies._target import RemedyError, Target

KEY = "bptt_regularisers"
"""Where an optimizer's `state_dict()` holds the regularisers' states, by name."""


class Trace:
    """The recurrent calls of a model that a gradient came back to, since they were last taken. It only reads."""

    def __init__(self, model: nn.Module) -> None:
        self._recorder = Recorder(model, attribute=False)
        self._recorder.start()

    def take(self) -> list[Sequence]:
        """Chains of calls, and forget them.

        Raises:
            Exception: the first fault of a hook, if there was one.
        """
        recorder = self._recorder
        calls, fault = recorder._calls, recorder.fault
        for call in calls:
            alone = type(call.module).__name__ if call.is_cell else ""
            call.name = recorder._names(call.module) or alone
        recorder.forget()
        if fault is not None:
            raise fault
        return chains(calls)

    def remove(self) -> None:
        """Watch no more."""
        self._recorder.stop()
        self._recorder.forget()


@runtime_checkable
class Regulariser(Protocol):
    """What acts before each step: adds to `.grad`, has a state for checkpoints, can be ended."""

    name: str

    @property
    def parameters(self) -> list[Tensor]:
        """What it acts on."""
        ...

    def add_(self) -> float:
        """Add the term's gradient to `.grad`; the term's value."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """What it remembers."""
        ...

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from there."""
        ...

    def remove(self) -> None:
        """End it."""
        ...


def positive(**numbers: int | float) -> None:
    """Refuse what is not a positive, finite number."""
    for name, number in numbers.items():
        real = isinstance(number, int | float) and not isinstance(number, bool)
        if not real or not 0 < number < float("inf"):
            raise RemedyError(f"{name} is {number!r}, expected a positive number")


def no_lbfgs(target: Target) -> str:
    """Why these optimizers cannot take an added gradient; `""` if they can."""
    if any(isinstance(each, LBFGS) for each in target.optimizers):
        return "LBFGS holds gradients against values of the loss, which does not contain the term"
    return ""


def act_before_steps(change: Change, regulariser: Regulariser, optimizer: Optimizer | None) -> None:
    """Have `regulariser.add_()` called before each step, and its state in the optimizer's checkpoints.

    Without an optimizer it acts in the steps of any that holds one of the regulariser's parameters.

    Raises:
        RemedyError: the optimizer holds none of them, or is LBFGS.
    """
    change.hook(regulariser)
    own = {id(p) for p in regulariser.parameters}

    def holds(optimizer: Optimizer) -> bool:
        return any(id(p) in own for group in optimizer.param_groups for p in group["params"])

    def before(optimizer: Optimizer, args: Any, kwargs: dict[str, Any]) -> Any:
        if not holds(optimizer):
            return None
        # torch passes the optimizer itself as the first argument of a step.
        closure = args[1] if len(args) > 1 else kwargs.get("closure")
        if not callable(closure):
            regulariser.add_()
            return None

        def evaluated() -> Any:
            with torch.enable_grad():
                loss = closure()
            regulariser.add_()
            return loss

        return (args[0], evaluated), {k: v for k, v in kwargs.items() if k != "closure"}

    if optimizer is None:
        change.hook(register_optimizer_step_pre_hook(before))
        return
    if not holds(optimizer):
        raise RemedyError(
            "the optimizer holds none of the recurrent layers' parameters; give the one that trains them"
        )
    if reason := no_lbfgs(Target(nn.Module(), (optimizer,))):
        raise RemedyError(reason)
    change.hook(optimizer.register_step_pre_hook(before))
    in_checkpoints(change, regulariser, optimizer)


def in_checkpoints(change: Change, kept: Any, optimizer: Optimizer) -> None:
    """Have the optimizer's `state_dict()` carry the state of `kept`, under its name."""

    def save(_: Optimizer, state: dict[str, Any]) -> None:
        state.setdefault(KEY, {})[kept.name] = kept.state_dict()

    def load(_: Optimizer, state: dict[str, Any]) -> None:
        if kept.name in state.get(KEY, {}):
            kept.load_state_dict(state[KEY][kept.name])

    change.hook(optimizer.register_state_dict_post_hook(save))
    change.hook(optimizer.register_load_state_dict_pre_hook(load))


@torch.no_grad()
def add_to_grad(parameter: Tensor, grad: Tensor, weight: float) -> None:
    """`grad ← grad + weight · term`; a parameter that is frozen stays as it is."""
    if not parameter.requires_grad:
        return
    term = (weight * grad).to(parameter.dtype)
    if parameter.grad is None:
        parameter.grad = term
    else:
        parameter.grad.add_(term)


def sites_named(sites: Iterable[str]) -> str:
    """`rnn.l0, rnn.l1`, as a sentence holds it."""
    return ", ".join(site or "the cell" for site in sites)
