"""Longer chunks for truncated backpropagation, without a change to the loop."""

from torch import nn
from torch.optim import LBFGS, Optimizer

from bptt.remedies._change import Change
from bptt.remedies._lines import lines
from bptt.remedies._target import Layer, RemedyError, Target, is_whole
from bptt.remedies.structure._stretch import Stretch
from bptt.remedies.structure._swap import by_module, check

CURES = ("TR402",)


def fits(target: Target) -> str:
    """A model with recurrent layers, trained by an optimizer whose steps can wait."""
    reason = target.refusal(_any)
    if not reason and not target.optimizers:
        return "its updates have to wait, so it needs the optimizer: truncation(model, optimizer=…, length=…)"
    return reason or next(filter(None, map(_why_not, target.optimizers)), "")


def _any(layer: Layer) -> str:
    return ""


def _why_not(optimizer: Optimizer) -> str:
    return "LBFGS runs backward passes inside its step" if isinstance(optimizer, LBFGS) else ""


def truncation(
    model: nn.Module, *, optimizer: Optimizer | None = None, site: str = "", length: int
) -> Change:
    """Let one backward pass cover at least `length` steps, in a loop that cuts its sequence into shorter chunks.

    A loop of truncated backpropagation carries the state from chunk to chunk, detached, and runs `loss.backward()` and
    `optimizer.step()` for each. While this remedy is in place, for chunks of K steps and `n = ⌈length / K⌉`:

    - a state that comes back to the layer as the layer returned it, only without its gradient, gets its gradient again;
    - `loss.backward()` waits until n chunks are there, then runs for all n losses at once (their gradients add up, as
      they do for one chunk of n K steps whose loss is the sum);
    - `optimizer.step()` waits for it.

    So there is one update where there were n, and credit goes back up to n K steps. At the next pass's first chunk the
    state is cut. Activations of n chunks are held: n times the memory. It begins where a state is first seen to come
    back; a loop that carries none is left as it is, and so are losses of other models, passes with `retain_graph`,
    `create_graph` or `inputs`, and evaluation without gradients.

    `propose_length` gives a length for a measured site.

    What it does not do: a loop that clips or scales gradients between `backward` and `step` finds them empty while they
    wait, so `GradScaler` cannot be used with it. Chunks that still wait when training ends, or when it is undone, are
    dropped. Where you can, lengthen the chunks in the script instead: that is the same thing, without the waiting.

    Args:
        model: holds the layers.
        optimizer: trains it; its `step` waits.
        site: one module or site, `""` for all.
        length: steps, 2 or more.

    Raises:
        RemedyError: no optimizer, or one whose step runs the passes itself (LBFGS), or a length below 2.

    Example:
        >>> import torch
        >>> from bptt.remedies import truncation
        >>> model = nn.GRU(1, 4)
        >>> optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        >>> change = truncation(model, optimizer=optimizer, length=30)
        >>> h = None
        >>> for chunk in torch.randn(12, 10, 2, 1):
        ...     y, h = model(chunk, h)
        ...     h = h.detach()
        ...     optimizer.zero_grad()
        ...     y.square().mean().backward()
        ...     optimizer.step()
        >>> change.counts
        {'passes': 3, 'put_off': 8}
        >>> change.undo()

    Source: Williams & Peng (1990); Tallec & Ollivier (2017), arXiv 1705.08209, on the bias of truncation.
    """
    if not is_whole(length, 2):
        raise RemedyError(f"length is {length!r}, expected a whole number of steps, 2 or more")
    if optimizer is None:
        raise RemedyError("truncation needs the optimizer, whose steps have to wait")
    check(model, optimizer)
    if reason := _why_not(optimizer):
        raise RemedyError(f"truncation does not fit: {reason}")
    layers = Target(model, site=site).fitting(_any, whole=True)
    with Change("truncation", {"length": length}) as change:
        modules = [module for module, _ in by_module(layers)]
        Stretch(modules, length, change.counts).install(change, optimizer)
        change.said.append(
            f"{', '.join(layer.site for layer in layers)}: one backward pass and one update for at least {length} "
            "steps; the state keeps its gradient between the chunks of a pass"
        )
        change.lines = lines(truncation, change.args, site, first="model, optimizer=optimizer")
    return change
