"""What the remedies of this room share: what they fit, and how a clipper becomes a `Change`."""

from typing import Any

from torch import nn
from torch.optim import Optimizer

from bptt.remedies._change import Change
from bptt.remedies._target import RemedyError, Target
from bptt.remedies.clipping._as_computed import AsComputed
from bptt.remedies.clipping._clipper import Clipper
from bptt.remedies.clipping._method import Method


def fits_gradients(target: Target) -> str:
    """Any model that is trained has gradients to clip."""
    if not any(p.requires_grad for p in target.model.parameters()):
        return "no parameter of the model asks for a gradient"
    return ""


def install(
    method: Method,
    model: nn.Module,
    optimizer: Optimizer | None,
    *,
    lines: tuple[str, ...],
    replace: bool = False,
    by_hand: bool = False,
    said: str,
) -> Change:
    """Attach a clipper to the optimizer, or to whatever optimizer steps the model."""
    reason = fits_gradients(Target(model))
    if reason:
        raise RemedyError(f"{method.name} does not fit: {reason}")
    where: Any = model
    if optimizer is not None:
        own = {id(p) for p in model.parameters()}
        held = [p for group in optimizer.param_groups for p in group["params"]]
        foreign = sum(id(p) not in own for p in held)
        if foreign == len(held):
            raise RemedyError(
                f"the optimizer holds {len(held)} parameters, and none is the model's; give the one that trains it"
            )
        # Of an optimizer that trains more than this model, the model's share is clipped.
        where = optimizer if not foreign else model
    with Change(method.name, method.options()) as change:
        attached = Clipper(method).attach(where, replace=replace)
        change.hook(attached)
        change.said.append(said)
        if replace:
            change.said.append(
                "the script's own clip_grad_norm_ and clip_grad_value_ on these parameters are put aside"
            )
        if by_hand and optimizer is not None:
            kept = AsComputed(optimizer)
            attached.first = kept.put_back
            change.hook(kept)
            change.said.append(
                "and so is what the script itself multiplies or clamps its gradients by"
            )
        change.lines = lines
    return change
