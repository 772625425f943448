"""Weights drawn anew as their own module draws them."""

import copy
import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd
from torch.nn.utils import parametrize
from torch.optim import Optimizer

from bptt.remedies._change import Change
from bptt.remedies._lines import lines
from bptt.remedies._target import Layer, RemedyError, Target, is_number
from bptt.remedies.initialisation.orthogonal import why_not

CURES = ()
WIDE = 4.0
"""Times the usual size. Orthogonal and identity matrices lie at 1.7, ReLU's gain of 2 on top of that at 3.5."""

LAYERS = (nn.RNNBase, nn.RNNCellBase, nn.Linear, nn.Bilinear, nn.Embedding, _ConvNd)
"""Modules that draw nothing but their own parameters."""


def fits(target: Target) -> str:
    """A recurrent layer that the site names; else any module whose weights are far too wide."""
    if target.site:
        return target.refusal(why_not)
    return "" if any(wide_modules(target.model)) else _nothing(WIDE)


def redraw(
    model: nn.Module,
    *,
    optimizer: Optimizer | None = None,
    site: str = "",
    factor: int | float = WIDE,
    seed: int = 0,
) -> Change:
    """Draw weights as the module's own constructor does: all that are far too wide, or those of a site.

    A layer that reads n values and draws `W ~ U(-1/√n, 1/√n)` gives outputs of order one for inputs of order one.
    `N(0, 1)` instead makes them `√n` times larger: every tanh and every gate stands at its end, logits are tens apart,
    and the slope is nearly zero everywhere. Without a site, each module is drawn anew (`reset_parameters`) that holds a
    matrix whose root mean square is over `factor` times what it would draw, the readout as well as the recurrence. With
    one, that layer is, whatever its size: units that are dead because of the signs of their weights wake up.

    Args:
        model: holds the modules; changed in place.
        optimizer: its momentum is kept.
        site: one recurrent module or site; `""` for all modules, of any kind, that are too wide.
        factor: how much too wide, above 1; has no meaning at a site.
        seed: of the draw; the script's random numbers stay as they are.

    What is lost: the weights that were there.

    Raises:
        RemedyError: nothing is too wide, or a factor that is not above 1; nothing was changed.

    Example:
        >>> from bptt.remedies import redraw
        >>> _ = torch.manual_seed(0)
        >>> model = nn.Sequential(nn.Linear(2, 3), nn.RNN(3, 100))
        >>> for p in model[1].parameters():
        ...     _ = nn.init.normal_(p)
        >>> before = model[0].weight.detach().clone()
        >>> print(redraw(model))
        RNN(3, 100): weights 17 times as wide as it draws them, now drawn anew
        >>> torch.equal(model[0].weight, before), model[1].weight_hh_l0.abs().max().item() <= 0.1
        (True, True)

    Source: LeCun, Bottou, Orr & Müller (1998), "Efficient BackProp", section 4.6.
    """
    if not (is_number(factor) and factor > 1):
        raise RemedyError(f"factor is {factor!r}, expected a number above 1")
    with Change("redraw", {"factor": factor, "seed": seed}) as change:
        if site:
            for layer in Target(model, site=site).fitting(why_not):
                _draw(change, layer.module, seed, layer)
                change.said.append(f"{layer.site}: weights and biases drawn anew")
        else:
            found = list(wide_modules(model, factor))
            if not found:
                raise RemedyError(_nothing(factor))
            for n, (module, times) in enumerate(found):
                _draw(change, module, seed + n)
                change.said.append(
                    f"{module}: weights {times:.0f} times as wide as it draws them, now drawn anew"
                )
        change.lines = lines(redraw, change.args, site)
    return change


def wide_modules(model: nn.Module, factor: int | float = WIDE) -> Iterator[tuple[nn.Module, float]]:
    """Each module with a matrix that is too wide, and by what factor."""
    for module in model.modules():
        own = {name: p for name, p in module._parameters.items() if p is not None and p.dim() > 1}
        if not own or not isinstance(module, LAYERS) or parametrize.is_parametrized(module):
            continue
        fresh = _fresh(module, seed=0)
        times = max(_ratio(p, fresh[name]) for name, p in own.items() if name in fresh)
        if factor < times < math.inf:
            yield module, times


def _fresh(module: nn.Module, seed: int) -> dict[str, Tensor]:
    """What the module would draw for its own parameters, from a random stream of its own."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        other = copy.copy(module)
        other._parameters = {
            name: None if p is None else nn.Parameter(p.detach().cpu().clone(), p.requires_grad)
            for name, p in module._parameters.items()
        }
        if isinstance(other, nn.RNNBase):
            other._flat_weights = list(other._parameters.values())
        other.reset_parameters()  # type: ignore[operator]
    return {name: p.detach() for name, p in other._parameters.items() if p is not None}


def _draw(change: Change, module: nn.Module, seed: int, layer: Layer | None = None) -> None:
    for name, value in _fresh(module, seed).items():
        own = module._parameters[name]
        if own is not None and (layer is None or name.endswith(layer.suffix)):
            change.fill(own, value.to(own))


def _ratio(p: Tensor, fresh: Tensor) -> float:
    """Root mean square over root mean square; infinite for what is drawn as zeros."""
    usual = float(fresh.double().square().mean().sqrt())
    size = float(p.detach().double().square().mean().sqrt())
    return size / usual if usual > 0 else math.inf


def _nothing(factor: int | float) -> str:
    return f"no weights are over {factor:g} times as wide as their module draws them"
