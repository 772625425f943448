"""Finding the state of a recurrence: in a middle step the narrowest place, in the others what was made likewise.

Between the uses of the clock in two steps there are many places where one could cut the graph. The state is the
narrowest: the fewest tensors that everything from earlier steps has to pass (`_cut`). It is looked for once, in the
middle; in every other step it is what lies the same way up from the clock's use, if that separates the steps too.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch

from bptt._errors import UnmeasurableError
from bptt.flow.by_hand._cut import narrowest
from bptt.flow.by_hand._graph import NONE, Graph, Outlet
from bptt.flow.by_hand._levels import Reader, Rung, inputs

STEPS = 3
"""Uses that must depend on one another before it is called a recurrence."""
PARTS = 4
"""Tensors that a state has at most."""
CROSSING = 16
"""Tensors that are read across the boundary of two steps at most, before the narrowest place is looked for."""

REARRANGING = frozenset({
    "Alias", "Cat", "Clone", "Contiguous", "CopySlices", "Expand", "Permute", "ReshapeAlias", "Select", "Slice",
    "Split", "SplitWithSizes", "Squeeze", "Stack", "T", "ToCopy", "Transpose", "Unbind", "UnsafeSplit",
    "UnsafeSplitWithSizes", "UnsafeView", "Unsqueeze", "View",
})  # fmt: skip
"""Operations that only move their input's numbers about."""


