"""Pulling gradients back through a part of the graph, without the engine and before the user's own backward pass.

The nodes are called as functions, one after the other. So no hook of anyone runs, nothing is accumulated, no saved
tensor is released, and the pass that follows is the one it would have been.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import BackwardCFunction

from bptt._errors import UnmeasurableError
from bptt.flow.by_hand._graph import NONE, Graph, Outlet
from bptt.flow.by_hand._saved import is_packed

Grads = Mapping[Outlet, Tensor]


class Edge(NamedTuple):
    """Where one result of a node goes: an outlet, its shape and type; `outlet` None where it must be zero."""

    outlet: Outlet | None
    shape: torch.Size
    dtype: torch.dtype


class Op(NamedTuple):
    """One node: its function, how many outputs it had, what becomes of its results."""

    node: int
    function: Callable[..., Any]
    outputs: int
    edges: list[Edge | None]


class Program:
    """The nodes between some outlets and others, in the order in which gradients pass them.

    `start` are the outlets where gradients enter, `stop` those where they are caught; what is caught goes no further.
    With `level`, only nodes that depend on the recurrence are passed, and a buffer's earlier content is not.
    """

    def __init__(
        self,
        graph: Graph,
        start: Iterable[Outlet],
        stop: Iterable[Outlet],
        level: list[int] | None = None,
    ) -> None:
        self._graph, self._stop, self._level = graph, frozenset(stop), level
        reached = self._reached([outlet.node for outlet in start if outlet not in self._stop])
        leads = self._leading(reached)
        self._ops = [self._op(i, leads) for i in sorted(leads, reverse=True)]

    def _reached(self, stack: list[int]) -> set[int]:
        seen: set[int] = set()
        while stack:
            i = stack.pop()
            if i not in seen:
                seen.add(i)
                stack += [edge.node for edge in self._open(i) if edge not in self._stop]
        return seen

    def _open(self, i: int) -> set[Outlet]:
        """The inputs of a node that gradients may take."""
        graph, level = self._graph, self._level
        return {
            edge
            for place, edge in enumerate(graph.edges[i])
            if edge.node >= 0
            and not graph.weights[edge.node]
            and (level is None or (level[edge.node] and not graph.history(i, place)))
        }

    def _leading(self, reached: set[int]) -> set[int]:
        leads: set[int] = set()
        for i in sorted(reached):
            if any(edge in self._stop or edge.node in leads for edge in self._open(i)):
                leads.add(i)
        return leads

    def _op(self, i: int, leads: set[int]) -> Op:
        graph, node = self._graph, self._graph.nodes[i]
        open_ = self._open(i)
        edges: list[Edge | None] = []
        for place, edge in enumerate(graph.edges[i]):
            wanted = edge in open_ and (edge in self._stop or edge.node in leads)
            closed = self._level is not None and graph.history(i, place)
            if edge.node < 0 or not (wanted or closed):
                edges.append(None)
                continue
            meta = graph.nodes[edge.node]._input_metadata[edge.nr]
            edges.append(Edge(None if closed else edge, torch.Size(meta.shape), meta.dtype))
        return Op(i, _function(node), len(node._input_metadata), edges)

    def run(self, grads: Grads) -> dict[Outlet, Tensor]:
        """What arrives at the outlets in `stop`, for gradients that enter at those in `start`."""
        held: dict[int, dict[int, Tensor]] = {}
        caught: dict[Outlet, Tensor] = {}
        for outlet, grad in grads.items():
            if outlet == NONE:
                continue
            if outlet in self._stop:
                caught[outlet] = grad
            else:
                held.setdefault(outlet.node, {})[outlet.nr] = grad
        for op in self._ops:
            here = held.pop(op.node, None)
            if here is None:
                continue
            results = op.function(*(here.get(nr) for nr in range(op.outputs)))
            results = results if isinstance(results, tuple) else (results,)
            for edge, grad in zip(op.edges, results, strict=False):
                if edge is not None and grad is not None:
                    _deliver(edge, grad, held, caught, self._stop)
        return caught


def _deliver(
    edge: Edge,
    grad: Tensor,
    held: dict[int, dict[int, Tensor]],
    caught: dict[Outlet, Tensor],
    stop: frozenset[Outlet],
) -> None:
    """Bring a gradient to the shape and type of its tensor, as the engine does, and add it up."""
    if edge.outlet is None:
        if bool(grad.any()):
            raise UnmeasurableError("a step reads more of a buffer than the state written last")
        return
    if grad.shape != edge.shape:
        grad = grad.sum_to_size(edge.shape)
    if grad.dtype != edge.dtype:
        grad = grad.to(edge.dtype)
    if edge.outlet in stop:
        known = caught.get(edge.outlet)
        caught[edge.outlet] = grad if known is None else known + grad
        return
    at = held.setdefault(edge.outlet.node, {})
    known = at.get(edge.outlet.nr)
    at[edge.outlet.nr] = grad if known is None else known + grad


PLAIN = (int, float, bool, str, type(None), torch.dtype, torch.device, torch.Size)


def _function(node: Any) -> Callable[..., Any]:
    """A node as a function that may be called twice.

    A `torch.autograd.Function` of the user's may if it keeps nothing but saved tensors and plain numbers; torch's own
    ones (compiled code, checkpoints, collectives) do more on their way back than to return gradients.
    """
    if is_packed(node):
        raise UnmeasurableError(
            "the script packs what its steps keep, as a checkpoint or save_on_cpu does; to unpack it may run them again"
        )
    if not isinstance(node, BackwardCFunction):
        return node
    made_by = type(node)._forward_cls  # type: ignore[attr-defined]
    if made_by.__module__.split(".")[0] == "torch":
        raise UnmeasurableError(
            f"it runs through torch's {made_by.__name__}, which cannot be run twice"
        )
    if not all(isinstance(value, PLAIN) for value in _flat(vars(node).values())):
        raise UnmeasurableError(
            f"{made_by.__name__} keeps more than saved tensors for its backward, which may not run twice"
        )
    return node.apply


def _flat(values: Iterable[Any]) -> list[Any]:
    found: list[Any] = []
    for value in values:
        found += _flat(value) if isinstance(value, tuple | list) else [value]
    return found
