"""A bias that keeps the gates of the memory open."""

import math

import torch
from torch import nn
from torch.optim import Optimizer

from bptt.remedies._change import Change
from bptt.remedies._lines import lines
from bptt.remedies._target import RemedyError, Target, is_number
from bptt.remedies.initialisation._gates import KEEPS, set_biases, why_not

CURES = ("VG101", "VG102")


def fits(target: Target) -> str:
    """A GRU or an LSTM with biases."""
    return target.refusal(why_not)


def forget_bias(
    model: nn.Module, *, optimizer: Optimizer | None = None, site: str = "", value: float = 1.0
) -> Change:
    """Set the bias of the gate that keeps the state: `f` of an LSTM, `z` of a GRU.

    An LSTM hands its cell on as `c_t = f c_{t-1} + …`, torch's GRU its state as `h_t = z h_{t-1} + …`, with the gate
    `σ(W x + W' h + b_ih + b_hh)`. At torch's start the gate stands at 0.5 and a gradient halves every step. A bias `b`
    puts it near `σ(b)`, and the gradient decays over about `1/(1 - σ(b)) = 1 + e^b` steps: 4 for 1, 21 for 3. torch has
    two biases that are added; `bias_ih` is set to `value` and `bias_hh` to 0. All other weights stay.

    Args:
        model: holds the layers; changed in place.
        optimizer: its momentum is kept.
        site: one module or site, `""` for all gated ones.
        value: b.

    Raises:
        RemedyError: no gated layer with biases at the site, or a value that is not finite; nothing was changed.

    Example:
        >>> import bptt
        >>> from bptt.remedies import forget_bias
        >>> model, x = nn.LSTM(2, 16), torch.randn(100, 4, 2)
        >>> def horizon():
        ...     return bptt.measure(model, x, loss=lambda out: out[0][-1].sum())["l0"].horizon
        >>> before = horizon()
        >>> change = forget_bias(model, value=3.0)
        >>> before < 20 and horizon() == 99
        True
        >>> change.undo()
        >>> horizon() == before
        True

    Source: Gers, Schmidhuber & Cummins (2000); Jozefowicz, Zaremba & Sutskever (2015) for the value 1.
    """
    if not is_number(value):
        raise RemedyError(f"value is {value!r}, expected a finite number such as 1.0")
    layers = Target(model, site=site).fitting(why_not)
    with Change("forget_bias", {"value": value}) as change:
        for layer in layers:
            gate = KEEPS[layer.kind]
            before = sum(layer.gate(layer.weight(n).detach(), gate) for n in ("bias_ih", "bias_hh"))
            assert isinstance(before, torch.Tensor)
            set_biases(change, layer, {gate: torch.full_like(before.double(), value)})
            change.said.append(
                f"{layer.site}: bias of gate {gate} {float(before.mean()):.2g} on average -> {value:g}; "
                f"it keeps about {math.tanh(value / 2) / 2 + 0.5:.2f} of the state a step"
            )
        change.lines = lines(forget_bias, change.args, site)
    return change
