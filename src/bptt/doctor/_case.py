"""The case file of a run: what sentinels and probes brought, and what the rules say of it."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from bptt.doctor import _gather as gather
from bptt.doctor._folder import KEPT
from bptt.doctor._incident import Place, in_data, in_gradients, in_states
from bptt.doctor._incident_by_hand import in_loops
from bptt.doctor._keep import keep, pack
from bptt.doctor._loops import name_of
from bptt.doctor._seen import Shield
from bptt.doctor._sentinel import Sentinel
from bptt.doctor._verdict import judge
from bptt.flow import Flow
from bptt.flow.record._names import Names
from bptt.rules import Evidence, Finding, Look, Options, Rule

LATEST = 64
"""Looks of a site that are kept beside those at milestones."""


class Case:
    """Collects evidence and asks the rules.

    Args:
        model: the module that is watched, None for all of the process.
        names: how modules are named.
        rules: those to ask.
        options: thresholds by rule, where they differ from the rule's own.
        lag: the lag that the task needs, as the user says.
        shield: keeps faults out of the training.
        folder: where to keep the batch of a non-finite value.
    """

    def __init__(
        self,
        model: nn.Module | None,
        names: Names,
        *,
        rules: Sequence[Rule] = (),
        options: Mapping[str, Options] | None = None,
        lag: int | None = None,
        folder: Path | None = None,
        shield: Shield = lambda call: call,
    ) -> None:
        self.sentinel = Sentinel(model, self._alarm, shield)
        self.evidence = Evidence(lag=lag)
        self.number: Callable[[], int] = lambda: 1
        self.in_trouble: Callable[[OSError], None] = lambda error: None
        self._names, self._rules, self._options, self._folder = names, rules, options or {}, folder
        self._loaders: frozenset[int] | None = None
        self._suspect: Place | None = None

    def before_step(self, optimizer: Optimizer) -> None:
        """An optimizer is about to step."""
        self.sentinel.before_step(optimizer)
        if math.isfinite(self.sentinel.owners[id(optimizer)].row.norm):
            self._suspect = None  # whatever the loss was, nothing of it reached the weights

    def after_step(self, optimizer: Optimizer, number: int) -> None:
        """An optimizer has stepped: update `number` is over."""
        if number in gather.MILESTONES and not any(
            each[-1].update == number for each in self.evidence.looks.values()
        ):
            self._look(gather.cut_off(self.sentinel, self._names, number))
        self.sentinel.after_step(optimizer, number)
        if self.sentinel.was_full and not all(
            facts.site for facts in self.sentinel.recurrent.facts.values()
        ):
            gather.weights_of(self.sentinel, self._names)  # named while they live

    def add(self, flow: Flow, update: int, *, milestone: bool = False) -> None:
        """A probe was harvested. `milestone`: it stands for one that could not be had at its own update."""
        if self._loaders is None:
            self._loaders = gather.batch_sizes()
        forward = self.sentinel.forward
        living = {id(module): module for module in forward.living()}
        carried = [self._named(living[key]) for key in forward.carried if key in living]
        looks = gather.looks_of(
            flow,
            update,
            carried,
            self._loaders,
            axes=self.sentinel.axes,
            loops_carried=self.sentinel.loops.carried,
            handed=[
                (self._named(each.giver), self._named(each.taker), each.steps)
                for each in forward.handed.found
            ],
            behind={
                self._named(living[key]): share
                for key, share in forward.read_behind().items()
                if key in living
            },
            loop_cuts=self.sentinel.loops.cuts(),
        )
        looks = looks or gather.cut_off(self.sentinel, self._names, update)
        self._look([replace(each, milestone=True) for each in looks] if milestone else looks)

    def _look(self, looks: list[Look]) -> None:
        for look in looks:
            known = self.evidence.looks.setdefault(look.site, [])
            known.append(look)
            if len(known) > 2 * LATEST:  # what no milestone needs is let go
                old = [each for each in known[:-LATEST] if each.milestone]
                known[:] = old + known[-LATEST:]

    def _named(self, module: nn.Module) -> str:
        """As its sites are named: a cell that no model holds goes by its class."""
        cell = not isinstance(module, nn.RNNBase)
        return self._names(module) or (type(module).__name__ if cell else "")

    def findings(self) -> list[Finding]:
        """What the rules say by now, folded, the worst first."""
        self.evidence.updates = gather.updates_of(self.sentinel, self._names)
        self.evidence.weights = {
            **self.sentinel.loops.facts(self._names),
            **gather.weights_of(self.sentinel, self._names),
        }
        return judge(self.evidence, self._rules, self._options)

    def close(self) -> None:
        """The run is over: a loss that was not finite and led to no step is told, too."""
        self.evidence.finished = True
        if self.evidence.incident is None and self._suspect is None:
            self._suspect = self._forward_place()
        suspect = self._suspect
        if suspect is not None and suspect.site == "loss" and gather.scales_loss():
            return  # the scaled loss overflowed, the loss did not
        if self.evidence.incident is None and suspect is not None:
            self._settle(suspect)

    @torch.no_grad()
    def _alarm(self, what: str) -> None:
        if self.evidence.incident is not None:
            return
        place = self._forward_place()
        if what == "loss":
            place = place or in_loops(self.sentinel.root, self._loop_name)  # its graph is whole yet
            self._suspect = place or Place("forward", "loss", _word(self.sentinel.loss))
            if place is not None:
                self._settle(place)
            return
        if place is None and self._suspect is not None:
            place = self._suspect
        if place is None:
            place = in_gradients(self.sentinel.forward.calls, self._names)
        self._settle(place or Place("backward", "weights", "nan"))

    def _forward_place(self) -> Place | None:
        forward = self.sentinel.forward
        place = in_data(forward, self.sentinel.root, self._names)
        return place or in_states(forward.calls, self._names)

    def _loop_name(self, weight: Tensor) -> str:
        """As probes named the only loop by hand, else by its weight."""
        own = [site for site, looks in self.evidence.looks.items() if looks[-1].kind == "own"]
        return own[0] if len(own) == 1 else name_of(weight, self._names)

    def _settle(self, place: Place) -> None:
        """The first non-finite value of this run is known; what is needed to see it again is kept."""
        forward, kept = self.sentinel.forward, None
        if self._folder is not None and (forward.calls or forward.data):
            data = [tensor for _, tensor in forward.data if tensor is not None]
            content = pack(forward.calls, data, place, self.number(), self._names)
            try:
                keep(self._folder / KEPT, content)
                kept = KEPT
            except OSError as error:  # the finding is told all the same
                self.in_trouble(error)
        self.evidence.incident = place.incident(self.number(), kept)


def _word(value: float) -> str:
    return "nan" if math.isnan(value) else "inf"
