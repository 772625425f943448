"""Biases brought back to where gates and units can move."""

from torch import nn
from torch.optim import Optimizer

from bptt.remedies._change import Change
from bptt.remedies._lines import lines
from bptt.remedies._target import Layer, RemedyError, Target, is_number
from bptt.remedies.initialisation._gates import KEEPS

CURES = ("SA302", "SA303")
OPEN = 5.0
"""Up to where a gate that keeps the state may stand open: `σ(5)` remembers for 150 steps, and was meant to."""


def why_not(layer: Layer) -> str:
    """Why a layer has no biases to bound."""
    try:
        for name in ("bias_ih",) if layer.own else ("bias_ih", "bias_hh"):
            layer.weight(name)
    except RemedyError as reason:
        return str(reason)
    return ""


def fits(target: Target) -> str:
    """Any cell with biases."""
    return target.refusal(why_not, own=True)


def bound_bias(
    model: nn.Module, *, optimizer: Optimizer | None = None, site: str = "", limit: float = 1.0
) -> Change:
    """Set biases that hold a unit where it cannot move to 0: beyond `±limit` for a gate, below 0 for a ReLU unit.

    A gate `σ(a)` has the slope `σ(a) (1 - σ(a))`: 0.25 at a bias of 0, 0.2 at ±1, 0.00001 at ±12, where it stands open
    or shut and cannot learn otherwise. A ReLU unit with a bias far below 0 is off for every input, slope 0. torch's two
    biases are added; it is their sum that is bounded, and both go to 0 in the units where it is out of bounds; in the
    others nothing changes. The candidate `n` of a GRU is left alone: its two biases do not simply add up.

    The gate that keeps the state (`f`, torch's `z`) may stand open up to a bias of 5: that was meant, as by
    `forget_bias`. In a recurrence written by hand it is not known what a unit is: what is beyond `±limit` goes to 0,
    where a sigmoid is steepest and a ReLU begins.

    Args:
        model: holds the layers; changed in place.
        optimizer: its momentum is kept.
        site: one module or site, `""` for all with biases; the bias's name in a recurrence written by hand.
        limit: above 0.

    Raises:
        RemedyError: a limit that is not positive, or no biases at the site; nothing was changed.

    Example:
        >>> from bptt.remedies import bound_bias
        >>> model = nn.LSTM(2, 4)
        >>> _ = model.bias_ih_l0.data[:4].fill_(-12)
        >>> change = bound_bias(model)
        >>> (model.bias_ih_l0 + model.bias_hh_l0)[:4].tolist()
        [0.0, 0.0, 0.0, 0.0]

    Source: Jozefowicz, Zaremba & Sutskever (2015) on biases that decide what a gate can learn.
    """
    if not (is_number(limit) and limit > 0):
        raise RemedyError(f"limit is {limit!r}, expected a positive number")
    layers = Target(model, site=site).fitting(why_not, own=True)
    with Change("bound_bias", {"limit": limit}) as change:
        for layer in layers:
            moved = bound(change, layer, limit)
            change.said.append(f"{layer.site}: {moved} biases beyond {limit:g} set to 0")
        change.lines = lines(bound_bias, change.args, site)
    return change


def bound(change: Change, layer: Layer, limit: float) -> int:
    """Set those of one layer that are out of bounds to 0; returns how many."""
    if layer.own:
        bias = layer.weight("bias_ih")
        out = bias.detach().abs() > limit
        change.fill(bias, bias.detach().masked_fill(out, 0.0))
        return int(out.sum())
    b_ih, b_hh = layer.weight("bias_ih"), layer.weight("bias_hh")
    total = (b_ih + b_hh).detach()
    low = 0.0 if layer.kind == "rnn_relu" else -limit
    out = (total < low) | (total > limit)
    if layer.kind == "gru":
        layer.gate(out, "n").fill_(False)
    if layer.kind in KEEPS:
        kept = layer.gate(total, KEEPS[layer.kind])
        layer.gate(out, KEEPS[layer.kind]).copy_((kept < low) | (kept > max(OPEN, limit)))
    change.fill(b_ih, b_ih.detach().masked_fill(out, 0.0))
    change.fill(b_hh, b_hh.detach().masked_fill(out, 0.0))
    return int(out.sum())
