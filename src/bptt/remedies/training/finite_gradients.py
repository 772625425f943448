"""Slopes that are infinite at an edge count as zero there."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from bptt.flow.record._announce import Root, listen, unlisten
from bptt.remedies._change import Change
from bptt.remedies._target import Target

CURES = ("NF602",)

EDGES = (
    "Sqrt", "Rsqrt", "Pow", "Div", "Reciprocal", "Log", "Acos", "Asin", "Acosh", "Atanh", "Atan2", "Norm",
    "LinalgVectorNorm", "Std", "Var", "Cdist", "EuclideanDist", "Prod", "Exp", "Mul", "Where",
)  # fmt: skip
"""Beginnings of the names of the nodes whose slope has an edge, and of those that multiply zero by infinity."""
LIMIT = 20_000
"""Nodes of one pass that are looked at."""


def fits(target: Target) -> str:
    """Any model: the edges are in the graph below the loss."""
    return ""


def finite_gradients(
    model: nn.Module, *, optimizer: Optimizer | None = None, site: str = ""
) -> Change:
    """Let a slope that is not finite be zero where it is born: `∂√u/∂u = 0` at `u = 0`.

    Below the loss, a node such as a root, a power, a logarithm, an arc cosine or a norm may be given a finite gradient
    and hand on one that is not: `0 · ∞` is nan. Its entries that are not finite are set to zero there, before they
    spread; zero is a subgradient of the norm and the one-sided convention for the others. All other entries are those
    of an ordinary pass. `counts["entries"]` tells how many there were.

    What is lost: the term whose slope is infinite does not teach at that point. A small number under the root would
    let it: that is what to write into the script.

    Args:
        model: not looked at; every backward pass of the process is, while this is active.
        optimizer: has no meaning here.
        site: has no meaning here.

    Example:
        >>> x = torch.zeros(2, requires_grad=True)
        >>> change = finite_gradients(nn.Linear(1, 1))
        >>> (x.sqrt() + 3 * x).sum().backward()
        >>> x.grad.tolist(), change.counts["entries"]
        ([3.0, 3.0], 2)
        >>> change.undo()

    Source: PyTorch documentation, autograd mechanics, "gradients for non-differentiable functions".
    """
    with Change("finite_gradients", {}) as change:
        change.counts["entries"] = 0
        edges = _Edges(change.counts)
        _ACTIVE.append(edges)  # who listens is held weakly, and the change need not be kept
        listen(edges.guard)
        change.then(lambda: _ACTIVE.remove(edges))
        change.then(lambda: unlisten(edges.guard))
        change.said.append("slopes that are not finite count as zero where they are born")
        change.lines = (
            "eps = 1e-8  # under the root, in the logarithm, in the norm",
            "y = (u + eps).sqrt()",
        )
    return change


_ACTIVE: list["_Edges"] = []


class _Edges:
    """Hooks the nodes at edges of every pass that begins; the hooks go with the graph."""

    def __init__(self, counts: dict[str, int]) -> None:
        self.counts = counts

    def guard(self, roots: list[Root]) -> Callable[[], None] | None:
        """A pass begins."""
        stack = [root.node for root in roots]
        seen, handles = set(stack), []
        while stack and len(seen) < LIMIT:
            node = stack.pop()
            if node.name().startswith(EDGES):
                handles.append(node.register_hook(self._clean))
            for child, _ in node.next_functions:
                if child is not None and child not in seen:
                    seen.add(child)
                    stack.append(child)

        def over() -> None:
            for handle in handles:
                handle.remove()

        return over

    def _clean(self, inputs: Any, outputs: Any) -> Any:
        """`inputs`: what the node hands on; `outputs`: what it was given. The names are torch's."""
        given = [g for g in outputs if isinstance(g, Tensor)]
        if all(bool(g.isfinite().all()) for g in inputs if isinstance(g, Tensor)):
            return None
        if not all(bool(g.isfinite().all()) for g in given):
            return None  # it came from above: none of this node's making
        return tuple(self._zeroed(g) if isinstance(g, Tensor) else g for g in inputs)

    def _zeroed(self, grad: Tensor) -> Tensor:
        bad = ~grad.isfinite()
        self.counts["entries"] += int(bad.sum())
        return torch.where(bad, torch.zeros_like(grad), grad)