@dataclass
class Finder:
    """Finds the states of one run: `nodes` are its nodes, `last` is its number of steps."""

    graph: Graph
    clock: int
    level: list[int]
    readers: list[list[Reader]]
    nodes: list[int]
    last: int

    def states(self) -> tuple[list[list[Outlet]], bool]:
        """The state after each step, and whether its samples are columns."""
        uses: dict[int, int] = {}
        for i in self.nodes:
            if self.graph.uses[i] & self.clock:
                uses.setdefault(self.level[i], i)
        cuts = self._crossings()
        middle = (self.last + 1) // 2
        best: list[list[Outlet]] = []
        for state in self._places(cuts[middle], cuts[middle - 1], uses[middle + 1]):
            found = self._everywhere(state, middle, uses, cuts)
            best = found if size_of(found) > size_of(best) else best
        if len(best) < max(STEPS - 1, self.last - 2):
            raise UnmeasurableError(
                "what is handed from step to step changes its shape or its operations on the way"
            )
        return best, self._column(middle)

    def _places(self, cut: list[Outlet], below: list[Outlet], use: int) -> Iterator[list[Outlet]]:
        """States that the user may mean, between two cuts of one step: the narrowest ones, from the top down.

        Below a tensor that only the recurrence reads, such as a copy with dropout, lies what the user calls the state.
        """
        narrow = list(dict.fromkeys(map(self._unpacked, cut)))
        if len(narrow) > 1:
            narrow = narrowest(narrow, set(below), lambda o: inputs(self.graph, o.node, self.level))
            narrow = list(dict.fromkeys(map(self._unpacked, narrow)))
        if len(narrow) > PARTS:
            raise UnmeasurableError(f"its state consists of more than {PARTS} tensors")
        narrow = self._in_order(narrow, use)
        yield narrow
        for part, outlet in enumerate(narrow):
            for lower in self._line(outlet)[1:]:
                if lower not in narrow:
                    yield [*narrow[:part], lower, *narrow[part + 1 :]]

    def _everywhere(
        self, state: list[Outlet], middle: int, uses: dict[int, int], cuts: list[list[Outlet]]
    ) -> list[list[Outlet]]:
        """The state after each step that has one: what was made there as this one was made in the middle."""
        climbs = [self._climb(outlet, uses[middle]) for outlet in state]
        found: dict[int, list[Outlet]] = {}
        for t in range(1, self.last + 1):
            here = [
                self._like(outlet, climb, uses[t])
                for climb, outlet in zip(climbs, state, strict=True)
            ]
            if t == self.last:  # what only a further step would have read may not be there
                whole = any(outlet != NONE for outlet in here)
            else:
                whole = NONE not in here and self._separates(here, cuts[t], cuts[t - 1])
            if whole:
                found[t] = here
        first = last = middle
        while first - 1 in found:
            first -= 1
        while last + 1 in found:
            last += 1
        return [found[t] for t in range(first, last + 1)] if middle in found else []

    def _like(self, outlet: Outlet, climb: list[Rung] | None, use: int) -> Outlet:
        """What was made from another step's use as a part of the state was made from its own; `NONE` if nothing was."""
        at = None if climb is None else self._follow(climb, use, outlet.nr)
        return at if at is not None and self._sign(at) == self._sign(outlet) else NONE

    def _separates(self, state: list[Outlet], cut: list[Outlet], below: list[Outlet]) -> bool:
        """Whether every way from one cut down to the next passes the state."""
        stack, seen = [outlet for outlet in cut if outlet not in state], set(state)
        while stack:
            outlet = stack.pop()
            under = inputs(self.graph, outlet.node, self.level)
            if outlet in below or not under:
                return False
            fresh = [each for each in under if each not in seen]
            seen.update(fresh)
            stack += fresh
        return True

    def _crossings(self) -> list[list[Outlet]]:
        """For each step t but the last, the tensors of levels up to t that are read above; none for t = 0."""
        cuts: list[dict[Outlet, None]] = [{} for _ in range(self.last)]
        for i in self.nodes:
            top = self.level[i]
            for edge in inputs(self.graph, i, self.level):
                for t in range(self.level[edge.node], top):
                    cuts[t][edge] = None
                    if len(cuts[t]) > CROSSING:
                        raise UnmeasurableError(
                            "its steps hear of earlier ones through many tensors"
                        )
        return [list(cut) for cut in cuts]

    def _unpacked(self, outlet: Outlet) -> Outlet:
        """Below views, copies and concatenations with an input."""
        while self.graph.names[outlet.node] in REARRANGING:
            below = inputs(self.graph, outlet.node, self.level)
            if len(below) != 1 or self._is_use(outlet):
                break
            outlet = below[0]
        return outlet

    def _is_use(self, outlet: Outlet) -> bool:
        return bool(self.graph.uses[outlet.node] & self.clock)

    def _line(self, outlet: Outlet) -> list[Outlet]:
        """The tensors from which alone this one was computed, within its step."""
        line = [outlet]
        while not self._is_use(line[-1]):
            below = inputs(self.graph, line[-1].node, self.level)
            if len(below) != 1:
                break
            line.append(below[0])
        return line

    def _sign(self, outlet: Outlet) -> tuple[str, int, torch.Size]:
        return self.graph.names[outlet.node], outlet.nr, self.graph.shape(outlet)

    def _in_order(self, cut: list[Outlet], use: int) -> list[Outlet]:
        """The part that the clock's use reads first, then the others, the ones computed last in front."""
        if len(cut) == 1:
            return cut
        line, seen = [use], {use}
        for i in line:
            for child in inputs(self.graph, i, self.level):
                if child in cut:
                    rest = sorted((c for c in cut if c != child), key=lambda c: (-c.node, c.nr))
                    return [child, *rest]
                if child.node not in seen:
                    seen.add(child.node)
                    line.append(child.node)
        return cut

    def _climb(self, outlet: Outlet, use: int) -> list[Rung] | None:
        """The shortest way up from a step's use to its state, within the step."""
        ways: dict[int, list[Rung]] = {use: []}
        line = [use]
        for i in line:
            if i == outlet.node:
                return ways[i]
            for reader, rung in self.readers[i]:
                if reader not in ways and self.level[reader] == self.level[use]:
                    ways[reader] = [*ways[i], rung]
                    line.append(reader)
        return None

    def _follow(self, climb: list[Rung], use: int, nr: int) -> Outlet | None:
        """Where the same way leads from another step's use; None if there is no such way, or several."""
        here = {use}
        for rung in climb:
            readers = [each for i in here for each in self.readers[i]]
            here = {i for i, each in readers if each == rung and self.level[i] == self.level[use]}
        return Outlet(here.pop(), nr) if len(here) == 1 else None

    def _column(self, step: int) -> bool:
        """Whether a matrix product of this step has its weight on the left, and the state on the right."""
        for i in self.nodes:
            if self.level[i] == step and self.graph.names[i].startswith(("Mm", "Addmm")):
                left, right = (edge.node for edge in self.graph.edges[i][-2:])
                if left >= 0 and self.graph.weights[left] and right >= 0 and self.level[right]:
                    return True
        return False


def size_of(states: list[list[Outlet]]) -> int:
    """How many tensors these states consist of."""
    return sum(outlet != NONE for state in states for outlet in state)
