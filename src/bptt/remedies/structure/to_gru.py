"""A GRU in a simple RNN's place."""

from torch import nn
from torch.optim import Optimizer

from bptt.remedies._change import Change
from bptt.remedies._lines import lines
from bptt.remedies._target import Target
from bptt.remedies.structure import _gated

CURES = ("VG103", "EG201", "NF601", "SA301", "SA303")


def fits(target: Target) -> str:
    """A simple RNN or a cell of one."""
    return target.refusal(lambda layer: _gated.why_not(layer, "gru"), whole=True)


def to_gru(
    model: nn.Module,
    *,
    optimizer: Optimizer | None = None,
    site: str = "",
    lag: int | None = None,
    seed: int = 0,
) -> Change:
    """Turn a simple RNN into a GRU, in place.

        h_t = (1 - z) n + z h_{t-1},   n = tanh(W x_t + b + r (W' h_{t-1} + b'))

    Kept: the RNN's weights and biases, as those of the candidate `n`. Fresh: the gates `r` and `z`, drawn as torch
    draws them, with the bias of `z` at 3 (95 % of the state stays, a step) or, with `lag`, for spans of 2 to `lag`
    steps as `chrono` has it. Lost: a ReLU. The layer has three times as many parameters.

    The module object stays (its hooks, its place, other references to it), and so does its call: `y, h = rnn(x, h)`.

    Args:
        model: holds the layers; changed in place. A cell is exchanged in a whole module, so a site that is one of its
            layers stands for all of them.
        optimizer: gets the new parameters in the old ones' places; their momentum starts anew.
        site: one module or site, `""` for all simple RNNs.
        lag: the longest dependency of the task, in steps, if it is known.
        seed: of the draw's own generator: the script's random numbers stay as they are.

    Raises:
        RemedyError: nothing at the site fits, or the optimizer is another model's; nothing was changed.

    Example:
        >>> import torch
        >>> from bptt.remedies import to_gru
        >>> model = nn.RNN(2, 4)
        >>> weight = model.weight_hh_l0
        >>> change = to_gru(model)
        >>> type(model).__name__, torch.equal(model.weight_hh_l0[8:], weight)
        ('GRU', True)
        >>> change.undo()
        >>> type(model).__name__, model.weight_hh_l0 is weight
        ('RNN', True)

    Source: Cho et al. (2014), arXiv 1406.1078; Tallec & Ollivier (2018), arXiv 1804.11188, for the biases.
    """
    kept = {kind: {"n": ("h", 1)} for kind in ("rnn_tanh", "rnn_relu")}
    with Change("to_gru", {"lag": lag, "seed": seed}) as change:
        _gated.swap(change, model, optimizer, site, "gru", kept, lag, seed)
        change.lines = lines(to_gru, change.args, site)
    return change
