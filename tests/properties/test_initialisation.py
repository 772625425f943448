"""Initialisers reach what they promise, in layers of any cell, size, number, direction and precision."""

import math
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from bptt import remedies
from bptt.cells import CELLS
from bptt.remedies import Layer, RemedyError, Target
from properties.drawn import Draft, Net, drafts, times

pytestmark = pytest.mark.filterwarnings("ignore:dropout option adds dropout after all but last")

models = drafts(hidden=st.integers(1, 9))
some = st.floats(0.01, 20)
few = times(30)


def layers(net: Net) -> list[Layer]:
    """Every layer and direction."""
    return list(Target(net).layers())


def near(found: Tensor, expected: Tensor, digits: float = 1.0) -> None:
    """To the precision of the model."""
    room = digits * (1e-10 if found.dtype is torch.float64 else 2e-5)
    torch.testing.assert_close(found, expected.to(found), rtol=room, atol=room)


def summed(layer: Layer) -> Tensor:
    """torch's two biases, which are added."""
    return (layer.weight("bias_ih") + layer.weight("bias_hh")).detach()


def untouched(net: Net, before: dict[str, Tensor], *changed: str) -> None:
    """Only parameters whose names hold one of these were written."""
    for name, value in net.named_parameters():
        if not any(part in name for part in changed):
            assert torch.equal(value, before[name]), name


def weights(net: Net) -> dict[str, Tensor]:
    """A copy of all."""
    return {name: value.detach().clone() for name, value in net.named_parameters()}


@few
@given(models, some, st.integers(0, 99))
def test_orthogonal_keeps_lengths(draft: Draft, gain: float, seed: int) -> None:
    net = Net(draft)
    before = weights(net)
    remedies.orthogonal(net, gain=gain, seed=seed)
    for layer in layers(net):
        for block in layer.weight("weight_hh").detach().split(layer.hidden_size):
            near(block @ block.T / gain**2, torch.eye(len(block)))
    untouched(net, before, "weight_hh")
    again = Net(draft)
    remedies.orthogonal(again, gain=gain, seed=seed)
    assert all(torch.equal(value, again.state_dict()[name]) for name, value in weights(net).items())


@few
@given(models, some)
def test_spectral_radius_is_reached_by_scaling(draft: Draft, radius: float) -> None:
    net = Net(draft)
    before = weights(net)
    remedies.spectral_radius(net, radius=radius)
    for layer in layers(net):
        name = next(n for n, p in net.named_parameters() if p is layer.weight("weight_hh"))
        old = before[name].split(layer.hidden_size)
        for block, was in zip(
            layer.weight("weight_hh").detach().split(layer.hidden_size), old, strict=True
        ):
            scale = block.double().norm() / was.double().norm()
            near(block, was.double() * scale)
            # The eigenvalues of a matrix that is nearly defective move by the root of its rounding.
            found = float(torch.linalg.eigvals(block.double()).abs().max())
            assert found == pytest.approx(
                radius, rel=1e-2 if block.dtype is torch.float32 else 1e-6
            )
    untouched(net, before, "weight_hh")


@few
@given(models, st.floats(-8, 8))
def test_forget_bias_sets_the_gate_that_keeps_the_state(draft: Draft, value: float) -> None:
    net = Net(draft)
    before = weights(net)
    if draft.kind in ("rnn", "relu") or not draft.bias:
        with pytest.raises(RemedyError, match="gates"):
            remedies.forget_bias(net, value=value)
        untouched(net, before)
        return
    old = {layer.site: summed(layer) for layer in layers(net)}
    remedies.forget_bias(net, value=value)
    for layer in layers(net):
        gate = {"lstm": "f", "gru": "z"}[layer.kind]
        for name in CELLS[layer.kind].gate_names:
            found, was = layer.gate(summed(layer), name), layer.gate(old[layer.site], name)
            near(found, torch.full_like(was, value) if name == gate else was)
    untouched(net, before, "bias")


@few
@given(models, st.integers(2, 5000), st.integers(0, 99))
def test_chrono_spans_reach_up_to_the_lag(draft: Draft, lag: int, seed: int) -> None:
    draft.kind, draft.bias = draft.kind if draft.kind in ("gru", "lstm") else "gru", True
    net = Net(draft)
    before = weights(net)
    remedies.chrono(net, lag=lag, seed=seed)
    for layer in layers(net):
        keep = layer.gate(summed(layer), {"lstm": "f", "gru": "z"}[layer.kind])
        spans = 1 + keep.double().exp()
        assert bool((spans >= 2 * (1 - 1e-6)).all())
        assert bool((spans <= lag * (1 + 1e-5)).all())
        if layer.kind == "lstm":
            assert torch.equal(layer.gate(summed(layer), "i"), -keep)
    untouched(net, before, "bias")


