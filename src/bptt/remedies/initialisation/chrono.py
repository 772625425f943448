"""Gate biases drawn for a range of memory spans."""

import torch
from torch import nn
from torch.optim import Optimizer

from bptt.remedies._change import Change
from bptt.remedies._lines import lines
from bptt.remedies._target import RemedyError, Target
from bptt.remedies.initialisation._gates import KEEPS, set_biases, why_not

CURES = ("VG101", "VG102", "SA302")


def fits(target: Target) -> str:
    """A GRU or an LSTM with biases."""
    return target.refusal(why_not)


def chrono(
    model: nn.Module,
    *,
    optimizer: Optimizer | None = None,
    site: str = "",
    lag: int,
    seed: int = 0,
) -> Change:
    """Draw the gates' biases so that the units remember over spans from 2 steps to `lag`.

    A gate at `f` keeps a state for about `1/(1 - f)` steps, and `f = σ(b)` with `b = log u` makes that `1 + u`. So

        u ~ U[1, lag - 1],   LSTM: b_f = log u, b_i = -b_f,   GRU: b_z = log u,

    unit by unit. An LSTM then writes as slowly as it forgets. torch's GRU keeps `h` with `z` (papers often write
    `1 - z` there), hence the plus sign; it couples writing to keeping by itself. `bias_ih` gets the draw, `bias_hh` 0;
    the other gates' biases and all weights stay.

    Args:
        model: holds the layers; changed in place.
        optimizer: its momentum is kept.
        site: one module or site, `""` for all gated ones.
        lag: the longest dependency of the task, in steps; from 2 on.
        seed: of the draw's own generator: the script's random numbers stay as they are.

    Raises:
        RemedyError: no gated layer with biases at the site, or a lag below 2; nothing was changed.

    Example:
        >>> from bptt.remedies import chrono
        >>> model = nn.GRU(2, 8)
        >>> change = chrono(model, lag=100)
        >>> spans = 1 + model.bias_ih_l0[8:16].exp()
        >>> bool(spans.min() >= 2) and bool(spans.max() <= 100)
        True

    Source: Tallec & Ollivier (2018), "Can recurrent neural networks warp time?", arXiv 1804.11188, section 3.
    """
    if isinstance(lag, bool) or not isinstance(lag, int) or lag < 2:
        raise RemedyError(f"lag is {lag!r}, expected a whole number of steps, 2 or more")
    layers = Target(model, site=site).fitting(why_not)
    generator = torch.Generator().manual_seed(seed)
    with Change("chrono", {"lag": lag, "seed": seed}) as change:
        for layer in layers:
            # Drawn on the CPU in float64: the same numbers on every device and in every precision.
            u = torch.rand(layer.hidden_size, dtype=torch.float64, generator=generator)
            keep = (1 + u * (lag - 2)).log()
            values = {KEEPS[layer.kind]: keep}
            if layer.kind == "lstm":
                values["i"] = -keep
            set_biases(change, layer, values)
            change.said.append(
                f"{layer.site}: {' and '.join(f'b_{gate}' for gate in values)} drawn for memory spans of 2 to {lag} "
                f"steps; the median is {float(1 + keep.median().exp()):.0f}"
            )
        change.lines = lines(chrono, change.args, site)
    return change
