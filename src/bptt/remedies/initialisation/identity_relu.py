"""The IRNN: a ReLU recurrence that starts as the identity."""

import torch
from torch import nn
from torch.optim import Optimizer

from bptt.remedies._change import Change
from bptt.remedies._lines import lines
from bptt.remedies._target import Layer, RemedyError, Target, is_number

CURES = ("VG103",)


def why_not(layer: Layer) -> str:
    """Why a layer cannot become an IRNN."""
    if not layer.kind.startswith("rnn"):
        return f"its cell is a {layer.kind.upper()}, and an IRNN is a simple RNN; see forget_bias and chrono"
    try:
        for name in (
            "weight_hh",
            "weight_ih",
            *(("bias_ih", "bias_hh") if layer.module.bias else ()),
        ):
            layer.weight(name)
    except RemedyError as reason:
        return str(reason)
    return ""


def fits(target: Target) -> str:
    """A simple RNN, tanh or ReLU."""
    return target.refusal(why_not, whole=True)


def identity_relu(
    model: nn.Module,
    *,
    optimizer: Optimizer | None = None,
    site: str = "",
    std: float = 0.001,
    seed: int = 0,
) -> Change:
    """Make a simple RNN an IRNN: `h_t = max(0, W_hh h_{t-1} + W_ih x_t + b)` with `W_hh = I`, `b = 0`, small `W_ih`.

    A unit that is active then hands its state and its gradient on unchanged, slope 1 and weight 1; one that is not
    hands on nothing, so the starting input weights are small, `W_ih ~ N(0, std²)`. ReLU has no end to saturate at, and
    nothing bounds the states either: learn with a small learning rate and clip (`clip_norm`).

    Args:
        model: holds the layers; changed in place. The activation belongs to a whole module, so a site that is one of
            its layers stands for all of them.
        optimizer: its momentum is kept.
        site: one module or site, `""` for all simple RNNs.
        std: standard deviation of the input weights, above 0.
        seed: of the draw's own generator: the script's random numbers stay as they are.

    What is lost: all weights that were there, and the tanh.

    Raises:
        RemedyError: no simple RNN at the site, or a deviation that is not positive; nothing was changed.

    Example:
        >>> from bptt.remedies import identity_relu
        >>> model = nn.RNN(2, 4)
        >>> change = identity_relu(model)
        >>> model.mode, torch.equal(model.weight_hh_l0, torch.eye(4))
        ('RNN_RELU', True)
        >>> change.undo()
        >>> model.mode
        'RNN_TANH'

    Source: Le, Jaitly & Hinton (2015), arXiv 1504.00941.
    """
    if not (is_number(std) and std > 0):
        raise RemedyError(f"std is {std!r}, expected a positive number such as 0.001")
    layers = Target(model, site=site).fitting(why_not, whole=True)
    generator = torch.Generator().manual_seed(seed)
    with Change("identity_relu", {"std": std, "seed": seed}) as change:
        for layer in layers:
            w_ih = layer.weight("weight_ih")
            drawn = torch.randn(w_ih.shape, dtype=torch.float64, generator=generator)
            change.fill(w_ih, (std * drawn).to(w_ih))
            change.fill(layer.weight("weight_hh"), torch.eye(layer.hidden_size).to(w_ih))
            for name in ("bias_ih", "bias_hh") if layer.module.bias else ():
                change.fill(layer.weight(name), torch.zeros_like(layer.weight(name)))
            use_relu(change, layer)
            was = "" if layer.kind == "rnn_relu" else ", tanh -> ReLU"
            change.said.append(
                f"{layer.site}: recurrent weights -> identity, biases -> 0, input weights -> N(0, {std:g}²){was}"
            )
        change.lines = lines(identity_relu, change.args, site)
    return change


def use_relu(change: Change, layer: Layer) -> None:
    """Switch the activation of the layer's module."""
    change.attribute(layer.module, "nonlinearity", "relu")
    if isinstance(layer.module, nn.RNNBase):
        change.attribute(layer.module, "mode", "RNN_RELU")
