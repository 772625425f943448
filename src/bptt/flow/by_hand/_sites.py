"""Recurrences written by hand: a loop around `nn.Linear` or a bare parameter, a cell of the user's own, altered states.

No declaration is needed. When a backward pass begins, the graph below its loss is read: parameters whose uses depend on
earlier uses of themselves are a recurrence (`_graph`), the tensors that join its steps are its state (`_states`), and
each run through it is measured (`_runs`). What was held of the graph is let go when the pass is over.

A site is named after the innermost module that was called and owns all parameters of the recurrence.
"""

import sys
import weakref
from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

from bptt._errors import UnmeasurableError
from bptt.flow._assemble import Part
from bptt.flow.by_hand._finder import STEPS
from bptt.flow.by_hand._graph import Graph
from bptt.flow.by_hand._runs import Run, run_of, walk
from bptt.flow.by_hand._squashed import activations
from bptt.flow.by_hand._states import Chain, chains
from bptt.flow.record._announce import Root
from bptt.flow.record._call import Call, kind_of
from bptt.flow.record._names import Names

HOOKED = (
    "the gradients that arrived are not those that its steps hand back (does a hook of yours change them?); "
    "total gradients are exact, the credit curve is not measured"
)


class ByHand:
    """Finds and measures such recurrences, one backward pass at a time."""

    def __init__(self, model: nn.Module | None, names: Names) -> None:
        self._model, self._names = model, names
        self._called: dict[int, tuple[weakref.ref[nn.Module], int]] = {}
        self.clear()

    def clear(self) -> None:
        """Forget the results of one flow."""
        self.parts: list[Part] = []
        self.notes: dict[str, str] = {}
        self.measured: set[int] = set()
        """Ids of torch's modules whose loop was measured here, because their state is altered between calls."""

    def saw(self, module: nn.Module) -> None:
        """Count a call of a module."""
        weak, count = self._called.get(id(module), (None, 0))
        if weak is None or weak() is not module:
            weak, count = weakref.ref(module), 0
        self._called[id(module)] = (weak, count + 1)

    def _may_hold(self, calls: list[Call]) -> bool:
        """Whether it is worth looking: some module may be in a loop by hand, not only torch's own recurrent ones."""
        if not calls or self._altered(calls):
            return True
        for weak, count in self._called.values():
            module = weak()
            if module is None or kind_of(module) is not None or not module._parameters:
                continue
            if count >= STEPS or not _from_torch(module):
                return True
        return False

    @torch.no_grad()
    def begin(self, roots: list[Root], calls: list[Call], arrived: Callable[[], None]) -> list[Run]:
        """Measure what can be measured before the pass, and watch the runs during it. `calls`: torch's own modules'."""
        worth, altered = self._may_hold(calls), self._altered(calls)
        if not worth or not roots:
            return []
        try:
            graph = Graph([root.node for root in roots])
        except UnmeasurableError as reason:
            self.notes["recurrences by hand"] = f"not looked for: {reason}"
            return []
        known = graph.bits(list(self._measured_otherwise(calls, altered)))
        groups = [
            group
            for group in graph.recurrent()
            if not group & known and self._in_model(graph.parameters(group))
        ]
        found: list[Run] = []
        for group, site in zip(groups, self._sites(graph, groups, altered), strict=True):
            for chain, run in self._group(graph, group, site, roots, altered):
                run.watch(graph, chain, arrived)
                found.append(run)
        self._called = {
            key: (weak, 0) for key, (weak, _) in self._called.items() if weak() is not None
        }
        return found

    def end(self, found: list[Run], *, full: bool) -> None:
        """Keep what the pass has shown."""
        for run in found:
            if run.grads:
                if not run.agrees():
                    run.walked, self.notes[run.site] = None, HOOKED
                self.parts.append(run.part(full=full))

    def _sites(self, graph: Graph, groups: list[int], altered: dict[int, nn.Module]) -> list[str]:
        """A name for each: the innermost module's or, where that has several recurrences, a layer's or parameter's."""
        around = [self._around(graph.parameters(group), altered) for group in groups]
        names = [self._path(thing) for thing in around]
        several = {name for name in names if names.count(name) > 1}
        return [
            self._path(self._leaf(graph.parameters(group)))
            if name in several or _layered(thing)
            else name
            for group, name, thing in zip(groups, names, around, strict=True)
        ]

    def _group(
        self,
        graph: Graph,
        group: int,
        site: str,
        roots: list[Root],
        altered: dict[int, nn.Module],
    ) -> list[tuple[Chain, Run]]:
        inside = _holders(altered.values(), graph.parameters(group))
        second_axis = any(isinstance(module, nn.RNNBase) for module in inside)
        try:
            runs = [
                (chain, run_of(graph, chain, site, second_axis)) for chain in chains(graph, group)
            ]
        except UnmeasurableError as reason:
            uses = sum(mine & group > 0 for mine in graph.uses)
            self.notes[site] = (
                f"a recurrence seems to be written by hand here (parameters used at {uses} places that depend on one "
                f"another), but it is not measured: {reason}"
            )
            return []
        if runs:
            self.measured.update(map(id, inside))
        for chain, run in runs:
            try:
                run.walked = walk(graph, chain, roots, run)
            except UnmeasurableError as reason:
                self.notes[site] = (
                    f"total gradients are exact, the credit curve is not measured: {reason}"
                )
            run.statistics = activations(graph, chain, run.axis)
        return runs

    def _altered(self, calls: list[Call]) -> dict[int, nn.Module]:
        """Torch's modules whose calls do not hand their state on unchanged."""
        links: dict[int, list[str]] = {}
        several = {id(call.module) for call in calls if call.steps > 1}
        for call in calls:
            links.setdefault(id(call.module), []).append(call.link)
        loose = {
            key
            for key, each in links.items()
            if "altered" in each
            or (key not in several and each.count("start") >= STEPS and "linked" not in each)
        }
        return {id(call.module): call.module for call in calls if id(call.module) in loose}

    def _measured_otherwise(
        self, calls: list[Call], altered: dict[int, nn.Module]
    ) -> Iterable[Tensor]:
        """Parameters of torch's modules that are handled as such, and of cells that declare their state."""
        for call in calls:
            if id(call.module) not in altered:
                yield from call.module.parameters()
        for module in self._living():
            if getattr(module, "bptt_state", None) is not None:
                yield from module.parameters()

    def _living(self) -> list[nn.Module]:
        return [module for weak, _ in self._called.values() if (module := weak()) is not None]

    def _in_model(self, parameters: list[Tensor]) -> bool:
        if self._model is None:
            return True
        own = {id(parameter) for parameter in self._model.parameters()}
        return any(id(parameter) in own for parameter in parameters)

    def _around(
        self, parameters: list[Tensor], altered: dict[int, nn.Module]
    ) -> nn.Module | Tensor:
        """The innermost called module that owns them all: a cell of torch's, or one that is not a mere layer."""
        if inside := _holders(altered.values(), parameters):
            return inside[0]
        matrix = _matrix(parameters)
        living = self._living()
        owners = [module for module in living if _owns(module, parameters)]
        owners = owners or [module for module in living if _owns(module, [matrix])]
        inner = [module for module in owners if not _from_torch(module)]
        return min(inner or owners, key=_size, default=matrix)

    def _leaf(self, parameters: list[Tensor]) -> nn.Module | Tensor:
        """The layer of the first matrix; the matrix itself where it belongs to no layer of torch's."""
        matrix = _matrix(parameters)
        layers = [
            m for m in self._living() if _from_torch(m) and not _layered(m) and _owns(m, [matrix])
        ]
        return min(layers, key=_size, default=matrix)

    def _path(self, thing: nn.Module | Tensor) -> str:
        if isinstance(thing, nn.Module):
            return self._names(thing) or variable(thing)
        for module in self._living():
            for name, parameter in module._parameters.items():
                if parameter is thing:
                    path = self._names(module)
                    name = name.removeprefix("weight_hh_") if _layered(module) else name
                    return f"{path}.{name}" if path else name
        return variable(thing)


