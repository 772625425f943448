"""Biases brought back to where gates and units can move."""

import torch
from torch import nn
from torch.optim import Optimizer

from bptt.remedies._change import Change
from bptt.remedies._lines import lines
from bptt.remedies._target import Layer, RemedyError, Target, is_number

CURES = ("SA302", "SA303")


def why_not(layer: Layer) -> str:
    """Why a layer has no biases to bound."""
    try:
        for name in ("bias_ih", "bias_hh"):
            layer.weight(name)
    except RemedyError as reason:
        return str(reason)
    return ""


def fits(target: Target) -> str:
    """Any cell with biases."""
    return target.refusal(why_not)


def bound_bias(
    model: nn.Module, *, optimizer: Optimizer | None = None, site: str = "", limit: float = 1.0
) -> Change:
    """Clamp each unit's bias, gate by gate, to `[-limit, limit]`; to `[0, limit]` for a ReLU unit.

    A gate `σ(a)` has the slope `σ(a) (1 - σ(a))`: 0.2 at a bias of ±1, 0.00001 at ±12, where it stands open or shut and
    cannot learn otherwise. A ReLU unit with a bias far below 0 is off for every input, slope 0. torch's two biases are
    added; their sum is what is clamped. It goes to `bias_ih`, and `bias_hh` to 0, in the units that are out of bounds;
    in the others nothing changes. The candidate `n` of a GRU is left alone: its two biases do not simply add up.

    A forget gate that was opened on purpose (`forget_bias`, `chrono`) is closed again by a limit below its bias.

    Args:
        model: holds the layers; changed in place.
        optimizer: its momentum is kept.
        site: one module or site, `""` for all with biases.
        limit: above 0.

    Raises:
        RemedyError: a limit that is not positive, or no biases at the site; nothing was changed.

    Example:
        >>> from bptt.remedies import bound_bias
        >>> model = nn.LSTM(2, 4)
        >>> _ = model.bias_ih_l0.data[:4].fill_(-12)
        >>> change = bound_bias(model)
        >>> (model.bias_ih_l0 + model.bias_hh_l0)[:4].tolist()
        [-1.0, -1.0, -1.0, -1.0]

    Source: Jozefowicz, Zaremba & Sutskever (2015) on biases that decide what a gate can learn.
    """
    if not (is_number(limit) and limit > 0):
        raise RemedyError(f"limit is {limit!r}, expected a positive number")
    layers = Target(model, site=site).fitting(why_not)
    with Change("bound_bias", {"limit": limit}) as change:
        for layer in layers:
            moved = bound(change, layer, limit)
            change.said.append(f"{layer.site}: {moved} biases brought within {limit:g}")
        change.lines = lines(bound_bias, change.args, site)
    return change


def bound(change: Change, layer: Layer, limit: float) -> int:
    """Clamp one layer's biases; returns how many were out of bounds."""
    b_ih, b_hh = layer.weight("bias_ih"), layer.weight("bias_hh")
    total = (b_ih + b_hh).detach()
    clamped = total.clamp(0.0 if layer.kind == "rnn_relu" else -limit, limit)
    out = clamped != total
    if layer.kind == "gru":
        layer.gate(out, "n").fill_(False)
    change.fill(b_ih, torch.where(out, clamped, b_ih.detach()))
    change.fill(b_hh, torch.where(out, 0.0, b_hh.detach()))
    return int(out.sum())
