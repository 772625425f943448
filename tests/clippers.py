"""What the tests of clipping share: the methods, gradients, a small loop, and that nothing is left behind."""

import math
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grad
from torch.optim.optimizer import _global_optimizer_pre_hooks

from bptt.remedies import (
    AGC,
    AutoClip,
    ClipNorm,
    ClipValue,
    Method,
    ZClip,
)
from bptt.remedies.clipping import _hook

METHODS: dict[str, Callable[[], Method]] = {
    "clip_norm": lambda: ClipNorm(0.5),
    "clip_value": lambda: ClipValue(0.05),
    "agc": lambda: AGC(0.1),
    "autoclip": lambda: AutoClip(50),
    "zclip": lambda: ZClip(warmup=2),
}
each_method = pytest.mark.parametrize("name", METHODS)
TORCHS = (nn.utils.clip_grad_value_, clip_grad._clip_grads_with_norm_)


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    """No hook outlives its test, and torch's functions are torch's."""
    yield
    left = list(_hook._active)
    for each in left:
        each.remove()
    assert left == []
    assert not _global_optimizer_pre_hooks
    assert (nn.utils.clip_grad_value_, clip_grad._clip_grads_with_norm_) == TORCHS


def model_with_gradients(dtype: torch.dtype = torch.float32, size: float = 1.0) -> nn.Module:
    model = nn.Sequential(nn.LSTM(3, 5), nn.Conv1d(2, 4, 3), nn.Linear(5, 2)).to(dtype)
    for number, parameter in enumerate(model.parameters()):
        parameter.grad = (size * (number + 1) * torch.randn(parameter.shape)).to(dtype)
    return model


def grads(model: nn.Module) -> list[Tensor]:
    return [p.grad.clone() for p in model.parameters() if p.grad is not None]


def same(a: list[Tensor], b: list[Tensor]) -> bool:
    return all(x.dtype == y.dtype and torch.equal(x, y) for x, y in zip(a, b, strict=True))


def total(tensors: list[Tensor]) -> float:
    return math.sqrt(sum(float(t.double().square().sum()) for t in tensors))


class Reader(nn.Module):
    """A small recurrent model with a loss whose gradient is large."""

    def __init__(self) -> None:
        super().__init__()
        self.rnn, self.out = nn.GRU(2, 6), nn.Linear(6, 1)

    def loss(self) -> Tensor:
        return 30 * (self.out(self.rnn(torch.randn(5, 3, 2))[0]) - 1).square().mean()


def trained(
    optimizer: Callable[..., torch.optim.Optimizer],
    prepare: Callable[[Reader, torch.optim.Optimizer], Any],
    between: Callable[[Reader], Any] = lambda model: None,
    updates: int = 4,
) -> list[Tensor]:
    """The weights after a few updates of a script's loop."""
    torch.manual_seed(3)
    model = Reader()
    stepper = optimizer(model.parameters(), lr=0.1)
    attached = prepare(model, stepper)
    for _ in range(updates):
        stepper.zero_grad()
        model.loss().backward()
        between(model)
        stepper.step()
    if attached is not None:
        attached.remove()
    return [p.detach() for p in model.parameters()]
