"""Clipping beside a script's own, under a monitor, and refused."""

import math
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.utils import clip_grad_norm_

from bptt.doctor import Monitor, _clip
from bptt.remedies import (
    ClipNorm,
    Clipper,
    RemedyError,
    clip_norm,
    remedy,
)
from bptt.rules import table
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
