"""Rescaling of recurrent matrices to a spectral radius."""

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from bptt.remedies._change import Change
from bptt.remedies._lines import lines
from bptt.remedies._target import Layer, RemedyError, Target, is_number
from bptt.remedies.initialisation.orthogonal import why_not

CURES = ("EG201", "NF601", "VG103")


def fits(target: Target) -> str:
    """Any cell has recurrent matrices."""
    return target.refusal(why_not, own=True)


def spectral_radius(
    model: nn.Module, *, optimizer: Optimizer | None = None, site: str = "", radius: float = 1.0
) -> Change:
    """Scale every gate's block of `weight_hh` `[G·H, H]` to the given largest modulus of its eigenvalues.

    `W ← W · radius / ρ(W)`, gate by gate. A gradient that decays or grows with `ρ(W)^k` over `k` steps then keeps the
    pace that is asked for; direction and ratios of the eigenvalues stay. Blocks without an eigenvalue other than zero
    are left alone. Where an LSTM projects its output (`proj_size`), `W` is a block times `weight_hr`, `[H, H]`.

    Args:
        model: holds the layers; changed in place.
        optimizer: its momentum is kept.
        site: one module or site, `""` for all; the weight's name for a recurrence written by hand, `cell.h2h.weight`.
        radius: the modulus to have, above 0.

    Raises:
        RemedyError: a radius that is not positive; nothing was changed.

    Example:
        >>> import bptt
        >>> model = nn.RNN(2, 8)
        >>> change = spectral_radius(model, radius=0.9)
        >>> round(torch.linalg.eigvals(model.weight_hh_l0).abs().max().item(), 4)
        0.9
        >>> change.undo()

    Source: Pascanu, Mikolov & Bengio (2013), section 2.1; Jaeger (2001) for the rescaling.
    """
    if not (is_number(radius) and radius > 0):
        raise RemedyError(f"radius is {radius!r}, expected a positive number")
    layers = Target(model, site=site).fitting(why_not, own=True)
    with Change("spectral_radius", {"radius": radius}) as change:
        for layer in layers:
            weight = layer.weight("weight_hh")
            blocks = weight.detach().split(layer.hidden_size)
            radii = [radius_of(layer, block) for block in blocks]
            scaled = [b * (radius / r) if r > 0 else b for b, r in zip(blocks, radii, strict=True)]
            change.fill(weight, torch.cat(scaled))
            before = ", ".join(f"{r:.3g}" for r in radii)
            change.said.append(f"{layer.site}: spectral radius {before} -> {radius:g}")
        change.lines = lines(spectral_radius, change.args, site)
    return change


def radius_of(layer: Layer, block: Tensor) -> float:
    """The largest modulus of a block's eigenvalues, as it acts from state to state."""
    projection = layer.parameter("weight_hr")
    matrix = block.double() if projection is None else block.double() @ projection.detach().double()
    return float(torch.linalg.eigvals(matrix).abs().max())
