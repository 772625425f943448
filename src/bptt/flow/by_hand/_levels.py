"""Which step each node of the graph belongs to, and which nodes form a run through a recurrence.

One parameter is the clock. A node's *level* is the largest number of the clock's uses on any way down from it, so that
everything that step t computed has level t; what does not depend on the recurrence has level 0.
"""

from collections.abc import Iterable

from bptt.flow.by_hand._graph import Graph, Outlet

Rung = tuple[str, int, int]
"""One node up: its name, which output of the node below it reads, and as which of its inputs."""
Reader = tuple[int, Rung]


def levels(graph: Graph, clock: int) -> list[int]:
    level = [0] * len(graph.nodes)
    for i, edges in enumerate(graph.edges):
        if not graph.weights[i]:
            most = 0
            for place, (child, _) in enumerate(edges):
                if child >= 0 and level[child] > most and not graph.history(i, place):
                    most = level[child]
            level[i] = most + (graph.uses[i] & clock > 0)
    return level


def below_a_use(graph: Graph, clock: int, level: list[int]) -> list[bool]:
    inside = [False] * len(graph.nodes)
    for i in reversed(range(len(inside))):
        inside[i] = inside[i] or bool(graph.uses[i] & clock)
        if inside[i]:
            for child in inputs(graph, i, level):
                inside[child.node] = True
    return inside


def inputs(graph: Graph, i: int, level: list[int]) -> list[Outlet]:
    """The distinct inputs of a node that depend on the recurrence."""
    edges = graph.edges[i]
    return list(
        dict.fromkeys(
            edge
            for place, edge in enumerate(edges)
            if edge.node >= 0 and level[edge.node] and not graph.history(i, place)
        )
    )


def readers_of(graph: Graph, level: list[int]) -> list[list[Reader]]:
    """For each node that depends on the recurrence, who reads which of its outputs, and as which input."""
    readers: list[list[Reader]] = [[] for _ in graph.nodes]
    for i, edges in enumerate(graph.edges):
        if level[i]:
            for place, (child, nr) in enumerate(edges):
                if child >= 0 and level[child]:
                    readers[child].append((i, (graph.names[i], nr, place)))
    return readers


def runs_of(graph: Graph, inside: list[bool], level: list[int]) -> Iterable[list[int]]:
    """Nodes of the recurrence, divided where no edge joins them: one list for each run through it."""
    leader = list(range(len(inside)))

    def find(i: int) -> int:
        while leader[i] != i:
            leader[i] = leader[leader[i]]
            i = leader[i]
        return i

    members = [i for i, yes in enumerate(inside) if yes and level[i]]
    for i in members:
        for child in inputs(graph, i, level):
            leader[find(child.node)] = find(i)
    runs: dict[int, list[int]] = {}
    for i in members:
        runs.setdefault(find(i), []).append(i)
    return runs.values()
