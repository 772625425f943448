"""Turns a model's torch.nn layers into bptt's, and back."""

from typing import Any

from torch import nn

from bptt.kernels import as_backend
from bptt.nn._layers import GRU, LSTM, RNN, _Layer
from bptt.nn._recurrent import as_clip

_OURS: dict[type[nn.Module], type[_Layer]] = {nn.RNN: RNN, nn.GRU: GRU, nn.LSTM: LSTM}
_TORCHS: dict[type[nn.Module], type[nn.Module]] = {ours: theirs for theirs, ours in _OURS.items()}
_ADDED = ("_backend", "_grad_clip", "_grad_sink", "_grad_values", "_bf16", "clipped_steps")


def accelerate(model: nn.Module, *, backend: str = "auto", grad_clip: Any = None) -> list[str]:
    """Turn every nn.RNN, nn.GRU and nn.LSTM in `model` into bptt's, in place; returns their names.

    The module objects stay, and with them parameters, hooks, optimizers and other references; only their class changes.
    Subclasses of torch's layers are left alone: their own `forward` would be lost. A backend or a clip that cannot be
    is a `BpttError`, and the model stays as it is.

    >>> import torch, bptt.nn
    >>> model = torch.nn.Sequential(torch.nn.LSTM(2, 3))
    >>> bptt.nn.accelerate(model), type(model[0]) is bptt.nn.LSTM
    (['0'], True)
    >>> bptt.nn.restore(model), type(model[0]) is torch.nn.LSTM
    (['0'], True)
    """
    asked, clip = (
        as_backend(backend),
        as_clip(grad_clip),
    )  # what is refused is so before anything changes
    changed = []
    for name, module in model.named_modules():
        ours = _OURS.get(type(module))
        if ours is None:
            continue
        module.__class__ = ours
        assert isinstance(module, _Layer)
        module.backend, module.grad_clip = asked, clip
        changed.append(name)
    return changed


def restore(model: nn.Module) -> list[str]:
    """Undo `accelerate`: every bptt layer becomes torch.nn's again, in place; returns their names."""
    changed = []
    for name, module in model.named_modules():
        theirs = _TORCHS.get(type(module))
        if theirs is None:
            continue
        for attribute in _ADDED:
            module.__dict__.pop(attribute, None)
        module.__class__ = theirs
        changed.append(name)
    return changed
