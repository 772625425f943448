"""Recurrent parameters that no optimizer trains are trained."""

from collections.abc import Iterator
from typing import Any

from torch import Tensor, nn
from torch.optim import Optimizer

from bptt.remedies._change import Change
from bptt.remedies._target import Layer, RemedyError, Target, needed

CURES = ("OP502",)


def fits(target: Target) -> str:
    """An optimizer, and recurrent parameters that it does not train."""
    if not target.optimizers:
        return "it acts on an optimizer, and none was given"
    try:
        missing = _missing(target)
    except RemedyError as error:
        return str(error)
    return "" if missing else "all recurrent parameters are trained already"


def own_parameters(
    model: nn.Module, *, optimizer: Optimizer | None = None, site: str = ""
) -> Change:
    """Switch gradients on for the recurrent parameters, and give to `optimizer` those that it does not own.

    `θ ← θ - η ∂L/∂θ` is done only for what stands in a group of the optimizer and requires a gradient. What was
    missing goes into the group that owns most of the model's other parameters, with that group's settings; an optimizer
    that owns nothing of this model takes it into its first.

    Args:
        model: holds the layers.
        optimizer: takes the parameters; those that another optimizer owns are to be left out by `site`.
        site: one module or site, `""` for all; the weight's name for a recurrence written by hand, `cell.h2h.weight`:
            with it goes its layer's bias. A plain tensor is trained in its place, `nn.Parameter` makes that lasting.

    Raises:
        RemedyError: no layer there; nothing was changed.

    Example:
        >>> import torch
        >>> model = nn.ModuleDict({"rnn": nn.GRU(2, 4), "out": nn.Linear(4, 1)})
        >>> optimizer = torch.optim.SGD(model["out"].parameters(), lr=0.1)
        >>> change = own_parameters(model, optimizer=optimizer)
        >>> len(optimizer.param_groups[0]["params"])
        6
        >>> change.undo(); len(optimizer.param_groups[0]["params"])
        2

    Source: PyTorch documentation, torch.optim; the two usual ways there are on the page of OP502.
    """
    optimizer = needed(optimizer, "own_parameters")
    with Change("own_parameters", {}) as change:
        missing = _missing(Target(model, (optimizer,), site))
        for name, parameter in missing.items():
            if not parameter.requires_grad:
                _switch_on(change, parameter)
                change.said.append(f"{name}: requires_grad False -> True")
        owned = {id(p) for group in optimizer.param_groups for p in group["params"]}
        new = {name: p for name, p in missing.items() if id(p) not in owned}
        if new:
            _give(change, optimizer, model, list(new.values()))
            change.said.append(f"given to {type(optimizer).__name__}: {', '.join(new)}")
        change.lines = (
            "model.requires_grad_(True)",
            f"optimizer = torch.optim.{type(optimizer).__name__}(model.parameters(), ...)",
        )
    return change


def _missing(target: Target) -> dict[str, Tensor]:
    """The recurrent parameters that stand still, by name."""
    owned = {id(p) for each in target.optimizers for g in each.param_groups for p in g["params"]}
    named = (pair for layer in target.layers(own=True) for pair in _parameters(layer))
    return {name: p for name, p in named if not (p.requires_grad and id(p) in owned)}


def _parameters(layer: Layer) -> Iterator[tuple[str, Tensor]]:
    """Of a layer, by name; of one written by hand, the matrix that is meant and its bias."""
    if layer.own:
        path, _, own = layer.site.rpartition(".")
        beside = dict(layer.module._parameters) if isinstance(layer.module, nn.Linear) else {}
        for name, p in {**beside, own: layer.module._parameters[own]}.items():
            if isinstance(p, Tensor) and p.is_leaf:
                yield f"{path}.{name}" if path else name, p
        return
    for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
        p = layer.parameter(kind)
        if isinstance(p, nn.Parameter):
            yield f"{layer.site}.{kind}" if layer.site else kind, p


def _switch_on(change: Change, parameter: Tensor) -> None:
    grad = parameter.grad

    def back() -> None:
        parameter.requires_grad_(False)
        parameter.grad = grad

    parameter.requires_grad_(True)
    change.then(back)


def _give(change: Change, optimizer: Optimizer, model: nn.Module, new: list[Tensor]) -> None:
    own = {id(p) for p in model.parameters()}
    home = max(optimizer.param_groups, key=lambda group: sum(id(p) in own for p in group["params"]))
    params, grads = list(home["params"]), [p.grad for p in new]
    held = home[
        "params"
    ]  # changed in place: `load_state_dict` makes new groups around the same lists

    def back() -> None:
        held[:] = params
        for p, grad in zip(new, grads, strict=True):
            optimizer.state.pop(p, None)
            p.grad = grad

    held += new
    change.then(back)
    change.attribute(optimizer, "add_param_group", _Later(optimizer, held, new))


class _Later:
    """Adds a group; parameters that a remedy has given are taken back first: what the script itself says later stands.

    Args:
        optimizer: whose groups they are.
        held: the list of the group that got them.
        given: them.
    """

    def __init__(self, optimizer: Optimizer, held: list[Tensor], given: list[Tensor]) -> None:
        self.optimizer, self.held, self.given = optimizer, held, given

    def __call__(self, group: dict[str, Any]) -> None:
        params = group["params"]
        params = [params] if isinstance(params, Tensor) else list(params)
        if not any(isinstance(p, tuple) for p in params):
            again = {id(p) for p in params} & {id(p) for p in self.given}
            self.held[:] = [p for p in self.held if id(p) not in again]
        type(self.optimizer).add_param_group(self.optimizer, {**group, "params": params})
