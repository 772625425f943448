"""ReLU in the place of tanh, with a recurrence that fits it."""

import torch
from torch import nn
from torch.optim import Optimizer

from bptt.remedies._change import Change
from bptt.remedies._lines import lines
from bptt.remedies._target import Layer, Target
from bptt.remedies.initialisation.identity_relu import use_relu
from bptt.remedies.structure._swap import check, writable

CURES = ("VG103",)


def why_not(layer: Layer) -> str:
    """Why a layer has no tanh to replace."""
    if layer.kind == "rnn_relu":
        return "it is a ReLU RNN already; see identity_relu"
    if layer.kind != "rnn_tanh":
        return f"its cell is a {layer.kind.upper()}, whose activations are not to choose"
    return writable(layer)


def fits(target: Target) -> str:
    """A simple RNN with tanh."""
    return target.refusal(why_not, whole=True)


def to_relu(model: nn.Module, *, optimizer: Optimizer | None = None, site: str = "") -> Change:
    """Switch a simple RNN from tanh to ReLU: `h_t = max(0, W_hh h_{t-1} + W_ih x_t + b)`.

    A tanh's slope is below 1 wherever its unit is not at 0; a ReLU's is 1 or 0. With `W_hh = I` and `b = 0`, as it
    starts here, a step hands a gradient on unchanged through every unit that is on, and never makes it larger. An
    orthogonal matrix times `√2` keeps its length on average, too, but as a product of random factors: over 784 steps,
    four draws left between 1e-4 and 1e51 of it.

    Kept: the input weights, other than in `identity_relu`, which draws them small. Lost: the recurrent weights and
    biases, and tanh's bounds: states can now grow, so clip (`clip_norm`).

    Args:
        model: holds the layers; changed in place. The activation belongs to a whole module, so a site that is one of
            its layers stands for all of them.
        optimizer: its momentum is kept.
        site: one module or site, `""` for all tanh RNNs.

    Raises:
        RemedyError: no tanh RNN at the site; nothing was changed.

    Example:
        >>> from bptt.remedies import to_relu
        >>> model = nn.RNN(2, 4)
        >>> change = to_relu(model)
        >>> model.mode, torch.equal(model.weight_hh_l0, torch.eye(4))
        ('RNN_RELU', True)
        >>> change.undo()
        >>> model.mode
        'RNN_TANH'

    Source: Le, Jaitly & Hinton (2015), arXiv 1504.00941.
    """
    check(model, optimizer)
    layers = Target(model, site=site).fitting(why_not, whole=True)
    with Change("to_relu", {}) as change:
        for layer in layers:
            w_hh = layer.weight("weight_hh")
            change.fill(w_hh, torch.eye(layer.hidden_size).to(w_hh))
            for name in ("bias_ih", "bias_hh") if layer.module.bias else ():
                change.fill(layer.weight(name), torch.zeros_like(layer.weight(name)))
            use_relu(change, layer)
            change.said.append(
                f"{layer.site}: tanh -> ReLU; recurrent weights -> identity, biases -> 0; "
                "input weights kept"
            )
        change.lines = lines(to_relu, change.args, site)
    return change
