"""The states of a recurrence, found in the graph: the few tensors through which each step hears of all earlier ones.

One parameter of the recurrence is the clock. A node's *level* is the largest number of the clock's uses on any way down
from it, so that everything that step t computed has level t. The tensors of level t that are read at higher levels are
the state after step t. A layer above, which depends on this recurrence but is not a part of it, does not count: only
nodes that some use depends on do.
"""

from dataclasses import dataclass

from bptt._errors import UnmeasurableError
from bptt.flow.by_hand._finder import STEPS, Finder, size_of
from bptt.flow.by_hand._graph import INLETS, NONE, Graph, Outlet
from bptt.flow.by_hand._levels import below_a_use, inputs, levels, readers_of, runs_of

CLOCKS = 6
"""Parameters of one recurrence that are tried as the clock."""


@dataclass
class Chain:
    """One run through a recurrence: the parts of the state after each step, and the levels of all nodes."""

    bits: int
    clock: int
    level: list[int]
    states: list[list[Outlet]]
    """After the last step a part may be `NONE`: nothing reads it."""
    column: bool
    """Whether the weight stands left of the state, so that samples are columns."""

    @property
    def parts(self) -> int:
        """Tensors of one state."""
        return len(self.states[-1])


def chains(graph: Graph, group: int) -> list[Chain]:
    """All runs through the recurrence of a group of parameters; none where it is depth and not time.

    Raises:
        UnmeasurableError: the steps do hear of earlier ones, but not through the same few tensors.
    """
    found: list[Chain] = []
    refused: UnmeasurableError | None = None
    for clock in _clocks(graph, group):
        try:
            here = _with_clock(graph, group, clock)
        except UnmeasurableError as reason:
            refused = refused or reason
            continue
        if here and (not found or _rank(here) < _rank(found)):
            found = here
    if refused is not None and not found:
        raise refused
    return [chain for chain in found if _takes_in(graph, chain)]


def _clocks(graph: Graph, group: int) -> list[int]:
    """Matrices before vectors; of those, the ones that were met first."""
    bits = [bit for bit in graph.leaves if bit & group]
    return sorted(bits, key=lambda bit: graph.leaves[bit].dim() < 2)[:CLOCKS]


def _rank(runs: list[Chain]) -> tuple[int, int]:
    """Fewer parts are better, then more steps."""
    return runs[0].parts, -sum(size_of(run.states) for run in runs)


def _with_clock(graph: Graph, group: int, clock: int) -> list[Chain]:
    level = levels(graph, clock)
    if max(level, default=0) < STEPS:
        return []
    inside = below_a_use(graph, clock, level)
    readers = readers_of(graph, level)
    runs = []
    for run in runs_of(graph, inside, level):
        last = max(level[i] for i in run)
        if last >= STEPS:
            states, column = Finder(graph, clock, level, readers, run, last).states()
            runs.append(Chain(group, clock, level, states, column))
    return runs


def _takes_in(graph: Graph, chain: Chain) -> bool:
    """Whether most steps take in something new. A layer that is only repeated on its own output is depth, not time."""
    fresh = 0
    for before, after in zip(chain.states, chain.states[1:], strict=False):
        stack, seen = [outlet.node for outlet in after if outlet != NONE], set()
        while stack:
            i = stack.pop()
            if i in seen:
                continue
            seen.add(i)
            if _inlet(graph, i, chain.level):
                fresh += 1
                break
            below = inputs(graph, i, chain.level)
            stack += [child.node for child in below if child not in before]
    return 3 * fresh >= 2 * (len(chain.states) - 1)


def _inlet(graph: Graph, i: int, level: list[int]) -> bool:
    edges, name = graph.edges[i], graph.names[i]
    if NONE in edges and name.startswith(INLETS) and not name.startswith("Index"):
        return True
    return any(c >= 0 and not level[c] and not graph.weights[c] for c, _ in edges)
