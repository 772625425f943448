"""The brute-force twin of the probe: torch.autograd on an unrolled loop over the reference cells.

Slow, and readable in a minute. Tests compare the probe with it; `unroll` is also a way to check a doubtful number by
hand. Every state is given aliases, so that autograd itself separates what design calls direct, total, and handed on:
`h_out[t]` is what leaves upwards (its gradient is the direct gradient), `c_on[t]` what the next step gets (its
gradient is `e`).
"""

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from bptt.cells import CELLS, Cell, State, Weights
from bptt.flow.record._call import kind_of
from bptt.flow.walk._credit import anchors, bearing
from bptt.flow.walk._sequence import flip


@dataclass(eq=False)
class Unrolled:
    """States of one layer and direction, a tensor a step, in processing order; all part of one autograd graph."""

    h: list[Tensor] = field(default_factory=list)
    h_out: list[Tensor] = field(default_factory=list)
    h_on: list[Tensor] = field(default_factory=list)
    c: list[Tensor] = field(default_factory=list)
    c_on: list[Tensor] = field(default_factory=list)


def unroll(
    module: nn.RNNBase,
    x: Tensor,
    start: tuple[Tensor, ...] | None = None,
    lengths: Tensor | None = None,
    masks: list[Tensor] | None = None,
) -> tuple[Tensor, tuple[Tensor, ...], dict[str, Unrolled]]:
    """Run `nn.RNN`, `nn.GRU` or `nn.LSTM` as a plain loop over its reference cell.

    Args:
        module: the layers whose weights are used, in the precision of `x`.
        x: `[T, B, I]` input, time first.
        start: `(h_0,)` or `(h_0, c_0)`, each `[L·D, B, ·]`; zeros if None.
        lengths: `[B]` steps of each sample, as for packed input.
        masks: what dropout multiplies each lower layer's output by, `[T, B, D·P]`.

    Returns:
        The output `[T, B, D·P]`, the final states `[L·D, B, ·]`, and the states of each site by name (`l0`,
        `l0_reverse`).
    """
    cell = CELLS[kind_of(module) or ""]
    directions = 2 if module.bidirectional else 1
    found: dict[str, Unrolled] = {}
    ends: list[list[Tensor]] = [[] for _ in range(cell.parts)]
    for layer in range(module.num_layers):
        outputs = []
        for d in range(directions):
            suffix = "_reverse" if d else ""
            w = _weights(module, f"l{layer}{suffix}", x.dtype)
            inputs = flip(x, lengths) if d else x
            first = _start(start, cell.parts, layer * directions + d, x, w)
            states, end = _run(cell, inputs, first, w, lengths)
            found[f"l{layer}{suffix}"] = states
            y = torch.stack(states.h_out)
            if lengths is not None:
                inside = torch.arange(len(y)).view(-1, 1, 1) < lengths.view(1, -1, 1)
                y = torch.where(inside, y, 0)
            outputs.append(flip(y, lengths) if d else y)
            for part, final in zip(ends, end, strict=True):
                part.append(final)
        x = torch.cat(outputs, -1)
        if masks is not None and layer + 1 < module.num_layers:
            x = x * masks[layer]
    return x, tuple(torch.stack(part) for part in ends), found


def _weights(module: nn.RNNBase, suffix: str, dtype: torch.dtype) -> Weights:
    names = ["weight_ih", "weight_hh", "bias_ih", "bias_hh", "weight_hr"]
    tensors = [getattr(module, f"{name}_{suffix}", None) for name in names]
    # Copies that require gradients: every state is then part of the graph, from the first step on.
    copies = [None if w is None else w.detach().to(dtype).clone() for w in tensors]
    return Weights(*(None if w is None else w.requires_grad_() for w in copies))  # type: ignore[arg-type]


def _start(given: State | None, parts: int, index: int, x: Tensor, w: Weights) -> State:
    if given is not None:
        return tuple(part[index] for part in given)
    hidden = w.w_hh.shape[0] // (4 if parts == 2 else 1)
    sizes = (w.w_hh.shape[1], hidden)[:parts]
    return tuple(x.new_zeros(x.shape[1], size) for size in sizes)


