"""Clipping: each method against its formula written out, inside steps, beside a script's own, and taken back."""

import gc
import io
import math
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grad, clip_grad_norm_
from torch.optim.optimizer import _global_optimizer_pre_hooks

import bptt.nn
from bptt.doctor import Monitor, _clip
from bptt.remedies import (
    AGC,
    AutoClip,
    ClipNorm,
    Clipper,
    ClipValue,
    Method,
    RemedyError,
    ZClip,
    clip_norm,
    clip_steps,
    clipped_steps,
    propose,
    remedy,
)
from bptt.remedies.clipping import _hook
from bptt.rules import table

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
def _nothing_is_left() -> Iterator[None]:
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


# Each method is its formula.


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("limit", [1e-3, 2.0, 1e6])
def test_norm_and_value_are_torchs_to_the_bit(dtype: torch.dtype, limit: float) -> None:
    for method, torchs in (
        (ClipNorm(limit), nn.utils.clip_grad_norm_),
        (ClipValue(limit), nn.utils.clip_grad_value_),
    ):
        model = model_with_gradients(dtype)
        before = grads(model)
        done = Clipper(method).clip(model.parameters())
        ours = grads(model)
        for parameter, grad in zip(model.parameters(), before, strict=True):
            parameter.grad = grad.clone()
        torchs(model.parameters(), limit)
        assert same(ours, grads(model))
        digits = 1e-2 if dtype is torch.bfloat16 else 1e-5
        assert done.norm == pytest.approx(total(before), rel=digits)
        assert done.factor == pytest.approx(total(ours) / total(before), rel=digits)
        assert done.limit == limit


@pytest.mark.parametrize(
    ("dtype", "digits"), [(torch.float64, 1e-12), (torch.float32, 1e-5), (torch.bfloat16, 1e-2)]
)
def test_agc_bounds_each_row_by_its_weights(dtype: torch.dtype, digits: float) -> None:
    model = model_with_gradients(dtype, 0.02)
    with torch.no_grad():
        model[2].weight.zero_()  # type: ignore[operator, union-attr]  units without weights count as `least`
    before, factor, least = grads(model), 0.1, 1e-3
    expected = []
    for weight, grad in zip(model.parameters(), before, strict=True):
        w, g = weight.detach().double(), grad.double().clone()
        for unit in range(len(g)) if g.dim() > 1 else [slice(None)]:
            limit = factor * max(float(w[unit].norm()), least)
            if (size := float(g[unit].norm())) > limit:
                g[unit] *= limit / size
        expected.append(g)
    done = Clipper(AGC(factor)).clip(model.parameters())
    for found, g in zip(grads(model), expected, strict=True):
        torch.testing.assert_close(found.double(), g, rtol=digits, atol=0)
    assert done.norm == pytest.approx(total(before), rel=digits)
    assert done.factor == pytest.approx(total(expected) / total(before), rel=digits)
    assert 0 < done.factor < 1


@pytest.mark.parametrize("window", [None, 7])
def test_autoclip_is_numpys_percentile_of_the_history(window: int | None) -> None:
    method, norms = AutoClip(23.0, window), torch.rand(40).double().exp().tolist()
    for n, norm in enumerate(norms):
        seen = norms[: n + 1] if window is None else norms[: n + 1][-window:]
        assert method.limit(norm) == pytest.approx(np.percentile(seen, 23.0), rel=1e-12)


def test_zclip_is_the_papers_algorithm() -> None:
    norms = (1 + 0.1 * torch.randn(60)).tolist()
    norms[30:32] = [30.0, 3.0]
    method, clipped = ZClip(z=2.0, alpha=0.9, warmup=10), 0
    mean, var = float(np.mean(norms[:10])), float(np.var(norms[:10]))
    for n, norm in enumerate(norms):
        limit = method.limit(norm)
        if n < 10:
            assert limit == math.inf
            continue
        score = (norm - mean) / (math.sqrt(var) + 1e-6)
        used = mean + 2.0 * math.sqrt(var) / (score / 2.0) if score > 2.0 else norm
        clipped += score > 2.0
        assert min(limit, norm) == pytest.approx(used, rel=1e-12)
        mean = 0.9 * mean + 0.1 * used
        var = 0.9 * var + 0.1 * (used - mean) ** 2
    assert clipped >= 2


def test_what_finds_its_threshold_does_not_depend_on_the_losss_scale() -> None:
    for scale in (1e-9, 1e6):
        clipper, factors = Clipper(AutoClip(50)), []
        for size in (1.0, 3.0, 2.0):
            torch.manual_seed(1)
            factors.append(
                clipper.clip(model_with_gradients(size=size * scale).parameters()).factor
            )
        assert factors == pytest.approx([1.0, 2 / 3, 1.0], rel=1e-4)


