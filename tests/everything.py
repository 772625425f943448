"""All that a change to a model, an optimizer or the process may touch, as plain values to compare."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer


def everything(model: nn.Module, optimizer: Optimizer) -> dict[str, Any]:
    """All that a change may touch, so that two of them compare as equal where every bit is."""
    return {
        "classes": {name: type(module) for name, module in model.named_modules()},
        "settings": {name: settings(module) for name, module in model.named_modules()},
        "hooks": {name: hooks(module) for name, module in model.named_modules()},
        "names": list(dict(model.named_parameters())),
        "identities": [id(p) for p in model.parameters()],
        "weights": {name: bits(value) for name, value in model.state_dict().items()},
        "grads": {name: bits(p.grad) for name, p in model.named_parameters()},
        "trains": {name: p.requires_grad for name, p in model.named_parameters()},
        "optimizer": plain(optimizer.state_dict()),
        "owned": [[id(p) for p in group["params"]] for group in optimizer.param_groups],
        "own": sorted(vars(optimizer)),
        "step hooks": [
            len(optimizer._optimizer_step_pre_hooks),
            len(optimizer._optimizer_step_post_hooks),
        ],
        "random": torch.get_rng_state().tolist(),
        "torch": [torch.autograd.backward, nn.utils.clip_grad_norm_, nn.utils.clip_grad_value_],
    }


def settings(module: nn.Module) -> dict[str, Any]:
    plain_types = (int, float, str, bool, type(None))
    own = {name: value for name, value in vars(module).items() if isinstance(value, plain_types)}
    return {**own, "forward": "forward" in vars(module)}


def hooks(module: nn.Module) -> tuple[int, ...]:
    return tuple(len(value) for name, value in sorted(vars(module).items()) if "_hooks" in name)


def bits(value: Any) -> Any:
    return (value.dtype, value.clone().view(-1).tolist()) if isinstance(value, Tensor) else value


def plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: plain(each) for key, each in value.items()}
    return [plain(each) for each in value] if isinstance(value, list) else bits(value)
