"""The compiled layer as a differentiable function of its input, weights and first state.

Forward: `x W_ihᵀ + b` for all steps in one product, then the recurrence. Backward: the recurrence gives the gradient
`d` of all pre-activations; then `dx = d W_ih`, `dW_ih = dᵀ x`, `dW_hh = dᵀ h_{t-1}` and the biases' gradients are one
product or sum each over all steps.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor

from bptt._errors import BpttError
from bptt.kernels import _reference
from bptt.kernels._call import GATES, Call, Inputs

CELLS = {name: number for number, name in enumerate(GATES)}
CLIPS = {"value": 1, "norm": 2}


class Kept(NamedTuple):
    """What forward leaves; tensors that the cell does not have are empty."""

    y: Tensor
    h: Tensor
    c: Tensor
    gates: Tensor
    c_all: Tensor
    hn: Tensor


def run(call: Call, inputs: Inputs) -> tuple[Tensor, ...]:
    """`(y [N, H], h [B, H])`, and `c [B, H]` for an LSTM."""
    if torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in inputs):
        return _Layer.apply(call, *inputs)  # type: ignore[no-any-return]
    return _outputs(call, _forward(call, inputs, save=False))


def _outputs(call: Call, kept: Kept) -> tuple[Tensor, ...]:
    return kept[:3] if call.cell == "lstm" else kept[:2]


def _forward(call: Call, v: Inputs, save: bool) -> Kept:
    rows = call.rows
    return Kept(
        *torch.ops.bptt.layer(
            CELLS[call.cell], *map(_dense, v), rows.T, rows.B, rows.offset, call.reverse, call.tokens,
            save, call.bf16,
        )
    )  # fmt: skip


def _dense(t: Tensor | None) -> Tensor | None:
    return None if t is None else t.contiguous()


class _Layer(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, call: Call, *inputs: Any) -> tuple[Tensor, ...]:
        v = Inputs(*inputs)
        kept = _forward(call, v, save=True)
        ctx.call = call
        ctx.save_for_backward(*v, kept.y, kept.gates, kept.c_all, kept.hn)
        ctx.set_materialize_grads(False)
        return _outputs(call, kept)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> tuple[Any, ...]:
        call: Call = ctx.call
        saved, wanted = ctx.saved_tensors, ctx.needs_input_grad[1:]
        if all(g is None for g in grads):
            return (None,) * 8
        v = Inputs(*saved[:7])
        if torch.is_grad_enabled():
            return (None, *_differentiable_backward(call, v, grads, wanted))
        found = _backward(call, v, saved[7:], grads, wanted)
        return (None, *(g if want else None for g, want in zip(found, wanted, strict=True)))


def _backward(
    call: Call,
    v: Inputs,
    kept: tuple[Tensor, ...],
    grads: tuple[Tensor | None, ...],
    wanted: tuple[bool, ...],
) -> tuple[Tensor, ...]:
    """Gradients of `Inputs`; the step gradients go to the call's sink."""
    rows, clip, watched = call.rows, call.clip, call.sink is not None
    x, w_ih, w_hh, _, _, h0, c0 = map(_dense, v)
    dy, dh, dc = (*map(_dense, grads), None)[:3]
    *found, norms, dh_all, e_all, clipped = torch.ops.bptt.layer_backward(
        CELLS[call.cell], x, w_ih, w_hh, h0, c0, *kept, dy, dh, dc, rows.T, rows.B, rows.offset,
        call.reverse, call.tokens, CLIPS[clip.kind] if clip else 0, clip.limit if clip else 0.0,
        watched, watched and call.values, call.bf16,
        sum(want << bit for bit, want in enumerate(wanted[:5])),
    )  # fmt: skip
    if clip and call.count:
        call.count(int(clipped))
    if watched:
        call.report(norms, _some(dh_all), _some(e_all))
    return tuple(found)


def _some(t: Tensor) -> Tensor | None:
    return t if t.numel() else None


def _differentiable_backward(
    call: Call, v: Inputs, grads: tuple[Tensor | None, ...], wanted: tuple[bool, ...]
) -> list[Tensor | None]:
    """Gradients that can be differentiated again: autograd's, of the cell's formula step by step."""
    if call.clip is not None or call.tokens or call.sink is not None or call.bf16:
        raise BpttError(
            "A gradient of a gradient (create_graph=True) was asked of a bptt layer with grad_clip, bfloat16, token "
            "input or step gradients, which have none. Use the layer without them, or leave create_graph out."
        )
    outputs = _reference.differentiable(call, v)
    pairs = [(o, g) for o, g in zip(outputs, grads, strict=True) if g is not None]
    inputs = [t for t, want in zip(v, wanted, strict=True) if want and t is not None]
    found = iter(
        torch.autograd.grad(
            [o for o, _ in pairs],
            inputs,
            [g for _, g in pairs],
            create_graph=True,
            allow_unused=True,
        )
    )
    return [next(found) if want else None for want in wanted]
