"""The full probe: when one starts, what it brings, where that goes."""

import threading
from collections.abc import Callable

from bptt.doctor._boundaries import Boundaries
from bptt.doctor._case import Case
from bptt.doctor._close import CloseLooks
from bptt.doctor._gather import MILESTONES
from bptt.doctor._guard import Guard
from bptt.doctor._logbook import Logbook
from bptt.doctor._record import digest_of
from bptt.doctor._schedule import Schedule
from bptt.doctor._tally import Record
from bptt.flow import Flow, Recorder
from bptt.flow.record._shelter import each_of


class Probes:
    """Starts the recorder, harvests it, and hands what it brought to the case and the logbook.

    A probe starts after one step and is harvested before the next, once gradients have reached a recurrent module. In a
    loop by hand it is harvested when the next pass begins, and a clock starts the next one.

    Args:
        recorder: the hooks of a probe.
        schedule: when the next one is due.
        bounds: where updates end.
        case: takes flows in and asks the rules.
        log: takes records in.
        guard: what the clock's call stands behind.
        spent: seconds spent by the monitor so far.
    """

    def __init__(
        self,
        recorder: Recorder,
        schedule: Schedule,
        bounds: Boundaries,
        case: Case,
        log: Logbook,
        guard: Guard,
        spent: Callable[[], float],
    ) -> None:
        self.recorder, self.schedule, self.bounds = recorder, schedule, bounds
        self.flow: Flow | None = None
        self.count = 0
        self.seen = self.recording = self._partial = self._asked = False
        self.judge: Callable[[], None] = lambda: None
        self.kept: Callable[[Flow], None] = lambda flow: None
        self._case, self._log, self._spent = case, log, spent
        # What no rule reads is measured for a run folder only.
        self._close = None if log.folder is None else CloseLooks(schedule.budget)
        self._wake = guard.shield(self.start)
        self._spent_before = 0.0  # before the probe that is going on
        self._number = self._taken = 0  # of the last update probed, and the last milestone taken
        self._not_before = 0.0  # seconds of the run before which no probe but a milestone's is due
        self._timer: threading.Timer | None = None

    @property
    def number(self) -> int:
        """That of the last update probed; 0 before the first."""
        return self._number

    def due(self, elapsed: float | None = None) -> bool:
        """Whether the update that is about to begin is probed: a milestone, or as the budget allows."""
        if self._asked:
            return True
        number = self.bounds.current
        elapsed = self._log.elapsed if elapsed is None else elapsed
        if self.schedule.budget > 0 and number in MILESTONES:
            return number != self._number and self.schedule.forced(
                self._spent(), self.count, elapsed
            )
        if elapsed < self._not_before:
            return False
        # What was spent never shrinks, so until then there is nothing to ask.
        self._not_before = elapsed + self.schedule.wait(self._spent(), self.count, elapsed)
        return elapsed >= self._not_before and not self.over_budget()

    def ask(self) -> None:
        """Probe the next update, whatever the budget says: somebody has changed something and wants to see it."""
        self._asked = True

    def over_budget(self) -> bool:
        """Whether more was spent than the budget allows by now."""
        budget = self.schedule.budget
        return budget > 0 and self._spent() > budget * self._log.elapsed

    def start(self, partial: bool = False) -> None:
        """Begin to record. `partial`: amid a pass, which will not be a whole one."""
        self._stop_clock()
        self.recorder.forget()  # what came in after the last harvest
        self._spent_before, self.bounds.passes, self._partial = self._spent(), 0, partial
        self.recording = True
        self.recorder.start()

    def pause(self) -> None:
        """Take the hooks off; what was recorded stays."""
        self.recording = False
        self.recorder.stop()

    def stop(self) -> None:
        """Take hooks and clock off."""
        each_of(self._stop_clock, self.pause)

    def leave(self) -> None:
        """A forked child has no clock to stop."""
        self._timer = None

    def before_step(self, round_over: bool) -> None:
        """Gradients are complete."""
        if round_over and not self.due():
            self.pause()
        elif self.recording and self.recorder.pending:
            self.harvest(boundary=True)

    def after_step(self, elapsed: float) -> None:
        """The next update is about to begin, so many seconds into the run."""
        if not self.recording:
            if self.due(elapsed):
                self.start()
        elif not (self.bounds.first_round or self.recorder.seen) and self.over_budget():
            self.pause()  # nothing recurrent runs at present: stop paying for hooks, look later

    def new_pass(self) -> None:
        """A pass begins after gradients arrived, with no step between, where passes are boundaries."""
        if self._partial:  # recording began amid a pass: what it holds is not a whole one
            self._partial = False
            self.recorder.forget()
            self._spent_before = self._spent()
            return
        self.harvest(boundary=self.bounds.inside_step)

    def harvest(self, *, boundary: bool) -> None:
        """Take what was recorded. `boundary`: an optimizer's step is next, and decides when to go on."""
        self.seen = True
        self._keep(self._harvested())
        if boundary:
            if not self.bounds.first_round:
                self.pause()
        elif self.due():
            self._spent_before, self.bounds.passes = self._spent(), 0
        else:
            self.pause()
            self._wake_later()

    def leftovers(self, state: str) -> None:
        """The run is over: what was recorded and never harvested."""
        if not self.recording:
            return
        self.seen = self.seen or self.recorder.seen
        # An exception may have cut a backward pass short, and a pass that never got gradients tells
        # something only where there was no other.
        whole = self.recorder.pending and state == "finished" and not self._partial
        if whole or self.flow is None:
            flow = self._harvested()
            if flow.sites or flow.notes:
                self._keep(flow)

    def last_look(self) -> None:
        """The run is over: what of its last state is told."""
        if self._close is not None and self.count:
            spectra = self._close.close(self._number, self._log.elapsed)
            if spectra is not None:
                self._log.add_spectra(spectra)

    def _harvested(self) -> Flow:
        if self._close is not None:
            self._close.begin(milestone=bool(self._passed()), elapsed=self._log.elapsed)
            self.recorder.factors = self._close.look
        return self.recorder.harvest()

    def _passed(self) -> list[int]:
        """Milestones that the probe stands for: one that the schedule did not let through is owed."""
        bounds = self.bounds
        self._number = bounds.current if bounds.stepped else max(bounds.current - 1, 1)
        return [each for each in MILESTONES if self._taken < each <= self._number]

    def _keep(self, flow: Flow) -> None:
        self.flow, self._asked = flow, False
        self.count += 1
        passed = self._passed()
        self._taken = max(passed, default=self._taken)
        self._case.add(flow, self._number, milestone=bool(passed))
        self.judge()
        record: Record = {
            "update": self._number,
            "time": self._log.elapsed,
            "cost": self._spent() - self._spent_before,
            **digest_of(flow),
        }
        if self._close is not None and (spectra := self._close.take(self._number)) is not None:
            self._log.add_spectra(spectra)
        self._log.add(record, self.bounds.updates, self._spent())
        self.kept(flow)

    def _wake_later(self) -> None:
        """Without optimizer steps and without hooks nothing calls the monitor, so a clock does."""
        wait = self.schedule.wait(self._spent(), self.count, self._log.elapsed)
        if wait < threading.TIMEOUT_MAX:
            self._timer = threading.Timer(wait, self._wake, args=(True,))
            self._timer.daemon = True
            self._timer.start()

    def _stop_clock(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
