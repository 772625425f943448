"""Recurrent matrices that keep lengths."""

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from bptt.remedies._change import Change
from bptt.remedies._lines import lines
from bptt.remedies._target import Layer, RemedyError, Target, is_number

CURES = ("EG201", "NF601", "VG103")


def why_not(layer: Layer) -> str:
    """Why a layer's recurrent weights cannot be written."""
    try:
        weight = layer.weight("weight_hh")
    except RemedyError as reason:
        return str(reason)
    if layer.own and weight.shape[0] % weight.shape[1]:
        return (
            f"its shape is {list(weight.shape)}, expected [H, H], or [G·H, H] with one block a gate"
        )
    return ""


def fits(target: Target) -> str:
    """Any cell has recurrent matrices."""
    return target.refusal(why_not, own=True)


def orthogonal(
    model: nn.Module,
    *,
    optimizer: Optimizer | None = None,
    site: str = "",
    gain: float = 1.0,
    seed: int = 0,
) -> Change:
    """Draw every gate's block of `weight_hh` `[G·H, H]` as a random orthogonal matrix, times `gain`.

    All singular values of a block are then `gain`: `‖Wᵀ v‖ = gain ‖v‖` for every `v`, so with gain 1 the weights of a
    simple RNN neither shrink nor stretch a gradient, and only the activation's slope does. The blocks are drawn one by
    one; an orthogonal stack `[G·H, H]` would leave each gate with singular values below 1. A gated cell's memory goes
    through its gates first: see `forget_bias` and `chrono`. With `proj_size` P a block is `[H, P]`, its columns (or
    rows) orthonormal.

    Args:
        model: holds the layers; changed in place.
        optimizer: its momentum is kept.
        site: one module or site, `""` for all; the weight's name for a recurrence written by hand, `cell.h2h.weight`.
        gain: the singular values, above 0.
        seed: of the draw's own generator: the script's random numbers stay as they are.

    What is lost: the recurrent weights that were there.

    Raises:
        RemedyError: a gain that is not positive; nothing was changed.

    Example:
        >>> from bptt.remedies import orthogonal
        >>> model = nn.GRU(2, 8)
        >>> change = orthogonal(model)
        >>> for block in model.weight_hh_l0.split(8):
        ...     torch.testing.assert_close(block @ block.T, torch.eye(8))

    Source: Saxe, McClelland & Ganguli (2014), arXiv 1312.6120; Henaff, Szlam & LeCun (2016), arXiv 1602.06662.
    """
    if not (is_number(gain) and gain > 0):
        raise RemedyError(f"gain is {gain!r}, expected a positive number")
    layers = Target(model, site=site).fitting(why_not, own=True)
    generator = torch.Generator().manual_seed(seed)
    with Change("orthogonal", {"gain": gain, "seed": seed}) as change:
        for layer in layers:
            weight = layer.weight("weight_hh")
            blocks = weight.detach().split(layer.hidden_size)
            drawn = [draw(block.shape, gain, generator) for block in blocks]
            change.fill(weight, torch.cat(drawn).to(weight))
            many = f"{len(blocks)} blocks, each" if len(blocks) > 1 else "now"
            before = ", ".join(
                f"{float(torch.linalg.matrix_norm(b.double(), 2)):.3g}" for b in blocks
            )
            change.said.append(
                f"{layer.site}: recurrent weights {many} orthogonal; largest singular value {before} -> {gain:g}"
            )
        change.lines = lines(orthogonal, change.args, site)
    return change


def draw(shape: tuple[int, ...], gain: float, generator: torch.Generator) -> Tensor:
    """A random orthogonal matrix times `gain`, in float64: the same numbers on every device and in every precision."""
    return nn.init.orthogonal_(torch.empty(shape, dtype=torch.float64), gain, generator=generator)
