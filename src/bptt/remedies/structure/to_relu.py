"""ReLU in the place of tanh, with a recurrence that fits it."""

import math

import torch
from torch import nn
from torch.optim import Optimizer

from bptt.remedies._change import Change
from bptt.remedies._lines import lines
from bptt.remedies._target import Layer, Target
from bptt.remedies.initialisation.identity_relu import use_relu
from bptt.remedies.initialisation.orthogonal import draw
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


def to_relu(
    model: nn.Module, *, optimizer: Optimizer | None = None, site: str = "", seed: int = 0
) -> Change:
    """Switch a simple RNN from tanh to ReLU: `h_t = max(0, W_hh h_{t-1} + W_ih x_t + b)`.

    A tanh's slope is below 1 wherever its unit is not at 0; a ReLU's is 1 or 0. With signed inputs about half the units
    are on, so half of a gradient's square is lost at every step, and an orthogonal `W_hh` times `√2` makes up for it:
    `E‖J_tᵀ v‖² = ‖v‖²`. The recurrent matrix is drawn so, and the biases are set to 0.

    Kept: the input weights. Lost: the recurrent weights and biases, and tanh's bounds: states can now grow, so clip
    (`clip_norm`). `identity_relu` is the other way to start a ReLU recurrence.

    Args:
        model: holds the layers; changed in place. The activation belongs to a whole module, so a site that is one of
            its layers stands for all of them.
        optimizer: its momentum is kept.
        site: one module or site, `""` for all tanh RNNs.
        seed: of the draw's own generator: the script's random numbers stay as they are.

    Raises:
        RemedyError: no tanh RNN at the site; nothing was changed.

    Example:
        >>> from bptt.remedies import to_relu
        >>> model = nn.RNN(2, 4)
        >>> change = to_relu(model)
        >>> model.mode, (model.weight_hh_l0 @ model.weight_hh_l0.T).diagonal().detach().round()
        ('RNN_RELU', tensor([2., 2., 2., 2.]))
        >>> change.undo()
        >>> model.mode
        'RNN_TANH'

    Source: He et al. (2015), arXiv 1502.01852, for the factor; Le, Jaitly & Hinton (2015), arXiv 1504.00941.
    """
    check(model, optimizer)
    layers = Target(model, site=site).fitting(why_not, whole=True)
    generator = torch.Generator().manual_seed(seed)
    with Change("to_relu", {"seed": seed}) as change:
        for layer in layers:
            w_hh = layer.weight("weight_hh")
            change.fill(w_hh, draw(w_hh.shape, math.sqrt(2), generator).to(w_hh))
            for name in ("bias_ih", "bias_hh") if layer.module.bias else ():
                change.fill(layer.weight(name), torch.zeros_like(layer.weight(name)))
            use_relu(change, layer)
            change.said.append(
                f"{layer.site}: tanh -> ReLU; recurrent weights -> orthogonal times 1.41, biases -> 0; "
                "input weights kept"
            )
        change.lines = lines(to_relu, change.args, site)
    return change
