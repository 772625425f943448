"""What the loss says of the axes: how many rows it reads, and along which axis targets are the inputs moved by one.

Read off the first nodes of the graph below a loss, when its backward pass begins; a dozen nodes, no numbers but for
the targets that a loss saved, which are compared with the inputs once.
"""

import math
from typing import Any, NamedTuple

from torch import Tensor

from bptt.flow.by_hand._saved import saved

NODES = 24
"""Nodes below the loss that are looked at."""
SAME = 0.95
"""Share of equal entries from which on targets are taken for moved inputs."""


class Axes(NamedTuple):
    """What is known of one backward pass.

    Attributes:
        rows: rows of the targets, None if the loss saved none, or several of different shapes.
        row_size: numbers in one row.
        shifted: sizes of the two leading axes of the inputs, the one along which they are moved first.
    """

    rows: int | None = None
    row_size: int = 1
    shifted: tuple[int, int] | None = None


NOTHING = Axes()


def axes(root: Any, inputs: list[Tensor]) -> Axes:
    """Rows of the loss, and the axis along which the next input is the target.

    Args:
        root: the loss's node.
        inputs: what the first layers were given in this update: token ids, or series.

    Example:
        >>> import torch
        >>> p = torch.zeros(5, 3, requires_grad=True)
        >>> axes(torch.nn.functional.cross_entropy(p, torch.zeros(5, dtype=torch.long)).grad_fn, []).rows
        5
    """
    found = targets(root)
    shapes = {tuple(target.shape) for target in found if target.dim()}
    shape = shapes.pop() if len(shapes) == 1 else ()
    shifted = next((s for x in inputs[:4] for y in found[:4] if (s := _shift(x, y))), None)
    return Axes(shape[0] if shape else None, math.prod(shape[1:]), shifted)


def targets(root: Any) -> list[Tensor]:
    """The targets that loss functions saved, and the differences from them where the loss is written out."""
    found: list[Tensor] = []
    queue = [] if root is None else [root]
    for node in queue:
        name = node.name()
        for field in ("_saved_target", "_saved_self"):
            if field == "_saved_self" and not name.startswith(("Pow", "Abs")):
                continue
            kept = saved(node, field)
            if isinstance(kept, Tensor):
                found.append(kept.detach())
        # Below what reads a target lies the model; several losses may be added up.
        if not found and len(queue) < NODES:
            queue += [child for child, _ in node.next_functions if child is not None]
    return found


def _shift(x: Tensor, y: Tensor) -> tuple[int, int] | None:
    """`(size of the axis along which y is the next x, size of the other)`; None if it is neither, or both."""
    if x.dim() < 2 or x.shape[0] == x.shape[1] or min(x.shape[:2]) < 2:
        return None
    first, second = x.shape[:2]
    if x.dim() == 3 and x.shape[2] > 1:
        if y.shape != x.shape:
            return None
    elif math.prod(x.shape) == y.numel():
        x, y = x.reshape(first, second), y.reshape(first, second)
    else:
        return None
    if bool((x == x.flatten()[0]).all()):
        return None
    down = float((x[1:] == y[:-1]).double().mean()) >= SAME
    along = float((x[:, 1:] == y[:, :-1]).double().mean()) >= SAME
    if down == along:
        return None
    return (first, second) if down else (second, first)
