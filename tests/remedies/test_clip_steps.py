"""Clipping at every step of the backward pass: layers and cells, against a twin, and taken back."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import bptt.nn
from bptt.remedies import (
    RemedyError,
    clip_steps,
    clipped_steps,
    remedy,
)
from clippers import (
    grads,
    nothing_is_left,
    same,
)

__all__ = ["nothing_is_left"]  # a fixture that every test here uses


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
