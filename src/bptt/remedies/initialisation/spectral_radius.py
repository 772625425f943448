"""Rescaling of recurrent matrices to a spectral radius."""

import torch
from torch import nn
from torch.optim import Optimizer

from bptt.remedies._change import Change
from bptt.remedies._target import RemedyError, Target

CURES = ("EG201", "NF601")


def fits(target: Target) -> str:
    """Any cell has recurrent matrices."""
    return "" if any(True for _ in target.layers()) else "there is no recurrent layer"


def spectral_radius(
    model: nn.Module, *, optimizer: Optimizer | None = None, site: str = "", radius: float = 1.0
) -> Change:
    """Scale every gate's block of `weight_hh` `[G·H, H]` to the given largest modulus of its eigenvalues.

    `W ← W · radius / ρ(W)`, gate by gate. A gradient that decays or grows with `ρ(W)^k` over `k` steps then keeps the
    pace that is asked for; direction and ratios of the eigenvalues stay. Blocks without an eigenvalue other than zero
    are left alone.

    Args:
        model: holds the layers; changed in place.
        optimizer: its momentum is kept.
        site: one module or site, `""` for all.
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
    if not 0 < radius < float("inf"):
        raise RemedyError(f"radius is {radius}, expected a positive number")
    with Change("spectral_radius", {"radius": radius}) as change:
        for layer in Target(model, site=site).layers():
            weight = layer.parameter("weight_hh")
            assert weight is not None
            blocks = weight.detach().split(layer.hidden_size)
            radii = [float(torch.linalg.eigvals(block.double()).abs().max()) for block in blocks]
            scaled = [b * (radius / r) if r > 0 else b for b, r in zip(blocks, radii, strict=True)]
            change.fill(weight, torch.cat(scaled))
            before = ", ".join(f"{r:.3g}" for r in radii)
            change.said.append(f"{layer.site}: spectral radius {before} -> {radius:g}")
        where = f", site={site!r}" if site else ""
        change.lines = (
            "from bptt.remedies import spectral_radius",
            f"spectral_radius(model, radius={radius:g}{where})",
        )
    return change