@few
@given(models, some, st.integers(0, 99))
def test_an_irnn_is_the_identity(draft: Draft, std: float, seed: int) -> None:
    draft.kind = draft.kind if draft.kind in ("rnn", "relu") else "rnn"
    net = Net(draft)
    remedies.identity_relu(net, std=std, seed=seed)
    assert net.rnn.nonlinearity == "relu"
    for layer in layers(net):
        assert layer.kind == "rnn_relu"
        assert torch.equal(
            layer.weight("weight_hh"), torch.eye(layer.hidden_size).to(layer.weight("weight_hh"))
        )
        assert float(layer.weight("weight_ih").detach().abs().max()) < 7 * std
        if draft.bias:
            assert not summed(layer).any()


@few
@given(models, some, st.floats(0.1, 30))
def test_bound_bias_leaves_none_beyond_and_touches_no_other(
    draft: Draft, limit: float, wide: float
) -> None:
    draft.bias = True
    net = Net(draft)
    with torch.no_grad():
        for name, value in net.named_parameters():
            if "bias" in name:
                value.mul_(wide)
    before = weights(net)
    old = {layer.site: summed(layer) for layer in layers(net)}
    remedies.bound_bias(net, limit=limit)
    for layer in layers(net):
        for gate in CELLS[layer.kind].gate_names:
            found, was = layer.gate(summed(layer), gate), layer.gate(old[layer.site], gate)
            low = 0.0 if layer.kind == "rnn_relu" else -limit
            high = max(limit, 5.0) if (layer.kind, gate) in (("lstm", "f"), ("gru", "z")) else limit
            out = (was < low) | (was > high)
            if (layer.kind, gate) == ("gru", "n"):
                out = torch.zeros_like(out)
            assert torch.equal(found, was.masked_fill(out, 0.0))
    untouched(net, before, "bias")


@few
@given(models, st.floats(5, 500), st.integers(0, 99))
def test_redraw_takes_what_is_wide(draft: Draft, wide: float, seed: int) -> None:
    draft.gain = 1.0
    net = Net(draft)
    with pytest.raises(RemedyError, match="no weights are over"):
        remedies.redraw(net, factor=1e4)
    with torch.no_grad():
        for value in net.rnn.parameters():
            value.mul_(1e4 * wide)
    before = weights(net)
    remedies.redraw(net, seed=seed)
    for name, value in net.rnn.named_parameters():
        assert float(value.detach().abs().max()) <= draft.hidden**-0.5 * (1 + 1e-6), name
    untouched(net, before, "rnn")


def told(net: nn.Module, change: Any) -> dict[str, Tensor]:
    """The weights after the lines that make a change permanent have run on another model."""
    exec("\n".join(change.lines), {"model": net})
    return {name: value.detach() for name, value in net.named_parameters()}


@few
@given(
    models,
    st.sampled_from(
        ["orthogonal", "spectral_radius", "forget_bias", "identity_relu", "bound_bias"]
    ),
    some,
)
def test_the_lines_that_make_it_permanent_do_the_same(
    draft: Draft, name: str, value: float
) -> None:
    argument = {
        "orthogonal": "gain",
        "spectral_radius": "radius",
        "forget_bias": "value",
        "identity_relu": "std",
    }
    net, other = Net(draft), Net(draft)
    try:
        args: dict[str, Any] = {argument.get(name, "limit"): value}
        change = remedies.remedy(name).apply(net, **args)
    except RemedyError:
        return
    again = told(other, change)
    assert all(torch.equal(value, again[each]) for each, value in weights(net).items())


@few
@given(models.filter(lambda draft: draft.kind == "lstm"), st.floats(-50, 50))
def test_a_gate_keeps_what_the_change_says_it_keeps(draft: Draft, value: float) -> None:
    draft.bias = True
    change = remedies.forget_bias(Net(draft), value=value)
    said = f"it keeps about {1 / (1 + math.exp(-value)):.2f} of the state a step"
    assert all(said in line for line in change.said)