# Gradients of every kind.


@each_method
def test_sparse_gradients_are_clipped_as_dense_ones(name: str) -> None:
    ids, found = torch.tensor([1, 3, 3, 0]), []
    for sparse in (False, True):
        torch.manual_seed(0)
        layer, clipper = nn.Embedding(6, 4, sparse=sparse), Clipper(METHODS[name]())
        for scale in (1.0, 1.1, 50.0):
            layer.zero_grad()
            (scale * layer(ids).square()).sum().backward()
            done = clipper.clip(layer.parameters())
        assert layer.weight.grad is not None
        grad = layer.weight.grad
        found.append((done, grad.to_dense() if sparse else grad))
    assert found[0][0].factor < 1
    assert found[0][0] == pytest.approx(found[1][0], rel=1e-6)
    torch.testing.assert_close(found[0][1], found[1][1])


def test_a_sparse_gradient_of_another_kind_is_refused() -> None:
    weight = nn.Parameter(torch.ones(2, 2))
    weight.grad = torch.eye(2).to_sparse()
    with pytest.raises(RemedyError, match="expected a dense one, or rows"):
        Clipper(ClipNorm(1.0)).clip(weight)


@each_method
def test_nothing_to_clip(name: str) -> None:
    clipper, model = Clipper(METHODS[name]()), nn.Linear(2, 2)
    state = clipper.method.state()
    assert clipper.clip(model.parameters()) == (0.0, math.inf, 1.0)
    empty = nn.Parameter(torch.zeros(0, 3))
    empty.grad = torch.zeros(0, 3)
    assert clipper.clip([empty]) == (0.0, math.inf, 1.0)
    assert clipper.updates == 0
    model.weight.grad = torch.zeros(2, 2)
    assert clipper.clip([empty, *model.parameters()]).factor == 1.0
    assert str(clipper.method.state()) == str(state) or name == "zclip"
    assert torch.equal(model.weight.grad, torch.zeros(2, 2))


@each_method
@pytest.mark.parametrize("wrong", [math.inf, math.nan])
def test_what_is_not_finite_is_left_alone_and_enters_no_history(name: str, wrong: float) -> None:
    clipper = Clipper(METHODS[name]())
    for _ in range(3):
        clipper.clip(model_with_gradients().parameters())
    model, state = model_with_gradients(), str(clipper.method.state())
    model[0].weight_hh_l0.grad[2, 1] = wrong  # type: ignore[index, union-attr]
    before = grads(model)
    done = clipper.clip(model.parameters())
    assert not math.isfinite(done.norm)
    assert (clipper.updates, clipper.skipped, str(clipper.method.state())) == (4, 1, state)
    for a, b in zip(grads(model), before, strict=True):
        assert torch.equal(a.nan_to_num(7.0), b.nan_to_num(7.0))


@pytest.mark.parametrize("method", [ClipNorm(0.5), AGC(0.1)])
def test_finite_values_whose_norm_overflows_are_clipped(method: Method) -> None:
    model = model_with_gradients(size=1e30)
    done = Clipper(method).clip(model.parameters())
    assert 1e30 < done.norm < math.inf
    assert 0 < total(grads(model)) < 10


# Inside an optimizer's step.


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


# Beside a script's own clipping, and under a monitor.


def test_a_scripts_own_clipping_is_put_aside() -> None:
    """`clip_grad_norm_` was imported before the remedy came, as scripts do."""
    returned = []

    def own(model: Reader) -> None:
        sizes = total(grads(model))
        returned.append(
            (float(clip_grad_norm_(model.parameters(), 1e-3)), sizes, total(grads(model)))
        )
        nn.utils.clip_grad_value_(model.parameters(), 1e-5)

    replaced = trained(
        torch.optim.SGD,
        lambda model, stepper: Clipper(ClipNorm(0.5)).attach(stepper, replace=True),
        own,
    )
    alone = trained(torch.optim.SGD, lambda model, stepper: Clipper(ClipNorm(0.5)).attach(stepper))
    assert same(replaced, alone)
    for said, before, after in returned:
        assert said == pytest.approx(before, rel=1e-5)
        assert after == before


def test_clipping_of_other_parameters_too_is_left_to_the_script() -> None:
    ours, theirs = nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False)
    optimizer = torch.optim.SGD(ours.parameters(), lr=0.0)
    with Clipper(ClipNorm(5.0)).attach(optimizer, replace=True):
        for layer in (ours, theirs):
            layer.weight.grad = torch.full((1, 1), 8.0)
        clip_grad_norm_([*ours.parameters(), *theirs.parameters()], 1.0)
    for layer in (ours, theirs):
        assert layer.weight.grad.item() == pytest.approx(math.sqrt(0.5))  # type: ignore[union-attr]


