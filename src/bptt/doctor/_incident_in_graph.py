"""The first non-finite value below a loss, read from its graph alone: where the modules' calls were not looked at.

Updates that take a few milliseconds are looked at whole now and then only. When the loss of one of the others is not
finite, what its operations keep for the way back is all that is left of it: among what is not finite there, what was
kept first is either data, which no operation made, or was made by an operation on finite numbers.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from bptt.doctor._incident import Place, _finite, _what
from bptt.flow.by_hand._saved import all_saved

MOST = 200_000
"""Nodes that are looked at; of a larger graph nothing is said."""
TURNED = ("T", "Transpose", "View", "UnsafeView", "Expand", "Permute", "Unsqueeze", "Squeeze")
"""Operations through which a weight reaches a product without its numbers being changed."""


@torch.no_grad()
def in_graph(root: Any, name: Callable[[Tensor], str]) -> Place | None:
    """The first value that is not finite; None where all are, or the graph is too large.

    Args:
        root: the loss's node.
        name: what the site is called, by one of its weights.
    """
    below: dict[Any, bool] = {}
    stack = [(root, False)]
    while stack:
        node, seen = stack.pop()
        if seen:
            place = _at(node, name)
            if place is not None:
                return place
            continue
        if node in below:
            continue
        below[node] = True
        if len(below) > MOST:
            return None
        stack.append((node, True))
        # The first operand lies on top: what a model reads is looked at before what it is compared with.
        stack += [(child, False) for child, _ in reversed(node.next_functions) if child is not None]
    return None


def _at(node: Any, name: Callable[[Tensor], str]) -> Place | None:
    """What this node keeps, all below it being finite."""
    if node.name().endswith("AccumulateGrad"):
        return None
    bad = {key: value for key, value in _kept(node).items() if not _finite(value)}
    if not bad:
        return None
    what = _what(next(iter(bad.values())))
    weights = [w for child, _ in node.next_functions if (w := _weight(child)) is not None]
    if not all(_finite(weight) for weight in weights):
        broken = next(weight for weight in weights if not _finite(weight))
        return Place("forward", name(broken), what, gate="weights", outside=True)
    made = [child for child, _ in node.next_functions if child is not None]
    # An operand that needs no gradient, beside weights alone: nothing of the model had a hand in it.
    if len(weights) == len(made) < len(node.next_functions) and any(
        not key.startswith("_saved_result") for key in bad
    ):
        return Place("input", "input", what)
    return Place("forward", name(weights[0]) if weights else "loss", what)


def _kept(node: Any) -> dict[str, Tensor]:
    """Numbers that a node keeps for its backward, by name."""
    return {
        key: value
        for key, value in all_saved(node)
        if isinstance(value, Tensor) and value.is_floating_point()
    }


def _weight(node: Any) -> Tensor | None:
    """The parameter that a node hands on as it is; None if it computes something."""
    while node is not None and node.name().rstrip("0123456789").removesuffix("Backward") in TURNED:
        node = next((child for child, _ in node.next_functions if child is not None), None)
    return node.variable if node is not None and node.name().endswith("AccumulateGrad") else None
