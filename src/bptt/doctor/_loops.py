"""Recurrences written by hand, as rules need them: who owns their weights, whether they move, where their state begins.

Probes measure such recurrences; this file says what a probe does not look at. The graph below the loss is read at the
first passes of a run only, whatever the budget is: weights do not change their owner, nor loops their form.
"""

import gc
import weakref
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from bptt._errors import UnmeasurableError
from bptt.flow.by_hand._finder import STEPS
from bptt.flow.by_hand._graph import NONE, PRODUCTS, Graph
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
        if not facts.moved:
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

    def look(self, roots: Iterable[Any], otherwise: Iterable[nn.Module]) -> None:
        """A backward pass begins. `otherwise`: torch's own recurrent modules, which are known by themselves."""
        self._passes += 1
        if self._passes > PASSES:
            return
        try:
            graph = Graph(list(roots))
        except UnmeasurableError:
            return
        known = {id(p) for module in otherwise for p in module.parameters()}
        for group in graph.recurrent():
            leaves = graph.parameters(group)
            weights = [leaf for leaf in leaves if leaf.dim() == 2 and id(leaf) not in known]
            whole = len(weights) == sum(leaf.dim() == 2 for leaf in leaves)
            if weights and whole and not self._belongs_elsewhere(weights):
                self._add(weights, trains=True)
                self._begins(graph, group)
        for weight in _fixed(graph):
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

    def update(self, owned: set[int], others_move: bool) -> None:
        """An update is over."""
        for loop in self.found.values():
            loop.update(owned, others_move)

    def facts(self, names: Names) -> dict[str, Weights]:
        """By the name of the weight, or of the layer that holds it."""
        result: dict[str, Weights] = {}
        for loop in self.found.values():
            if not loop.facts.site and loop.weights:
                loop.facts.site = _name(max(loop.weights, key=Tensor.numel), names)
            if loop.facts.site:
                result[loop.facts.site] = loop.facts
        return result


def _fixed(graph: Graph) -> list[Tensor]:
    """Matrices without gradient that multiply what they made themselves, three steps and more in a row.

    A registered buffer is fixed on purpose, and so is a matrix that nothing but the graph still holds.
    """
    depth: dict[int, dict[tuple[int, int], int]] = {}
    longest: dict[tuple[int, int], int] = {}
    for i, name in enumerate(graph.names):
        here: dict[tuple[int, int], int] = {}
        for child, _ in graph.edges[i]:
            if child >= 0:
                for key, count in depth.get(child, {}).items():
                    here[key] = max(here.get(key, 0), count)
        if name.startswith(("Mm", "Addmm", "Mv", "Addmv")) and NONE in graph.edges[i][-2:]:
            weight = _matrix_of(graph.nodes[i], graph.edges[i][-1] == NONE)
            if weight is not None:
                key = (weight.data_ptr(), weight.numel())
                here[key] = here.get(key, 0) + 1
                longest[key] = max(longest.get(key, 0), here[key])
        if here:
            depth[i] = here
    wanted = {key for key, count in longest.items() if count >= STEPS}
    return _alive(wanted) if wanted else []


def _matrix_of(node: Any, right: bool) -> Tensor | None:
    """The operand that has no graph."""
    for field in ("_saved_mat2", "_saved_vec") if right else ("_saved_mat1", "_saved_self"):
        try:
            saved = getattr(node, field, None)
        except RuntimeError:
            return None
        if isinstance(saved, Tensor) and saved.dim() == 2 and saved.shape[0] == saved.shape[1]:
            return saved
    return None


def _alive(keys: set[tuple[int, int]]) -> list[Tensor]:
    """The script's own tensors at these places, without the buffers of modules."""
    things = gc.get_objects()
    buffers = {
        id(buffer)
        for thing in things
        if issubclass(type(thing), nn.Module) and "_buffers" in thing.__dict__
        for buffer in thing.__dict__["_buffers"].values()
        if buffer is not None
    }
    meant = {_place(thing) for thing in things if id(thing) in buffers}
    wanted, found = keys - meant, dict[tuple[int, int], Tensor]()
    for thing in things:
        # Only what the script itself can have made: compilers leave tensors without numbers lying about.
        if type(thing) not in (Tensor, nn.Parameter) or thing.requires_grad:
            continue
        key = _place(thing)
        # A parameter before other names of the same numbers.
        if key in wanted and (key not in found or isinstance(thing, nn.Parameter)):
            found[key] = thing
    return list(found.values())


def _place(tensor: Tensor) -> tuple[int, int] | None:
    """Where its numbers are, and how many; None where it has none of its own."""
    if tensor.layout != torch.strided or tensor.grad_fn is not None:
        return None
    try:
        return tensor.data_ptr(), tensor.numel()
    except RuntimeError:  # wrapped by a transformation of torch.func
        return None


def _operand(node: Any) -> Tensor | None:
    """What a product with a weight multiplied: the first factor, or the second where the weight stands on the left."""
    for field in ("_saved_mat1", "_saved_self"):
        try:
            saved = getattr(node, field, None)
        except RuntimeError:
            return None
        if isinstance(saved, Tensor) and saved.dim() == 2:
            return saved
    return None


def _sample(weight: Tensor) -> Tensor:
    flat = weight.detach().reshape(-1)
    return flat[:: max(1, flat.numel() // ENTRIES)]


def _name(weight: Tensor, names: Names) -> str:
    """`cell.h2h` for a layer's weight, `cell.W` for a bare one, its variable's name outside of modules."""
    for thing in gc.get_objects():
        if not issubclass(type(thing), nn.Module) or "_parameters" not in thing.__dict__:
            continue
        held = {**thing.__dict__, **thing.__dict__["_parameters"]}
        for name, value in held.items():
            if value is weight:
                path = names(thing)
                layer = name == "weight"
                return path if layer and path else ".".join(part for part in (path, name) if part)
    return f"matrix {'x'.join(map(str, weight.shape))}"
