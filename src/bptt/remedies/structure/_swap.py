"""A cell exchanged in place: the module object stays, with its hooks and whoever holds it; class and weights change."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim import Optimizer

from bptt.cells import CELLS
from bptt.remedies._change import Change
from bptt.remedies._target import Layer, RemedyError

PLAIN = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")


def writable(layer: Layer) -> str:
    """Why a layer's cell cannot be exchanged; `""` if it can."""
    if "forward" in vars(
        layer.module
    ):  # h_detach's, say, which is written for the cell that is there
        return "something else has replaced its forward pass; undo that first"
    try:
        for name in PLAIN if layer.module.bias else PLAIN[:2]:
            layer.weight(name)
    except RemedyError as reason:
        return str(reason)
    return ""


def check(model: nn.Module, optimizer: Optimizer | None) -> None:
    """Refuse what would go wrong later, in silence.

    Raises:
        RemedyError: an optimizer that owns none of the model's parameters, or a model wrapped for several processes.
    """
    if any(isinstance(module, DistributedDataParallel) for module in model.modules()):
        raise RemedyError(
            "the model is wrapped in DistributedDataParallel, which would go on to synchronise the old parameters; "
            "change the model first, then wrap it"
        )
    own = {id(p) for p in model.parameters()}
    if optimizer is not None and not any(
        id(p) in own for group in optimizer.param_groups for p in group["params"]
    ):
        raise RemedyError(
            "the optimizer owns none of the model's parameters; give the one that trains it"
        )


def become(
    change: Change,
    module: nn.Module,
    kind: type[nn.Module],
    attributes: dict[str, Any],
    parameters: dict[str, Tensor],
    optimizer: Optimizer | None,
) -> None:
    """Make `module` one of class `kind`, with these values for parameters of these names.

    A parameter that replaces one of the same name takes its place in the optimizer, its device, dtype and
    `requires_grad`. A new one joins the group of the module's first parameter.

    Args:
        change: what is done is written down there.
        module: changed in place.
        kind: the new class.
        attributes: to set; an attribute of value None is taken away.
        parameters: values in any precision.
        optimizer: told of the exchange, if there is one.
    """
    old_class, old_dict = type(module), dict(vars(module))
    old = dict(module._parameters)
    like = next(p for p in old.values() if p is not None)
    new = {
        name: nn.Parameter(
            value.to(device=like.device, dtype=like.dtype).contiguous(),
            requires_grad=(old.get(name) if old.get(name) is not None else like).requires_grad,  # type: ignore[union-attr]
        )
        for name, value in parameters.items()
    }

    def back() -> None:
        module.__class__ = old_class
        for name in attributes:
            vars(module).pop(name, None)
            if name in old_dict:
                vars(module)[name] = old_dict[name]
        module._parameters.clear()
        module._parameters.update(old)
        _refresh(module)

    change.then(back)
    module.__class__ = kind
    for name, value in attributes.items():
        vars(module).pop(name, None)
        if value is not None:
            vars(module)[name] = value
    module._parameters.update(new)
    _refresh(module)
    if optimizer is not None:
        _hand_over(change, optimizer, old, new)


def _hand_over(
    change: Change,
    optimizer: Optimizer,
    old: dict[str, nn.Parameter | None],
    new: dict[str, nn.Parameter],
) -> None:
    heirs = {name: p for name, p in new.items() if old.get(name) is not None}
    replaced = [p for name in heirs if (p := old[name]) is not None]
    change.parameters(optimizer, replaced, list(heirs.values()))
    added = [p for name, p in new.items() if name not in heirs]
    if added:
        first = next(iter(heirs.values()), None) or next(p for p in old.values() if p is not None)
        change.parameters(optimizer, [first], [first, *added])


def _refresh(module: nn.Module) -> None:
    """torch's layers keep a list of their weights beside the parameters."""
    if isinstance(module, nn.RNNBase):
        module._init_flat_weights()


def stacked(
    layer: Layer, name: str, kind: str, kept: dict[str, Tensor], generator: torch.Generator
) -> Tensor:
    """A parameter `[G·H, ...]` of a cell of another kind: gates that are kept, and fresh ones as torch draws them.

    Fresh values come from `U(-1/√H, 1/√H)`, in float64 and on the CPU: the same on every device and in every precision.
    """
    bound = layer.hidden_size**-0.5
    blocks = []
    for gate in CELLS[kind].gate_names:
        if gate in kept:
            blocks.append(kept[gate].detach().double().cpu())
        else:
            shape = (layer.hidden_size, *layer.weight(name).shape[1:])
            drawn = torch.rand(shape, dtype=torch.float64, generator=generator)
            blocks.append(bound * (2 * drawn - 1))
    return torch.cat(blocks)


def by_module(layers: Sequence[Layer]) -> list[tuple[nn.Module, list[Layer]]]:
    """The layers, module by module."""
    found: dict[int, tuple[nn.Module, list[Layer]]] = {}
    for layer in layers:
        found.setdefault(id(layer.module), (layer.module, []))[1].append(layer)
    return list(found.values())