def _run(
    cell: Cell, x: Tensor, state: State, w: Weights, lengths: Tensor | None
) -> tuple[Unrolled, State]:
    states = Unrolled()
    for t in range(len(x)):
        new = cell.step(x[t], state, w)
        states.h.append(new[0])
        states.h_out.append(new[0].clone())
        on = [new[0].clone()]
        states.h_on.append(on[0])
        if cell.parts == 2:
            states.c.append(new[1])
            states.c_on.append(new[1].clone())
            on.append(states.c_on[-1])
        if lengths is not None:
            inside = (t < lengths).unsqueeze(-1)
            on = [torch.where(inside, fresh, old) for fresh, old in zip(on, state, strict=True)]
        state = tuple(on)
    return states, state


def gradients(loss: Tensor, states: Unrolled) -> dict[str, Tensor]:
    """`dh`, `dc`, `e`, `direct`, each `[T, B, ·]`: what autograd gives for one site."""
    wanted = {"dh": states.h, "direct": states.h_out, "h_on": states.h_on}
    if states.c:
        wanted |= {"dc": states.c, "e": states.c_on}
    found = {}
    for name, tensors in wanted.items():
        grads = torch.autograd.grad(loss, tensors, retain_graph=True, allow_unused=True)
        found[name] = torch.stack(
            [torch.zeros_like(s) if g is None else g for s, g in zip(tensors, grads, strict=True)]
        )
    return found


def credit(loss: Tensor, states: Unrolled, lengths: Tensor | None = None) -> Tensor:
    """The credit curve `[T]` of one site.

    Each anchor's direct gradient through autograd, one anchor and step at a time.
    """
    direct = _entering(loss, states, lengths)
    taus = anchors(bearing(direct.norm(dim=-1)))
    logs: dict[int, list[float]] = {}
    for row in taus:
        for sample, tau in enumerate(row.tolist()):
            if tau >= 0:
                _one_anchor(states, direct[tau, sample], tau, sample, logs)
    curve = torch.full((len(direct),), float("nan"), dtype=torch.float64)
    for lag, values in logs.items():
        curve[lag] = torch.tensor(values, dtype=torch.float64).mean().exp()
    return curve


def _entering(loss: Tensor, states: Unrolled, lengths: Tensor | None) -> Tensor:
    """Direct gradient `[T, B, S]`: from above at every step, and from the final state at each sample's last step."""
    grads = gradients(loss, states)
    entering, batch = grads["direct"].clone(), grads["direct"].shape[1]
    last = torch.full((batch,), len(entering)) if lengths is None else lengths
    rows = torch.arange(batch)
    entering[last - 1, rows] += grads["h_on"][last - 1, rows]
    if not states.c:
        return entering
    in_c = torch.zeros_like(grads["e"])
    in_c[last - 1, rows] = grads["e"][last - 1, rows]
    return torch.cat([entering, in_c], -1)


def _one_anchor(
    states: Unrolled, direct: Tensor, tau: int, sample: int, logs: dict[int, list[float]]
) -> None:
    size = states.h[tau].shape[-1]
    logs.setdefault(0, []).append(0.0)
    for t in range(tau):
        outputs, inputs = [states.h[tau]], [states.h[t]]
        given = [torch.zeros_like(states.h[tau])]
        given[0][sample] = direct[:size]
        if states.c:
            outputs, inputs = [*outputs, states.c_on[tau]], [*inputs, states.c_on[t]]
            given.append(torch.zeros_like(states.c_on[tau]))
            given[1][sample] = direct[size:]
        back = torch.autograd.grad(outputs, inputs, given, retain_graph=True, allow_unused=True)
        norm = sum(float((g[sample] ** 2).sum()) for g in back if g is not None) ** 0.5
        left = norm / float(direct.norm())
        logs.setdefault(tau - t, []).append(math.log(left) if left else -math.inf)
