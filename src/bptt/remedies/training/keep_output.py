"""What a forward pass detaches from its recurrent features stays attached."""

from torch import nn
from torch.optim import Optimizer

from bptt.remedies._change import Change
from bptt.remedies._target import RemedyError, Target
from bptt.remedies.training._attach import Attached, around_forward

CURES = ()  # OP502 where a forward pass detaches its features; its bad model has another cause


def fits(target: Target) -> str:
    """A module that holds recurrent ones and has a forward pass of its own."""
    own = type(target.model).forward is not nn.Module.forward
    if not own or isinstance(target.model, (nn.RNNBase, nn.RNNCellBase)):
        return "the model is the recurrent module itself: what detaches its output is the script's own code"
    try:
        any(True for _ in target.layers())
    except RemedyError as error:
        return str(error)
    return ""


def keep_output(model: nn.Module, *, optimizer: Optimizer | None = None, site: str = "") -> Change:
    """Undo every `detach()` and `.data` in the model's forward pass: `∂L/∂h` reaches the recurrence.

    With `y = g(stop(h))` the recurrent weights have `∂L/∂W_hh = 0` for ever. Inside the forward pass, in training,
    a tensor that requires a gradient is then handed on as it is. It is meant for a recurrence that gets no gradient
    at all: a model that detaches on purpose, for a straight-through estimator or a target, is changed as well.

    Args:
        model: whose forward pass it is.
        optimizer: has no meaning here.
        site: a recurrent module of it; all of the forward pass is treated.

    Example:
        >>> import torch
        >>> class Cut(nn.Module):
        ...     def __init__(self):
        ...         super().__init__()
        ...         self.rnn, self.out = nn.RNN(1, 2), nn.Linear(2, 1)
        ...     def forward(self, x):
        ...         return self.out(self.rnn(x)[0].detach())
        >>> model = Cut()
        >>> change = keep_output(model)
        >>> model(torch.ones(3, 1)).sum().backward()
        >>> change.undo(); model.rnn.weight_hh_l0.grad is not None
        True

    Source: PyTorch documentation, torch.Tensor.detach.
    """
    with Change("keep_output", {}) as change:
        around_forward(change, model, _attached)
        change.said.append(
            "detach() and .data in the model's forward pass let the gradient through"
        )
        change.lines = ("features, _ = self.rnn(x)", "return self.head(features)  # no detach()")
    return change


def _attached() -> Attached:
    """For one pass: every line of it."""
    return Attached(_anywhere)


def _anywhere(place: tuple[str, int]) -> bool:
    return True