def test_a_loop_that_steps_by_hand_is_clipped_where_it_clips() -> None:
    model = Reader()
    with Clipper(ClipNorm(5.0)).attach(model, replace=True):
        model.loss().backward()
        before = total(grads(model))
        assert float(clip_grad_norm_(model.parameters(), 1e-6)) == pytest.approx(before)
    assert total(grads(model)) == pytest.approx(min(5.0, before), rel=1e-5)


@pytest.mark.parametrize("listen_first", [True, False])
def test_our_clipping_is_heard_and_the_scripts_is_not(listen_first: bool) -> None:
    """Listener and remedy come and go in any order."""
    heard: list[tuple[str, float]] = []

    def listener(kind: str, limit: float, norm: float | None) -> None:
        heard.append((kind, limit))

    model = Reader()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    if listen_first:
        _clip.listen(listener)
    change = clip_norm(model, optimizer=optimizer, max_norm=1e9)
    if not listen_first:
        _clip.listen(listener)
    model.loss().backward()
    clip_grad_norm_(model.parameters(), 1e-3)
    optimizer.step()
    assert heard == [("norm", 1e9)]
    if listen_first:
        _clip.unlisten(listener)
    change.undo()
    heard.clear()
    clip_grad_norm_(model.parameters(), 1e-3)
    assert heard == ([] if listen_first else [("norm", 1e-3)])
    _clip.unlisten(listener)


CURES = [
    ("clip_norm", "EG202", {"max_norm": 0.5}),
    ("clip_value", "EG202", {"value": 0.1}),
    ("agc", "EG202", {}),
    ("agc", "OP501", {}),
    ("autoclip", "EG202", {}),
    ("zclip", "EG203", {}),
    ("clip_norm", "EG203", {"max_norm": 2.0}),
    ("autoclip", "EG203", {}),
]


@pytest.mark.parametrize(
    ("name", "code", "args", "before_the_monitor"),
    [(*cure, number % 2 == 0) for number, cure in enumerate(CURES)],
)
def test_a_cure_silences_its_rule(
    name: str, code: str, args: dict[str, Any], before_the_monitor: bool
) -> None:
    """Whether the monitor is there first or comes later."""
    rule, example = table()[code], table()[code].bad()
    assert code in remedy(name).cures

    def apply() -> Any:
        return remedy(name).apply(example.model, example.optimizer, **args)

    change = apply() if before_the_monitor else None
    with Monitor(example.model, example.optimizer) as monitor:
        change = change or apply()
        example.train()
    assert monitor.fault is None
    assert len(monitor.findings) >= 0  # brings the evidence up to date
    change.undo()
    assert rule.check(monitor.case.evidence, rule.options) == []


def test_the_table_of_cures_above_is_whole() -> None:
    named = {(name, code) for name, code, _ in CURES}
    assert named == {(name, code) for name in METHODS for code in remedy(name).cures}


# Bad input.

MODEL = Reader()


@pytest.mark.parametrize(
    ("name", "args", "message"),
    [
        ("clip_norm", {"max_norm": 0.0}, "max_norm is 0.0, expected a positive, finite"),
        ("clip_norm", {"max_norm": -1.0}, "max_norm is -1.0"),
        ("clip_norm", {"max_norm": math.nan}, "max_norm is nan"),
        ("clip_norm", {"max_norm": math.inf}, "max_norm is inf"),
        ("clip_value", {"value": -1.0}, "value is -1.0"),
        ("agc", {"factor": math.nan}, "factor is nan"),
        ("agc", {"least": 0.0}, "least is 0.0"),
        ("autoclip", {"percentile": 0.0}, "percentile is 0.0, expected above 0"),
        ("autoclip", {"percentile": math.nan}, "percentile is nan"),
        ("autoclip", {"window": 0}, "window is 0"),
        ("zclip", {"z": -1.0}, "z is -1.0"),
        ("zclip", {"alpha": 1.0}, "alpha is 1.0, expected between 0 and 1"),
        ("zclip", {"warmup": 1}, "warmup is 1"),
        ("clip_norm", {"limit": 1.0}, "does not take limit; it takes max_norm, replace"),
    ],
)
def test_thresholds_that_make_no_sense_are_refused(
    name: str, args: dict[str, Any], message: str
) -> None:
    with pytest.raises(RemedyError, match=message):
        remedy(name).apply(MODEL, **args)


