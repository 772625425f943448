"""What torch calls as a watched loop runs: the entry points, and the hooks that lead there."""

from collections.abc import Sequence
from typing import Any

from torch.optim import Optimizer
from torch.optim.optimizer import (
    register_optimizer_step_post_hook,
    register_optimizer_step_pre_hook,
)
from torch.utils.hooks import RemovableHandle

from bptt.doctor._actions import Actions
from bptt.doctor._boundaries import Boundaries
from bptt.doctor._case import Case
from bptt.doctor._gather import MILESTONES
from bptt.doctor._guard import Guard
from bptt.doctor._logbook import Logbook
from bptt.doctor._peers import Peers
from bptt.doctor._probes import Probes
from bptt.doctor._recent import Recent
from bptt.doctor._schedule import Schedule
from bptt.doctor._thrift import STEP_SECONDS, Thrift
from bptt.doctor._verdict import as_dict
from bptt.flow import Flow, Recorder
from bptt.flow.record._shelter import each_of, keep_faults, keep_no_more
from bptt.rules import Finding


class Loop:
    """Ties the parts of a monitor to the loop it watches.

    Args:
        recorder: the hooks of a probe.
        schedule: when probes are due.
        bounds: where updates end.
        case: sentinels, evidence, rules.
        log: the logbook.
        guard: what every entry stands behind.
    """

    def __init__(
        self,
        recorder: Recorder,
        schedule: Schedule,
        bounds: Boundaries,
        case: Case,
        log: Logbook,
        guard: Guard,
    ) -> None:
        self.bounds, self.guard, self.actions = bounds, guard, Actions()
        self.probes = Probes(recorder, schedule, bounds, case, log, guard, self.spent)
        self.probes.judge, self.probes.kept = self._judge, self._kept
        self.settled: list[Finding] | None = None  # the verdict once the run is over
        self._peers: Peers | None = None
        self._case, self._log, self._recent = case, log, Recent(case.sentinel)
        self._thrift = Thrift(schedule.budget)
        recorder.on_new_pass, recorder.on_fault = guard.shield(self._new_pass), guard.catch
        case.number, case.in_trouble = lambda: bounds.current, log.in_trouble
        case.sentinel.milestones = MILESTONES
        case.sentinel.pass_over, case.sentinel.by_hand = self._pass_over, bounds.by_hand
        self._handles: list[RemovableHandle] = []
        self._stepping: set[int] = set()  # optimizers, by their ids

    def attach(self) -> None:
        """Put the hooks there that stay between probes."""
        guard = self.guard
        guard.active = True
        keep_faults(guard.catch)
        self._handles = [
            register_optimizer_step_pre_hook(guard.shield(self._before_step)),
            register_optimizer_step_post_hook(guard.shield(self._after_step)),
        ]
        self._case.sentinel.start()

    def detach(self) -> None:
        """Take every hook off."""
        self.guard.active = False
        for handle in self._handles:
            handle.remove()
        self._handles = []
        keep_no_more(self.guard.catch)
        each_of(self._case.sentinel.stop, self.probes.stop)

    def begin(self) -> None:
        """The first update is about to begin; it is always probed."""
        self.guard.shield(self.probes.start)()

    def end(self, state: str) -> None:
        """The run is over: what is left to harvest, and what the rules say of all of it."""
        self.guard.active = self.guard.fault is None
        self.guard.shield(self.probes.leftovers)(state)
        self.guard.shield(self.probes.last_look)()
        self.guard.shield(self._last_word)()

    def forget(self) -> None:
        """Drop what is known of the update that is going on."""
        self._stepping.clear()
        self.probes.recorder.forget()
        self._case.sentinel.forget()

    def spent(self) -> float:
        """Seconds spent by now: in entries, hooks, analysis and writing, and by torch to get there."""
        outside = self._case.sentinel.forward.seconds + STEP_SECONDS * self.bounds.updates
        return self.guard.seconds + self.probes.recorder.seconds + outside

    # Entry points.

    def _before_step(self, optimizer: Optimizer, args: Any, kwargs: Any) -> None:
        bounds = self.bounds
        if not bounds.counts(optimizer):
            return
        # A script that wraps `step` makes torch call its hooks twice, one step inside the other: it is one update.
        again = id(optimizer) in self._stepping
        self._stepping.add(id(optimizer))
        bounds.inside_step = bounds.stepped = True
        self.guard.timed(self._case.before_step, optimizer)
        if again:
            return
        self.probes.before_step(bounds.round_over(optimizer))
        self.actions.before_step(optimizer, bounds.current)

    def _after_step(self, optimizer: Optimizer, args: Any, kwargs: Any) -> None:
        bounds, probes, sentinel = self.bounds, self.probes, self._case.sentinel
        if not bounds.counts(optimizer) or id(optimizer) not in self._stepping:
            return
        self._stepping.remove(id(optimizer))
        bounds.inside_step = False
        if probes.recording and probes.recorder.pending:  # backward ran in a closure, inside step()
            probes.harvest(boundary=True)
        bounds.updates += 1
        self.guard.timed(self._case.after_step, optimizer, bounds.updates)
        elapsed = self._log.elapsed
        self._thrift.update(sentinel, self.guard.sentinels, elapsed)
        self._tell_updates(elapsed)
        self.actions.after_step(optimizer, bounds.updates)
        probes.after_step(elapsed)
        bounds.stop_if_enough(bounds.updates)

    def _new_pass(self) -> None:
        """A recorded module is called in training after gradients arrived, with no step between."""
        self.bounds.passes += 1
        if self.bounds.inside_step or self.bounds.by_hand():
            self.probes.new_pass()

    def _pass_over(self) -> None:
        """A backward pass is over; in a loop by hand the next one may be one that every run probes."""
        bounds = self.bounds
        bounds.hand_passes = self._case.sentinel.hand.passes
        self._tell_updates(self._log.elapsed)
        if bounds.by_hand():
            if not self.probes.recording and self.probes.due():
                self.probes.start()
            bounds.stop_if_enough(bounds.current - 2)  # the update of this pass is yet to come

    def _tell_updates(self, elapsed: float) -> None:
        if self._log.is_time(elapsed):
            self._log.saw(self._recent.take())

    def _kept(self, flow: Flow) -> None:
        if self.actions.said:
            self.actions.say(flow, self._case.findings())

    def _judge(self) -> None:
        self._peers = self._peers or Peers.find()
        found = self._case.findings()
        found = found if self._peers is None else self._peers.share(found)
        self._tell(found, self.bounds.current)

    def _tell(self, found: Sequence[Finding], update: int) -> None:
        """To the logbook: the findings by that update, and what was seen of all updates until now."""
        self._log.tally.verdict = self._log.tally.dated([as_dict(each) for each in found], update)
        self._log.saw(self._recent.take())
        if (parameters := self._recent.parameters()) is not None:
            self._log.run["model"] = {"parameters": parameters}

    def _last_word(self) -> None:
        self._case.close()
        found, peers = self._case.findings(), self._peers or Peers.find()
        if peers is not None:
            found = peers.settle(found)
            self._log.tally.notes += [
                {"subject": f"process {n}", "reason": "it had not come to its end when others had"}
                for n in peers.missing
            ]
        self.settled = found
        self._tell(found, max(self.bounds.current - 1, 1))
