"""Clipping inside backpropagation through time: the gradient is bounded at every step, before the next takes it on."""

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from bptt._errors import BpttError
from bptt.kernels import Clip, obstacle
from bptt.nn import GRU, LSTM, RNN, accelerate, restore
from bptt.nn._recurrent import as_clip
from bptt.remedies._change import Change
from bptt.remedies._target import Layer, RemedyError, Target

CURES = ()
"""It bounds what an explosion does; credit still grows along the recurrence, and a nan stays one."""
_OURS = (RNN, GRU, LSTM)
_CONVERTED = (nn.RNN, nn.GRU, nn.LSTM)


def fits(target: Target) -> str:
    """torch.nn's and bptt's layers and torch.nn's cells, in their plain forms."""
    try:
        modules = _modules(target)
    except RemedyError as none:
        return str(none)
    return next((reason for module in modules if (reason := _obstacle(module))), "")


def clip_steps(
    model: nn.Module,
    *,
    optimizer: Optimizer | None = None,
    site: str = "",
    value: int | float | None = None,
    norm: int | float | None = None,
) -> Change:
    """Clip `dL/dh_t` at every step `t` of the backward pass, before it goes on to step `t - 1`.

    By value, each entry into `[-value, value]`; by norm, each sample's `dL/dh_t` to at most `norm`. Unlike clipping
    after the pass, it bounds what any step passes on, so that a gradient that explodes over many steps neither
    overflows nor drowns the others in the sum over time. The gradient is then no longer that of the loss.

    Layers of torch.nn become bptt.nn's, with the same weights, and clip in their own backward recurrence; cells that a
    loop calls get a hook on the state of each call. `clipped_steps` tells how many steps and samples were clipped.

    Args:
        model: holds the layers; torch's are converted in place, and back on undo.
        optimizer: not changed; parameters stay the same objects.
        site: one module, or one of its sites, which stands for the whole module; `""` for all.
        value: the largest modulus, above 0; 1 if neither is given.
        norm: the largest norm of a sample's `dL/dh_t`, above 0; in the place of `value`.

    Raises:
        RemedyError: both are given, one is not positive, a layer cannot be converted (a subclass, a projection, not on
            the CPU); nothing was changed.

    Example:
        >>> model = nn.RNN(1, 4)
        >>> change = clip_steps(model, value=1e-6)
        >>> model(torch.ones(5, 2, 1))[0].sum().backward()
        >>> clipped_steps(model)
        {'': 10}
        >>> change.undo()
        >>> type(model) is nn.RNN
        True

    Source: Graves (2013), arXiv 1308.0850, section 2.1.
    """
    clip = _clip(value, norm)
    target = Target(model, site=site)
    modules = _modules(target)
    reason = fits(target)
    if reason:
        raise RemedyError(f"clip_steps does not fit: {reason}")
    with Change("clip_steps", {clip.kind: clip.limit}) as change:
        for module, layer in modules.items():
            name = layer.site if layer.suffix == "" else layer.site.rpartition(".")[0]
            if isinstance(module, nn.RNNCellBase):
                _clip_cell(change, module, clip)
            else:
                _clip_layer(change, module, clip)
            change.said.append(
                f"{name or type(module).__name__}: dL/dh_t is clipped at every step, by {clip.kind} at {clip.limit:g}"
            )
        change.lines = (
            "import bptt.nn",
            f'bptt.nn.accelerate(model, grad_clip=("{clip.kind}", {clip.limit:g}))',
        )
        if any(isinstance(module, nn.RNNCellBase) for module in modules):
            given = (
                f'{clip.kind}={clip.limit:g}, site="{site}"'
                if site
                else f"{clip.kind}={clip.limit:g}"
            )
            change.lines = ("from bptt.remedies import clip_steps", f"clip_steps(model, {given})")
    return change


def clipped_steps(model: nn.Module) -> dict[str, int]:
    """By the name of each module that clips steps: how many steps × samples it clipped.

    For layers, since their last call that recorded; for cells, which know no beginning, since the remedy.
    """
    return {
        name: int(getattr(module, "clipped_steps"))  # noqa: B009  pyright takes it for a submodule
        for name, module in model.named_modules()
        if isinstance(module, (nn.RNNBase, nn.RNNCellBase)) and hasattr(module, "clipped_steps")
    }


def _clip(value: Any, norm: Any) -> Clip:
    if value is not None and norm is not None:
        raise RemedyError(
            f"value={value!r} and norm={norm!r} were both given, expected one of them"
        )
    given = ("norm", norm) if norm is not None else ("value", 1.0 if value is None else value)
    try:
        clip = as_clip(given)
    except BpttError as error:
        raise RemedyError(
            f"{given[0]} is {given[1]!r}, expected a positive, finite number"
        ) from error
    assert clip is not None
    return clip


def _modules(target: Target) -> dict[nn.Module, Layer]:
    """Each module at the site once, with its first layer."""
    found: dict[nn.Module, Layer] = {}
    for layer in target.layers():
        found.setdefault(layer.module, layer)
    return found


def _obstacle(module: nn.Module) -> str:
    kind = type(module)
    if isinstance(module, nn.RNNCellBase):
        return ""
    if kind not in _OURS and kind not in _CONVERTED:
        return f"{kind.__name__} is a subclass of torch's layer, whose own forward would be lost"
    if getattr(module, "proj_size", 0):
        return "proj_size is set, and bptt's recurrence has no projection"
    return obstacle(tuple(module.parameters())) or ""


def _clip_layer(change: Change, module: nn.Module, clip: Clip) -> None:
    if isinstance(module, _OURS):
        before, backend = module.grad_clip, module.backend
        counted = "clipped_steps" in vars(module)

        def back() -> None:
            module.grad_clip, module.backend = before, backend
            if not counted:
                vars(module).pop("clipped_steps", None)

        change.then(back)
        module.grad_clip = clip
        if backend == "torch":  # which cannot clip
            module.backend = "auto"
    else:
        change.then(lambda: _restored(module))
        accelerate(module, grad_clip=clip)


def _restored(module: nn.Module) -> None:
    restore(module)


def _clip_cell(change: Change, cell: nn.Module, clip: Clip) -> None:
    """dL/dh of each call's state is clipped when autograd has all of it."""
    weight = next(cell.parameters())
    change.attribute(cell, "clipped_steps", torch.zeros((), dtype=torch.long, device=weight.device))
    change.hook(cell.register_forward_hook(_CellClip(clip)))


class _CellClip:
    """Clips the gradient of each state that a cell returns. An object: it is copied and saved with the cell."""

    def __init__(self, clip: Clip) -> None:
        self.clip = clip

    def __call__(self, module: nn.Module, args: Any, output: Any) -> None:
        state = output[0] if isinstance(output, tuple) else output
        if state.requires_grad:
            state.register_hook(partial(self._clipped, module))

    def _clipped(self, cell: nn.Module, grad: Tensor) -> Tensor:
        clip = self.clip
        if clip.kind == "value":
            result = grad.clamp(-clip.limit, clip.limit)
            changed = (result != grad).any(-1)
        else:
            norms = torch.linalg.vector_norm(grad, dim=-1, keepdim=True)
            changed = (norms > clip.limit).squeeze(-1)
            result = torch.where(norms > clip.limit, grad * (clip.limit / norms), grad)
        cell.clipped_steps += changed.sum()  # type: ignore[operator]
        return result
