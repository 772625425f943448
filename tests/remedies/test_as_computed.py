"""Gradients that a script's own code clips are put back before the step."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from bptt.remedies import RemedyError, clip_norm

Gradients = list[Tensor]


def by_norm(grads: Gradients) -> None:
    total = torch.stack([g.norm() for g in grads]).norm()
    for g in grads:
        g.mul_(0.001 / total)


def by_value(grads: Gradients) -> None:
    for g in grads:
        g.clamp_(-0.01, 0.01)


def each_by_its_own(grads: Gradients) -> None:
    for g in grads:
        g.mul_(0.01 / g.norm())


def an_average(grads: Gradients) -> None:
    for g in grads:
        g.div_(20)


def decay(grads: Gradients) -> None:
    for g in grads:
        g.mul_(0.5).add_(0.3)


def steps(hand: Callable[[Gradients], None] | None, *, mended: bool, updates: int = 4) -> Tensor:
    torch.manual_seed(3)
    model = nn.Linear(3, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    change = clip_norm(model, optimizer=optimizer, max_norm=100.0, by_hand=True) if mended else None
    for n in range(updates):
        optimizer.zero_grad()
        model(torch.linspace(-1, n + 1, 12).view(4, 3)).square().sum().backward()
        if hand is not None:
            hand([p.grad for p in model.parameters() if p.grad is not None])
        optimizer.step()
    if change is not None:
        change.undo()
        assert not any(p._post_accumulate_grad_hooks for p in model.parameters())  # type: ignore[attr-defined]
    return model.weight.detach()


@pytest.mark.parametrize("hand", [by_norm, by_value, each_by_its_own])
def test_a_step_uses_the_gradient_as_it_was_computed(hand: Callable[[Gradients], None]) -> None:
    assert torch.equal(steps(hand, mended=True), steps(None, mended=False))
    assert not torch.allclose(steps(hand, mended=False), steps(None, mended=False))


@pytest.mark.parametrize("hand", [decay])
def test_what_is_no_clipping_stays_done(hand: Callable[[Gradients], None]) -> None:
    assert torch.equal(steps(hand, mended=True), steps(hand, mended=False))


def test_a_factor_that_stays_the_same_is_no_clipping_from_its_second_update_on() -> None:
    mended, plain = steps(an_average, mended=True, updates=1), steps(None, mended=False, updates=1)
    assert torch.equal(mended, plain)  # one update tells nothing
    step = steps(an_average, mended=True, updates=2) - mended
    assert float(step.norm()) < 0.2 * float((steps(None, mended=False, updates=2) - plain).norm())


def test_an_optimizer_is_needed() -> None:
    with pytest.raises(RemedyError, match="by_hand needs the optimizer"):
        clip_norm(nn.Linear(1, 1), by_hand=True)
