"""Loops of bare weights whose state comes back without its gradient: within one pass, or from the pass before.

A product of a weight with a state that has no graph looks like one with data. It is told from it by the state's values:
they were taken out of the graph (`_detached`), and that graph held the same weight.
"""

from collections.abc import Iterator
from typing import NamedTuple

from torch import Tensor

from bptt.doctor._detached import Cut, Detached, operands
from bptt.flow.by_hand._graph import NONE, PRODUCTS, Graph

FIRST = 512
"""Products that are looked at, at most."""


class Returned(NamedTuple):
    """A weight that met a state it had made itself: how often in this pass, or `carried` from the one before."""

    weight: Tensor
    times: int
    carried: bool
    recurrent: bool
    """Whether there are steps beyond it that hand their gradient on."""


def returned(graph: Graph, taken: Detached, known: set[int]) -> list[Returned]:
    """One entry a weight. `known`: ids of parameters of torch's own recurrent modules.

    A state that was made from none that was taken out in this pass is one that was carried over, as truncated
    backpropagation does; those that were made one from the other, by graphs of one size, are cut at each step or piece.
    Where the graphs grow, the state hands its gradient on all the same, on another way.
    """
    if not taken.now and not taken.before:
        return []
    groups = 0
    for group in graph.recurrent():
        groups |= group
    met: dict[int, list[Cut]] = {}
    for bit, operand in _firsts(graph):
        leaf = graph.leaves[bit]
        cut = None if id(leaf) in known else taken.part_of(operand)
        if cut is not None and id(leaf) in cut.leaves:
            met.setdefault(bit, []).append(cut)
    found = []
    for bit, cuts in met.items():
        times = max(_times(taken, cut) for cut in cuts)
        carried = not times and not any(cut.chained for cut in cuts)
        if times or carried:
            found.append(Returned(graph.leaves[bit], times, carried, bool(bit & groups)))
    return found


def _firsts(graph: Graph) -> Iterator[tuple[int, Tensor]]:
    """Products with a weight that no earlier use of it leads to, and what they multiply it with."""
    count = 0
    for i, name in enumerate(graph.names):
        mine = graph.uses[i]
        if not mine or mine & graph.below[i] or NONE not in graph.edges[i]:
            continue
        if not name.startswith(PRODUCTS) or mine & (mine - 1):
            continue
        for operand in operands(graph.nodes[i]):
            yield mine, operand
        count += 1
        if count >= FIRST:
            return


def _times(taken: Detached, cut: Cut) -> int:
    """How many states of this pass were handed on like this one; 0 where none was made from one of them.

    The one that was taken out last may be the end of the sequence, which no step has read.
    """
    if not any(each is cut for each in taken.now):
        return 0
    alike = taken.like(cut)
    times = len(alike) - (alike[-1] is not cut)
    return times if len(alike) > 1 and any(each.chained for each in alike) else 0