@each_method
def test_an_optimizer_of_another_model_is_refused(name: str) -> None:
    with pytest.raises(RemedyError, match="none is the model's"):
        remedy(name).apply(MODEL, torch.optim.SGD(nn.Linear(2, 2).parameters()))


@each_method
def test_a_model_that_is_not_trained_is_refused(name: str) -> None:
    frozen = nn.Linear(2, 2).requires_grad_(False)
    with pytest.raises(RemedyError, match="no parameter of the model asks for a gradient"):
        remedy(name).apply(frozen)


def test_two_thresholds_for_one_gradient_contradict_each_other() -> None:
    optimizer = torch.optim.SGD(MODEL.parameters())
    first = clip_norm(MODEL, optimizer=optimizer, max_norm=1.0)
    with pytest.raises(RemedyError, match=r"ClipNorm\(max_norm=1.0\) is already at work"):
        remedy("autoclip").apply(MODEL)
    beside = remedy("agc").apply(MODEL, optimizer)
    beside.undo()
    first.undo()
    remedy("autoclip").apply(MODEL).undo()


def test_a_clipper_needs_a_method_and_something_to_clip() -> None:
    with pytest.raises(RemedyError, match=r"expected a method such as ClipNorm\(1.0\)"):
        Clipper(1.0)  # type: ignore[arg-type]
    with pytest.raises(RemedyError, match="has no parameters"):
        Clipper(ClipNorm(1.0)).attach(nn.Tanh())


# A threshold from the norms.


def test_the_proposal_follows_the_usual_norm_and_not_the_spikes() -> None:
    usual = (0.2 * torch.randn(200)).exp().tolist()
    plain = propose(usual)
    spiked = propose([norm * (300 if n % 5 == 0 else 1) for n, norm in enumerate(usual)])
    assert plain.max_norm / 2 < spiked.max_norm < plain.max_norm * 2
    assert spiked.share == pytest.approx(0.2, abs=0.01)
    assert plain.share < 0.02
    scaled = propose([1e-6 * norm for norm in usual])
    assert scaled.max_norm == pytest.approx(1e-6 * plain.max_norm, rel=0.05)


def test_the_proposal_shows_its_reasons() -> None:
    usual = (0.2 * torch.randn(50)).exp().tolist()
    fallen = propose([20 * norm for norm in usual] + usual + [math.nan])
    assert fallen.max_norm == propose(usual).max_norm
    assert "norms have moved from" in fallen.reasoning
    assert "without 1 that were zero or not finite" in fallen.reasoning
    equal = propose([3.0] * 20)
    assert (equal.max_norm, equal.share) == (4.5, 0.0)
    assert "1.5 times the median, 4.5" in equal.reasoning
    wild = propose((3 * torch.randn(100)).exp().tolist())
    assert wild.max_norm == pytest.approx(10 * wild.usual, rel=0.05)
    assert str(wild).startswith(f"clip the norm at {wild.max_norm:g}: the median of 100 norms is")


def test_too_few_norms_are_refused() -> None:
    with pytest.raises(RemedyError, match="7 of 9 norms are positive and finite, expected 8"):
        propose([1.0] * 7 + [0.0, math.inf])


# At every step of the backward pass.

CELLS: dict[str, tuple[Any, Any]] = {
    "rnn": (nn.RNN, nn.RNNCell),
    "gru": (nn.GRU, nn.GRUCell),
    "lstm": (nn.LSTM, nn.LSTMCell),
}


def layer_and_cell(kind: str) -> tuple[nn.Module, nn.Module]:
    """Of the same weights, in float64."""
    layer, cell = (each(2, 4, dtype=torch.float64) for each in CELLS[kind])
    cell.load_state_dict({name[:-3]: value for name, value in layer.state_dict().items()})
    return layer, cell


def unrolled(cell: nn.Module, x: Tensor) -> Tensor:
    """The loop that a script writes."""
    state, states = None, []
    for x_t in x:
        state = cell(x_t, state)
        states.append(state[0] if isinstance(state, tuple) else state)
    return torch.stack(states)


