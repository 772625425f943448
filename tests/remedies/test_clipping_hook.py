"""Clipping inside an optimizer's step: scalers, closures, checkpoints, several optimizers."""

import gc
import io
import math
import weakref

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_

from bptt.remedies import (
    AGC,
    AutoClip,
    ClipNorm,
    Clipper,
    RemedyError,
    ZClip,
)
from bptt.remedies.clipping import _hook
from clippers import (
    METHODS,
    Reader,
    each_method,
    grads,
    nothing_is_left,
    same,
    total,
    trained,
)

__all__ = ["nothing_is_left"]  # a fixture that every test here uses


@pytest.mark.parametrize("to_model", [False, True])
def test_a_hooked_step_is_a_loop_that_clips(to_model: bool) -> None:
    for optimizer in (torch.optim.SGD, torch.optim.Adam):
        by_hand = trained(
            optimizer, lambda *_: None, lambda model: clip_grad_norm_(model.parameters(), 0.5)
        )
        hooked = trained(
            optimizer,
            lambda model, stepper: Clipper(ClipNorm(0.5)).attach(model if to_model else stepper),
        )
        assert same(by_hand, hooked)
    assert not same(by_hand, trained(torch.optim.Adam, lambda *_: None))


def test_every_optimizer_has_a_history_of_its_own() -> None:
    large, small = nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False)
    both = nn.ModuleList([large, small])
    optimizers = [torch.optim.SGD(each.parameters(), lr=0.0) for each in both]
    clipper = Clipper(AutoClip(100))
    with clipper.attach(both) as attached:
        for norm in (1.0, 2.0):
            for layer, optimizer, scale in zip((large, small), optimizers, (100, 1), strict=True):
                layer.weight.grad = torch.full((1, 1), norm * scale)
                optimizer.step()
    histories = [each.method.state()["history"].tolist() for each in attached.clippers]
    assert histories == [[100.0, 200.0], [1.0, 2.0]]
    assert attached.clippers[0] is clipper


def test_an_optimizer_of_other_parameters_is_not_touched() -> None:
    ours, theirs = nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False)
    both = torch.optim.SGD([*ours.parameters(), *theirs.parameters()], lr=0.0)
    with Clipper(ClipNorm(0.5)).attach(ours):
        for layer in (ours, theirs):
            layer.weight.grad = torch.full((1, 1), 8.0)
        both.step()
    assert ours.weight.grad.item() == pytest.approx(0.5)  # type: ignore[union-attr]
    assert theirs.weight.grad.item() == 8.0  # type: ignore[union-attr]


@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("unscale", [False, True])
@each_method
def test_a_grad_scalers_scale_does_not_count(name: str, unscale: bool, fused: bool) -> None:
    def weights(scaled: bool) -> tuple[list[Tensor], Clipper]:
        torch.manual_seed(3)
        model = Reader()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1, fused=fused)
        scaler = torch.amp.GradScaler("cpu", init_scale=1024.0, enabled=scaled)
        clipper = Clipper(METHODS[name]())
        with clipper.attach(optimizer):
            for _ in range(4):
                optimizer.zero_grad()
                scaler.scale(model.loss()).backward()
                if unscale:
                    scaler.unscale_(optimizer)
                scaler.step(optimizer)
                scaler.update()
        return [p.detach() for p in model.parameters()], clipper

    (plain, clipper), (scaled, other) = weights(False), weights(True)
    assert clipper.clipped > 0 or name == "zclip"
    assert (
        (clipper.updates, clipper.clipped) == (other.updates, other.clipped) == (4, other.clipped)
    )
    for a, b in zip(plain, scaled, strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize("by_name", [False, True])
def test_closures_are_clipped_after_every_evaluation(by_name: bool) -> None:
    norms: list[float] = []
    model = Reader()
    optimizer = torch.optim.LBFGS(model.parameters(), lr=0.01, max_iter=3)
    clipper = Clipper(ClipNorm(0.5))

    def closure() -> Tensor:
        if model.out.weight.grad is not None:
            norms.append(total(grads(model)))  # what LBFGS was left with the last time
        optimizer.zero_grad()
        loss = model.loss()
        loss.backward()
        return loss

    with clipper.attach(optimizer):
        if by_name:
            optimizer.step(closure=closure)
        else:
            optimizer.step(closure)
    assert norms == pytest.approx([0.5] * len(norms), rel=1e-4)
    assert clipper.clipped == clipper.updates == len(norms) + 1 >= 3


def test_a_line_search_is_refused() -> None:
    optimizer = torch.optim.LBFGS(Reader().parameters(), line_search_fn="strong_wolfe")
    with pytest.raises(RemedyError, match="line_search_fn=None"):
        Clipper(ClipNorm(0.5)).attach(optimizer)


@pytest.mark.parametrize("name", ["autoclip", "zclip"])
def test_what_was_learned_travels_in_the_optimizers_checkpoint(name: str) -> None:
    def update(optimizer: torch.optim.Optimizer, norm: float) -> None:
        weight.grad = torch.tensor([norm])
        optimizer.step()

    norms = [1.0, 1.5, 0.7, 9.0, 2.0, 4.0]
    weight = nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([weight], lr=0.1, momentum=0.9)
    whole = Clipper(METHODS[name]())
    with whole.attach(optimizer):
        for norm in norms[:3]:
            update(optimizer, norm)
        file = io.BytesIO()
        torch.save((optimizer.state_dict(), weight.detach()), file)
        for norm in norms[3:]:
            update(optimizer, norm)
    end = weight.detach().clone()
    state, value = torch.load(io.BytesIO(file.getvalue()), weights_only=True)

    torch.optim.SGD([weight], lr=0.1).load_state_dict(state)  # one without clipping passes it over
    resumed, optimizer = Clipper(METHODS[name]()), torch.optim.SGD([weight], lr=0.1, momentum=0.9)
    with torch.no_grad():
        weight.copy_(value)
    with resumed.attach(optimizer):
        optimizer.load_state_dict(state)
        assert resumed.updates == 3
        for norm in norms[3:]:
            update(optimizer, norm)
    assert torch.equal(end, weight.detach())
    assert str(resumed.state_dict()) == str(whole.state_dict())
    assert _hook.KEY not in optimizer.state_dict()


def test_a_state_of_another_method_is_refused() -> None:
    with pytest.raises(RemedyError, match="that of 'zclip'"):
        Clipper(AutoClip()).load_state_dict(Clipper(ZClip()).state_dict())
    full = ZClip(warmup=30)
    full.first = [1.0] * 30
    with pytest.raises(RemedyError, match="warm-up"):
        ZClip(warmup=5).load(full.state())


def test_norms_that_were_seen_elsewhere_can_be_learned_from() -> None:
    clipper = Clipper(AutoClip(50))
    clipper.observe([2.0, math.nan, 4.0, math.inf, 0.0])
    assert clipper.method.state()["history"].tolist() == [2.0, 4.0]


def test_neither_model_nor_optimizer_is_kept_alive() -> None:
    model = Reader()
    attached = [
        Clipper(ClipNorm(1.0)).attach(model),
        Clipper(AGC()).attach(torch.optim.SGD(model.parameters())),
    ]
    alive = weakref.ref(model)
    del model
    gc.collect()
    assert alive() is None
    for each in attached:
        each.remove()
