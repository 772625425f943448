"""Layer normalisation inside the recurrence."""

from torch import nn
from torch.optim import Optimizer

import bptt.nn
from bptt.remedies._change import Change
from bptt.remedies._lines import lines
from bptt.remedies._target import Layer, RemedyError, Target, is_number
from bptt.remedies.structure._normalised import LayerNormed, extras
from bptt.remedies.structure._swap import become, by_module, check, writable

CURES = ("SA301", "EG201", "VG101")
PLAIN = (nn.RNN, nn.GRU, nn.LSTM, bptt.nn.RNN, bptt.nn.GRU, bptt.nn.LSTM)


def why_not(layer: Layer) -> str:
    """Why a layer cannot be normalised; `""` if it can."""
    module = layer.module
    if isinstance(module, LayerNormed):
        return "it is normalised already"
    if isinstance(module, nn.RNNCellBase):
        return (
            "it is a single cell, and the loop around it is yours; use an nn.RNN, nn.GRU or nn.LSTM"
        )
    if type(module) not in PLAIN:
        return f"{type(module).__name__} has a forward of its own, which would be lost"
    if layer.parameter("weight_hr") is not None:
        return "it projects its output (proj_size)"
    return writable(layer)


def fits(target: Target) -> str:
    """An nn.RNN, nn.GRU or nn.LSTM without projection."""
    return target.refusal(why_not, whole=True)


def layer_norm(
    model: nn.Module, *, optimizer: Optimizer | None = None, site: str = "", gain: float = 1.0
) -> Change:
    """Normalise a recurrent layer's gate inputs over its units, at every step: `LayerNormed` in its place.

    The inputs of a tanh or a gate then have the same spread at every step, whatever the size of inputs and weights, so
    that they do not saturate; the formulas stand at `LayerNormed`. The Jacobian of the norm scales with `gain / σ`, the
    spread `σ` of the raw inputs: a step's gain on a gradient no longer depends on the size of `W_hh`.

    Kept: all parameters' values; hooks and the module object; calls and returned shapes. Added: gains, and for an LSTM
    the shift of `c`. Lost: fused kernels, so a step costs some five to twenty times as much; and the function: the
    outputs change, so this belongs before training.

    Args:
        model: holds the layers; changed in place. A module is normalised as a whole, so a site that is one of its
            layers stands for all of them.
        optimizer: gets the added parameters in the group of the module's first one; all momentum stays.
        site: one module or site, `""` for all that fit.
        gain: what the gains of the gate inputs start at, above 0.

    Raises:
        RemedyError: nothing at the site fits, or a gain that is not positive; nothing was changed.

    Example:
        >>> import torch
        >>> from bptt.remedies import layer_norm
        >>> model, x = nn.LSTM(2, 4), 100 * torch.randn(9, 3, 2)
        >>> saturated = (model(x)[0].abs() > 0.7).float().mean()
        >>> change = layer_norm(model)
        >>> bool((model(x)[0].abs() > 0.7).float().mean() <= saturated)
        True
        >>> change.undo()
        >>> type(model).__name__
        'LSTM'

    Source: Ba, Kiros & Hinton (2016), arXiv 1607.06450.
    """
    if not (is_number(gain) and gain > 0):
        raise RemedyError(f"gain is {gain!r}, expected a positive number")
    check(model, optimizer)
    layers = Target(model, site=site).fitting(why_not, whole=True)
    with Change("layer_norm", {"gain": gain}) as change:
        for module, own in by_module(layers):
            assert isinstance(module, nn.RNNBase)
            become(change, module, LayerNormed, {}, extras(module, gain), optimizer)
            change.said += [
                f"{layer.site}: gate inputs normalised, gains at {gain:g}" for layer in own
            ]
        change.lines = lines(layer_norm, change.args, site)
    return change