@pytest.mark.parametrize("args", [{"value": 0.5}, {"norm": 0.7}, {}])
@pytest.mark.parametrize("kind", CELLS)
def test_layers_and_cells_clip_alike_and_as_autograd_does(kind: str, args: dict[str, Any]) -> None:
    layer, cell = layer_and_cell(kind)
    x, weights = torch.randn(7, 3, 2).double(), torch.randn(7, 3, 4).double()
    state: Any = None
    states = []
    for x_t in x:  # the twin: the state of each step is a leaf of a rule of its own
        state = cell(x_t, state)
        h = _Bounded.apply(state[0] if kind == "lstm" else state, args)
        state = (h, state[1]) if kind == "lstm" else h
        states.append(h)
    (torch.stack(states) * weights).sum().backward()
    expected = grads(cell)
    counts = []
    for module, run in ((layer, lambda: layer(x)[0]), (cell, lambda: unrolled(cell, x))):
        module.zero_grad()
        change = remedy("clip_steps").apply(module, **args)
        (run() * weights).sum().backward()
        counts.append(clipped_steps(module)[""])
        for found, grad in zip(grads(module), expected, strict=True):
            torch.testing.assert_close(found, grad)
        change.undo()
    assert counts[0] == counts[1] > 0


class _Bounded(torch.autograd.Function):
    """The identity, whose backward clips."""

    @staticmethod
    def forward(ctx: Any, h: Tensor, args: dict[str, float]) -> Tensor:
        ctx.args = args
        return h.clone()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:  # type: ignore[override]
        if "norm" in ctx.args:
            sizes = grad.norm(dim=1, keepdim=True)
            return grad * (ctx.args["norm"] / sizes).clamp(max=1), None
        limit = ctx.args.get("value", 1.0)
        return grad.clamp(-limit, limit), None


def test_an_undone_step_clip_leaves_no_trace() -> None:
    model: Any = nn.ModuleDict(
        {
            "torchs": nn.LSTM(2, 4),
            "ours": bptt.nn.GRU(2, 4, grad_clip=0.3),
            "cell": nn.GRUCell(2, 4),
        }
    )
    traces = {name: dict(vars(module)) for name, module in model.items()}
    hooks = {name: list(module._forward_hooks) for name, module in model.items()}
    x, weights = torch.randn(5, 3, 2), [p.detach().clone() for p in model.parameters()]
    optimizer = torch.optim.SGD(model.parameters())
    change = clip_steps(model, optimizer=optimizer, norm=1e-3)
    assert type(model["torchs"]) is bptt.nn.LSTM
    assert model["ours"].grad_clip.limit == 1e-3
    model["torchs"](x)[0].sum().backward()
    unrolled(model["cell"], x).sum().backward()
    assert clipped_steps(model) == {"torchs": 15, "ours": 0, "cell": 15}
    change.undo()
    assert type(model["torchs"]) is nn.LSTM
    assert model["ours"].grad_clip.limit == 0.3
    assert {name: set(vars(module)) for name, module in model.items()} == {
        name: set(trace) for name, trace in traces.items()
    }
    assert {name: list(module._forward_hooks) for name, module in model.items()} == hooks
    assert same([p.detach() for p in model.parameters()], weights)
    assert [id(p) for p in optimizer.param_groups[0]["params"]] == [
        id(p) for p in model.parameters()
    ]


def test_one_module_of_a_model_can_be_meant() -> None:
    model = nn.ModuleDict({"a": nn.GRU(2, 3), "b": nn.GRU(2, 3, num_layers=2)})
    change = clip_steps(model, site="b.l1", value=0.5)
    assert (type(model["a"]), type(model["b"])) == (nn.GRU, bptt.nn.GRU)
    assert change.said == ["b: dL/dh_t is clipped at every step, by value at 0.5"]
    change.undo()


class Own(nn.GRU):
    """A user's layer."""


@pytest.mark.parametrize(
    ("model", "args", "message"),
    [
        (nn.GRU(2, 3), {"value": 0.0}, "value is 0.0, expected a positive, finite number"),
        (nn.GRU(2, 3), {"norm": math.nan}, "norm is nan"),
        (nn.GRU(2, 3), {"value": -1.0}, "value is -1.0"),
        (nn.GRU(2, 3), {"value": 1.0, "norm": 1.0}, "both given, expected one"),
        (nn.GRU(2, 3), {"site": "elsewhere"}, "at 'elsewhere'"),
        (nn.Linear(2, 3), {}, "there is no nn.RNN"),
        (Own(2, 3), {}, "Own is a subclass"),
        (nn.LSTM(2, 3, proj_size=2), {}, "proj_size is set"),
        (nn.GRU(2, 3).bfloat16(), {}, "dtype torch.bfloat16"),
        (nn.ModuleList([nn.GRU(2, 3), Own(2, 3)]), {}, "Own is a subclass"),
    ],
)
def test_steps_that_cannot_be_clipped_are_refused(
    model: nn.Module, args: dict[str, Any], message: str
) -> None:
    kinds = [type(module) for module in model.modules()]
    with pytest.raises(RemedyError, match=message):
        remedy("clip_steps").apply(model, **args)
    assert [type(module) for module in model.modules()] == kinds
