"""Repairs where no module holds the recurrence, or not all of it: plain tensors in a loop by hand."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from bptt.doctor import Monitor
from repairing import repair, undo_all


def repaired(parameters: Any, loss: Callable[[], Tensor], updates: int) -> list[Any]:
    """The repairs of a loop as users write it."""
    optimizer = torch.optim.SGD(parameters, lr=1e-3)
    with Monitor() as monitor:
        repairer = repair(monitor)
        for _ in range(updates):
            optimizer.zero_grad()
            loss().backward()
            optimizer.step()
        repairer.close()
    assert monitor.fault is None, monitor.fault
    return [each for each in repairer.repairs if each.outcome == "kept"]


def run(x: Tensor, into: Tensor, back: Tensor, act: Callable[[Tensor], Tensor]) -> Tensor:
    h = x.new_zeros(x.shape[1], len(back))
    for x_t in x:
        h = act(x_t @ into + h @ back)
    return h


def test_tensors_of_no_module_are_rescaled_at_the_recurrence_alone() -> None:
    Win, Wrec = (0.5 * torch.randn(2, 24)).requires_grad_(), torch.randn(24, 24).requires_grad_()
    before = Win.detach().clone()
    x = torch.randn(20, 4, 2)
    (repair,) = repaired([Win, Wrec], lambda: run(x, Win, Wrec, torch.tanh).square().mean(), 3)
    assert (repair.code, repair.remedy) == ("SA301", "spectral_radius")
    assert abs(float(torch.linalg.eigvals(Wrec.detach()).abs().max()) - 1) < 0.01
    torch.testing.assert_close(Win.detach(), before, rtol=0, atol=0.01)
    assert repair.lines == [
        "weight_2.data *= 1.0 / torch.linalg.eigvals(weight_2).abs().max()  # where it is made"
    ]


class Loop(nn.Module):
    """A recurrence over linear layers."""

    def __init__(self, plain: bool) -> None:
        super().__init__()
        self.into, self.wh, self.out = nn.Linear(2, 8), nn.Linear(8, 8), nn.Linear(8, 1)
        self.W = 0.3 * torch.randn(8, 8) if plain else None

    def forward(self, x: Tensor) -> Tensor:
        h = x.new_zeros(x.shape[1], 8)
        for x_t in x:
            h = torch.tanh(self.into(x_t) + (self.wh(h) if self.W is None else h @ self.W))
        return self.out(h)


def test_a_layer_of_a_loop_that_no_optimizer_owns_is_given_to_it() -> None:
    model = Loop(plain=False)
    before = model.wh.weight.detach().clone()
    parameters = [*model.into.parameters(), *model.out.parameters()]
    (repair,) = repaired(parameters, lambda: model(torch.randn(6, 4, 2)).square().mean(), 6)
    assert repair.remedy == "own_parameters"
    assert repair.said == ["given to SGD: wh.weight, wh.bias"]
    assert not torch.equal(model.wh.weight, before)


def test_a_plain_tensor_in_a_loop_is_trained_in_its_place() -> None:
    model = Loop(plain=True)
    W = model.W
    assert W is not None
    before = W.clone()
    (repair,) = repaired(
        model.parameters(), lambda: model(torch.randn(6, 4, 2)).square().mean(), 20
    )
    assert repair.remedy == "own_parameters"
    assert model.W is W
    assert not torch.equal(W, before)
    undo_all()
    assert not W.requires_grad
