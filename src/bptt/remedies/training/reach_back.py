"""Credit that goes back beyond a chunk: the steps before it are run again."""

from torch import nn
from torch.optim import Optimizer

from bptt.remedies._change import Change
from bptt.remedies._lines import lines
from bptt.remedies._target import RemedyError, Target, is_whole
from bptt.remedies.training._again import Again
from bptt.remedies.training._modules import modules_at

CURES = ("TR402",)


def fits(target: Target) -> str:
    """Recurrent modules, or a module of the user's own that may be given its state."""
    return "" if _modules(target.model, target.site) else "no module in it is given a state"


def reach_back(
    model: nn.Module, *, optimizer: Optimizer | None = None, site: str = "", length: int
) -> Change:
    """Let each backward pass cover `length` steps, in a loop that cuts its sequence into chunks of fewer.

    Truncated backpropagation in its general form, BPTT(h; h'), updates every h' steps and goes back h steps from each.
    A loop that detaches its state every K steps has h = h' = K. With this remedy h' = K stays and h = `length`: where a
    state comes back to a module as the module returned it, only without its gradient, the calls that led to it are made
    again, with the weights as they are now and from the state of `length` steps ago, and the module is given the state
    that they end in, gradient included. So

        ∂L_t/∂W  sums over the last `length` steps in the place of the last K,

    while losses, updates and the loop stay as they are. It takes `length / K` times the recurrence's time and holds
    its activations; `truncation` waits with the updates in its place. What modules read is taken as it was: an
    embedding before them learns from its own chunk. `counts["again"]` tells how many calls were made again.

    A module of the user's own counts if one of its arguments is what it last returned.

    Args:
        model: holds the modules.
        optimizer: has no meaning here.
        site: one recurrent module or site, `""` for all, and for modules of the user's own where there is none.
        length: steps, 2 or more.

    Raises:
        RemedyError: no module that could be meant, or a length below 2; nothing was changed.

    Example:
        >>> import torch
        >>> cell, grads = nn.RNNCell(1, 4), []
        >>> def run():
        ...     h, inputs = torch.zeros(1, 4), torch.ones(6, 1, 1, requires_grad=True)
        ...     for n, x in enumerate(inputs):
        ...         h = cell(x, h.detach() if n % 2 == 0 else h)
        ...     h.sum().backward()
        ...     return [n for n, each in enumerate(inputs.grad) if each.any()]
        >>> run()
        [4, 5]
        >>> change = reach_back(cell, length=6)
        >>> cell.weight_hh.grad = None
        >>> _ = run()
        >>> change.counts["again"]
        6
        >>> change.undo()

    Source: Williams & Peng (1990), "An efficient gradient-based algorithm for on-line training of recurrent network
    trajectories", section 3, where it is BPTT(h; h').
    """
    if not is_whole(length, 2):
        raise RemedyError(f"length is {length!r}, expected a whole number of steps, 2 or more")
    modules = _modules(model, site)
    if not modules:
        raise RemedyError("reach_back does not fit: no module in it is given a state")
    with Change("reach_back", {"length": length}) as change:
        change.counts["again"] = 0
        for module in modules:
            again = Again(length, change.counts)
            change.hook(module.register_forward_pre_hook(again.begins, with_kwargs=True))
            change.hook(module.register_forward_hook(again.ends, with_kwargs=True))
            change.then(again.forget)
        change.said.append(
            f"each backward pass goes back {length} steps: those before a chunk are run again"
        )
        change.lines = lines(reach_back, change.args, site)
    return change


def _modules(model: nn.Module, site: str) -> list[nn.Module]:
    """The recurrent ones at the site; where there is none, those whose forward pass the user wrote."""
    try:
        return modules_at(model, site)
    except RemedyError:
        written = (each for each in model.modules() if not _is_torchs(each))
        return [] if site else list(written)


def _is_torchs(module: nn.Module) -> bool:
    return type(module).__module__.startswith("torch.") or type(module).forward is nn.Module.forward
