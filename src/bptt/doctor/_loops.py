"""Recurrences written by hand, as rules need them: who owns their weights, whether they move, where their state begins.

Probes measure such recurrences; this file says what a probe does not look at. The graph below the loss is read at the
first passes of a run only, whatever the budget is: weights do not change their owner, nor loops their form.
"""

import weakref
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from bptt._errors import UnmeasurableError
from bptt.doctor._cut_loops import Returned, returned
from bptt.doctor._detached import Detached
from bptt.doctor._fixed import fixed
from bptt.flow.by_hand._graph import PRODUCTS, Graph
from bptt.flow.by_hand._saved import saved
from bptt.flow.by_hand._sites import variable
from bptt.flow.record._alive import alive
from bptt.flow.record._names import Names
from bptt.rules import Weights

PASSES = 3
"""Backward passes of a run whose graphs are read."""
ENTRIES = 4096
"""Of a weight, that are compared with what they were."""


class Loop:
    """The weights of one recurrence, held weakly, and a sample of what they were when first seen."""

    def __init__(self, weights: list[Tensor], trains: bool) -> None:
        self.weak = [weakref.ref(weight) for weight in weights]
        self.key = frozenset(map(id, weights))
        self.trains = trains
        self.facts = Weights(site="", trains=trains)
        self._before = [_sample(weight).clone() for weight in weights]

    @property
    def weights(self) -> list[Tensor]:
        return [weight for weak in self.weak if (weight := weak()) is not None]

    def update(self, owned: set[int], others_move: bool) -> None:
        """An update is over; `owned`: ids of what the optimizers that stepped own."""
        facts, mine = self.facts, self.weights
        if len(mine) < len(self.weak):
            return
        facts.steps += 1
        facts.owned = facts.owned or any(id(weight) in owned for weight in mine)
        facts.with_grad += any(w.grad is not None and bool(w.grad.any()) for w in mine)
        facts.other_moved += others_move
        if facts.moved:
            facts.moved += 1  # as for torch's modules, it counts updates: what came after a repair is told by it
        else:
            moved = (bool((_sample(w) != b).any()) for w, b in zip(mine, self._before, strict=True))
            facts.moved += any(moved)


class Loops:
    """All of a run; of a model that is given, those with parameters of other models are left out."""

    def __init__(self, model: nn.Module | None = None) -> None:
        self._model = None if model is None else weakref.ref(model)
        self.found: dict[frozenset[int], Loop] = {}
        self._passes = 0
        # By weight: whether its first product of the run met a state of zeros.
        self._blank: dict[int, bool] = {}
        self.carried = False
        self._returned: list[Returned] = []

    def look(
        self,
        roots: Iterable[Any],
        otherwise: Iterable[nn.Module],
        taken: Detached | None = None,
    ) -> None:
        """A backward pass begins.

        Args:
            roots: the nodes that it begins at.
            otherwise: torch's own recurrent modules, which are known by themselves.
            taken: what was detached since the pass before.
        """
        self._passes += 1
        self._returned, taken = [], taken or Detached()
        if self._passes > PASSES and not taken.repeats:
            return
        try:
            graph = Graph(list(roots))
        except UnmeasurableError:
            return
        known = {id(p) for module in otherwise for p in module.parameters()}
        self._returned = returned(graph, taken, known)
        self.carried = self.carried or any(each.carried for each in self._returned)
        if self._passes > PASSES:
            return
        for group in graph.recurrent():
            leaves = graph.parameters(group)
            weights = [leaf for leaf in leaves if leaf.dim() == 2 and id(leaf) not in known]
            whole = len(weights) == sum(leaf.dim() == 2 for leaf in leaves)
            if weights and whole and not self._belongs_elsewhere(weights):
                self._add(weights, trains=True)
                self._begins(graph, group)
        for weight in fixed(graph):
            self._add([weight], trains=False)

    def _belongs_elsewhere(self, weights: list[Tensor]) -> bool:
        model = None if self._model is None else self._model()
        if model is None:
            return False
        own = set(map(id, model.parameters()))
        return any(isinstance(w, nn.Parameter) and id(w) not in own for w in weights)

    def _add(self, weights: list[Tensor], trains: bool) -> None:
        loop = Loop(weights, trains)
        self.found.setdefault(loop.key, loop)

    @torch.no_grad()
    def _begins(self, graph: Graph, group: int) -> None:
        """Whether the first step's state is no longer blank, as it was at first: it came from the update before."""
        first = next(
            (
                i
                for i, (name, uses) in enumerate(zip(graph.names, graph.uses, strict=True))
                if uses & group and not graph.below[i] & group and name.startswith(PRODUCTS)
            ),
            None,
        )
        state = None if first is None else _operand(graph.nodes[first])
        if state is None:
            return
        columns = int((state == 0).reshape(-1, state.shape[-1]).all(0).sum())
        key = group.bit_length()
        self.carried = self.carried or (self._blank.get(key, False) and columns == 0)
        self._blank.setdefault(key, columns > 1)

    def cut_off(self, names: Names) -> list[tuple[str, int]]:
        """Weights that only ever met their own state without its gradient in the last pass, and how often they did."""
        cut = [each for each in self._returned if each.times and not each.recurrent]
        return [(name_of(each.weight, names), each.times) for each in cut]

    def cuts(self) -> int:
        """How often such a state began a piece of several steps, in the last pass; 0 where none did."""
        return max((each.times for each in self._returned if each.recurrent), default=0)

    def weights(self) -> list[Tensor]:
        """Those of the recurrences that train."""
        return [w for loop in self.found.values() if loop.trains for w in loop.weights]

    def update(self, owned: set[int], others_move: bool) -> None:
        """An update is over."""
        for loop in self.found.values():
            loop.update(owned, others_move)

    def facts(self, names: Names) -> dict[str, Weights]:
        """By the name of the weight, or of the layer that holds it."""
        result: dict[str, Weights] = {}
        for loop in self.found.values():
            if not loop.facts.site and loop.weights:
                loop.facts.site = name_of(max(loop.weights, key=Tensor.numel), names)
            if loop.facts.site:
                result[loop.facts.site] = loop.facts
        return result


def _operand(node: Any) -> Tensor | None:
    """What a product with a weight multiplied: the first factor, or the second where the weight stands on the left."""
    factors = (saved(node, "_saved_mat1"), saved(node, "_saved_self"))
    return next((each for each in factors if isinstance(each, Tensor) and each.dim() == 2), None)


def _sample(weight: Tensor) -> Tensor:
    flat = weight.detach().reshape(-1)
    return flat[:: max(1, flat.numel() // ENTRIES)]


def name_of(weight: Tensor, names: Names) -> str:
    """`cell.h2h` for a layer's weight, `cell.W` for a bare one, its variable's name outside of modules."""
    modules = [thing for thing in alive(nn.Module) if "_parameters" in thing.__dict__]
    for thing in modules:
        for name, value in {**thing.__dict__, **thing.__dict__["_parameters"]}.items():
            if value is weight:
                path = _listed(thing, modules) or names(thing)
                layer = name == "weight"
                return path if layer and path else ".".join(part for part in (path, name) if part)
    return variable(weight)


def _listed(module: nn.Module, others: list[nn.Module]) -> str:
    """`layers[1]` for a module in another one's plain list, which no model's `parameters()` goes into."""
    for other in others:
        for name, value in other.__dict__.items():
            if type(value) in (list, tuple):
                for n, each in enumerate(value):
                    if each is module:
                        return f"{name}[{n}]"
    return ""
