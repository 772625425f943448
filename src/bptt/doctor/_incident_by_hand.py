"""The first non-finite state of a recurrence that was written by hand: read from the graph below the loss.

What its operations keep for the way back are the states and gates of every step: of all that is not finite, what the
earliest step made. The graph is looked at once in a run, when its first non-finite loss is about to be led back.
"""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor

from bptt._errors import UnmeasurableError
from bptt.doctor._incident import Place, _finite, _saved, _what
from bptt.doctor._incident_in_graph import in_graph
from bptt.flow.by_hand._graph import Graph
from bptt.flow.by_hand._levels import levels
from bptt.flow.by_hand._saved import saved
from bptt.flow.by_hand._states import Chain, chains

RESULT = "_saved_result"
"""What an operation keeps of what it made itself, not of what it was given."""


class Kept(NamedTuple):
    """A tensor that some operation of a loop kept, and the step that made it, from 0; -1 for what came in."""

    step: int
    node: int
    value: Tensor


@torch.no_grad()
def in_loops(root: Any, name: Callable[[Tensor], str]) -> Place | None:
    """The first value of the graph that is not finite, and if a loop by hand made it, the step; None where all are.

    Args:
        root: the loss's node.
        name: what the site is called, by one of its weights.
    """
    place = None if root is None else in_graph(root, name)
    if place is None or place.where == "input":
        return place
    try:
        graph = Graph([root])
    except UnmeasurableError:
        return place
    for group in graph.recurrent():
        try:
            runs = chains(graph, group)
        except UnmeasurableError:
            continue
        weights = sorted(graph.parameters(group), key=lambda each: (each.dim() < 2, -each.numel()))
        for chain in runs:
            found = _in_run(graph, chain, name(weights[0]))
            if found is not None:
                return found
    return place


def _in_run(graph: Graph, chain: Chain, site: str) -> Place | None:
    kept = list(_kept(graph, chain))
    bad = [each for each in kept if not _finite(each.value)]
    if not bad:
        return None
    first = min(bad, key=lambda each: (each.step, each.node))
    if not all(_finite(weight) for weight in graph.parameters(chain.bits)):
        return Place("forward", site, _what(first.value), gate="weights", outside=True)
    if first.step < 0:
        return Place("forward", site, _what(first.value), gate="input", outside=True)
    before = [each.value for each in kept if each.step < first.step]
    finite = [value[value.isfinite()].abs().max() for value in before if value.isfinite().any()]
    sample, unit = _sample_and_unit(first.value, chain)
    return Place(
        where="forward",
        site=site,
        what=_what(first.value),
        step=first.step,
        sample=sample,
        unit=unit,
        share=float((~first.value.isfinite()).double().mean()),
        size=float(max(finite)) if finite else None,
    )


def _kept(graph: Graph, chain: Chain) -> Iterator[Kept]:
    """What the loop's own nodes keep, but for weights."""
    own = {weight.data_ptr() for weight in graph.leaves.values()}
    level = levels(graph, chain.clock)
    for i, node in enumerate(graph.nodes):
        if not level[i]:
            continue
        made = saved(node, RESULT)
        if isinstance(made, Tensor):
            yield Kept(level[i] - 1, i, made)
        under = max((level[edge.node] for edge in graph.edges[i] if edge.node >= 0), default=0)
        for value in _saved(node):
            if value is not made and value.is_floating_point() and value.data_ptr() not in own:
                yield Kept(under - 1, i, value)


def _sample_and_unit(value: Tensor, chain: Chain) -> tuple[int | None, int | None]:
    """Of a matrix, the row and the column of the first number that is not finite; turned where samples are columns."""
    if value.dim() != 2:
        return None, None
    row, column = (int(each) for each in (~value.isfinite()).nonzero()[0])
    return (column, row) if chain.column else (row, column)