def _holders(modules: Iterable[nn.Module], parameters: list[Tensor]) -> list[nn.Module]:
    return [module for module in modules if any(_owns(module, [each]) for each in parameters)]


def _matrix(parameters: list[Tensor]) -> Tensor:
    return max(parameters, key=lambda each: (each.dim() >= 2, each.numel()))


def _size(module: nn.Module) -> int:
    return sum(1 for _ in module.parameters())


def _from_torch(module: nn.Module) -> bool:
    """Whether it is one of torch's layers (or a parametrised one); a container is not a layer."""
    return any(
        each.__module__.startswith("torch.nn.") and each not in (nn.Module, nn.Sequential)
        for each in type(module).__mro__
    )


def _layered(thing: nn.Module | Tensor) -> bool:
    """Whether it is a stack of layers as torch's are (`weight_hh_l0`, …) with a loop of its own."""
    return isinstance(thing, nn.RNNBase) and kind_of(thing) is None


def _owns(module: nn.Module, parameters: list[Tensor]) -> bool:
    own = {id(parameter) for parameter in module.parameters()}
    return all(id(parameter) in own for parameter in parameters)


def variable(thing: nn.Module | Tensor) -> str:
    """A name for what no module holds: a layer's or tensor's variable in the script, else what it is."""
    if isinstance(thing, nn.Module) and not type(thing).__module__.startswith("torch."):
        return type(thing).__name__
    script = vars(sys.modules["__main__"])
    for name, value in tuple(script.items()):
        if name.startswith("_"):
            continue
        if value is thing:
            return name
        if type(value) is dict:
            for key, each in tuple(value.items()):
                if each is thing:
                    return f"{name}[{key!r}]"
    return (
        type(thing).__name__ if isinstance(thing, nn.Module) else f"parameter {list(thing.shape)}"
    )
