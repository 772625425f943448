"""The monitor: probes a training run now and then, between one update and the next."""

import os
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from types import TracebackType
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.optimizer import (
    register_optimizer_step_post_hook,
    register_optimizer_step_pre_hook,
)
from torch.utils.hooks import RemovableHandle

from bptt._errors import BpttError
from bptt.doctor._case import Case
from bptt.doctor._folder import RunFolder
from bptt.doctor._gather import MILESTONES
from bptt.doctor._logbook import Logbook
from bptt.doctor._process import checked_lag, give_back, leave_in_forked_children, take
from bptt.doctor._process import optimizer_exists as _optimizer_exists
from bptt.doctor._schedule import Schedule
from bptt.doctor._seen import HOOK_SECONDS
from bptt.doctor._sentinel import MOST_SELDOM
from bptt.doctor._tally import Record, Tally
from bptt.doctor._verdict import as_dict
from bptt.flow import Flow, Recorder
from bptt.rules import Finding, Options, chosen

PASSES_WITHOUT_STEP = 64
"""Backward passes after which an optimizer that exists but never steps is taken to be unused."""


class Enough(BaseException):
    """Raised into the script once it has run for as many updates as were asked for."""

    bptt_enough = True


def _guarded(entry: Callable[..., None]) -> Callable[..., None]:
    """Keep a fault of the monitor's own out of the training it watches, and add up its time."""

    @wraps(entry)
    def call(self: "Monitor", *args: Any, **options: Any) -> None:
        if self.fault is not None or not self._active:
            return
        began, spent, hooks = time.perf_counter(), self._own_seconds, self._recorder.seconds
        try:
            entry(self, *args, **options)
        except Exception:
            self._fail(traceback.format_exc())
        finally:
            wall = time.perf_counter() - began
            self._own_seconds = spent + wall - (self._recorder.seconds - hooks)

    return call


class Monitor:
    """Watches a training loop and probes it as often as a share of its time allows.

    Optimizer steps are the boundaries of updates: a probe starts after one step and is harvested
    before the next, once gradients have reached a recurrent module. Between probes no module carries
    a hook. Losses, gradients, parameters and random numbers are bit-identical to the run without a
    monitor. A loop that updates its parameters by hand is followed by its passes instead. A fault of
    the monitor itself switches it off and leaves the training alone.

    Args:
        model: the module to watch; None watches every recurrent module of the process.
        optimizer: the optimizer whose steps count; None counts those of every optimizer.
        budget: share of the run's time that probes may take; the first update is always probed.
        out: a run folder to write results to (see `RunFolder`); None keeps them in memory.
        threshold: credit below it counts as not reached.
        lag: the lag in steps that the task needs, if it is known.
        select: rules to ask, by code, name or family; all of them if empty.
        ignore: rules not to ask.
        options: thresholds of rules, by code and name.
        stop_after: raise `Enough` after that many updates.

    Attributes:
        flow: the last `Flow`, None before the first.
        flows_count: number of flows measured.
        updates: number of optimizer steps seen.
        seen: whether a recurrent module was called.
        log: the logbook; `log.run` is what `run.json` holds.
        fault: the traceback of a fault in the monitor itself, else None.

    Raises:
        ValueError: budget or threshold out of range, something that is not a module or an optimizer, or a folder that
            cannot be used.

    Example:
        >>> import torch
        >>> model = torch.nn.GRU(2, 8)
        >>> optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        >>> with Monitor(model, optimizer) as monitor:
        ...     for _ in range(3):
        ...         optimizer.zero_grad()
        ...         model(torch.ones(5, 1, 2))[0][-1].sum().backward()
        ...         optimizer.step()
        >>> monitor.updates, list(monitor.tally.sites)
        (3, ['l0'])
    """

    def __init__(
        self,
        model: nn.Module | None = None,
        optimizer: Optimizer | None = None,
        *,
        budget: float = 0.02,
        out: str | os.PathLike[str] | Logbook | None = None,
        threshold: float = 1e-3,
        lag: int | None = None,
        select: Sequence[str] = (),
        ignore: Sequence[str] = (),
        options: Mapping[str, Options] | None = None,
        stop_after: int | None = None,
    ) -> None:
        if optimizer is not None and not isinstance(optimizer, Optimizer):
            raise BpttError(
                f"optimizer is a {type(optimizer).__name__}, expected a torch.optim.Optimizer or None (all of them)"
            )
        self._schedule = Schedule(budget)
        self._recorder = Recorder(model, threshold=threshold, attribute=False)
        self._recorder.on_new_pass = self._new_pass
        self._optimizer, self._stop_after = optimizer, stop_after
        self._modules = None if model is None else frozenset(id(each) for each in model.modules())
        self.log = out if isinstance(out, Logbook) else _logbook(out, budget, threshold)
        self.flow: Flow | None = None
        self.flows_count = 0
        self.updates = 0
        self.seen = False
        self.fault: str | None = None
        self._own_seconds = self._spent_before = 0.0  # spent before the probe that is going on
        self._active = self._recording = self._inside_step = self._stepped = self._partial = False
        self._stepped_in_backward = False
        self._passes = 0
        self._sentinel_seconds = 0.0
        self._looked_at = (
            0.0,
            0.0,
        )  # the time, and the sentinels' seconds, when their cost was last judged
        self._number = 0  # of the last update that was probed
        self._round: set[int] | None = set()
        self.case = Case(
            model,
            self._recorder._names,
            rules=chosen(tuple(select), tuple(ignore)),
            options=options,
            lag=checked_lag(lag),
            folder=None if self.log.folder is None else self.log.folder.path,
            shield=self._shield,
        )
        self.case.number = lambda: self._current
        self.case.sentinel.pass_over = self._hand_pass_over
        self.case.sentinel.by_hand = self._steps_by_hand
        self._timer: threading.Timer | None = None
        self._handles: list[RemovableHandle] = []

    # Its life.

    def __enter__(self) -> "Monitor":
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        state = "finished" if kind is None else "failed"
        self.close("interrupted" if kind is KeyboardInterrupt else state)
        if self.fault is not None:
            last = self.fault.strip().splitlines()[-1]
            print(
                f"bptt: a fault of the monitor's own ended the watching after {self.updates} "
                f"updates ({last}); the training was not affected",
                file=sys.stderr,
            )

    def start(self) -> None:
        """Start watching; the next update is probed."""
        self._active = True
        self.log.begin()
        self._handles = [
            register_optimizer_step_pre_hook(self._before_step),
            register_optimizer_step_post_hook(self._after_step),
        ]
        leave_in_forked_children(self)
        take(self)
        self.case.sentinel.start()
        self._start_probe()

    def stop(self, state: str = "finished") -> None:
        """Harvest what is pending and remove every hook."""
        if self._active:
            self._harvest_leftovers(state)
            self._last_word()
            self._detach()

    def close(self, state: str = "finished") -> None:
        """Stop, and write the last results."""
        self.stop(state)
        self.log.count(self.updates, self.spent)
        self.log.end(state, fault=self.fault)
        self.log.release()

    @property
    def findings(self) -> list[Finding]:
        """What the rules say by now, the worst first."""
        return self.case.findings()

    @property
    def watched(self) -> frozenset[int] | None:
        """The modules that are watched, by their ids; None for all."""
        return self._modules

    @property
    def tally(self) -> Tally:
        """Latest numbers of each site, and the notes on what could not be measured."""
        return self.log.tally

    @property
    def spent(self) -> float:
        """Seconds spent so far, in hooks, analysis and writing."""
        return self._own_seconds + self._recorder.seconds

    @property
    def share(self) -> float:
        """Share of the time since the start that was spent."""
        return self.spent / max(self.log.elapsed, 1e-9)

    # Entry points, called by torch.

    @_guarded
    def _before_step(self, optimizer: Optimizer, args: Any, kwargs: Any) -> None:
        if not self._counts(optimizer):
            return
        self._inside_step = self._stepped = True
        self._timed(self.case.before_step, optimizer)
        if self._round_over(optimizer) and not self._due():
            self._pause()
        elif self._recording and self._recorder.pending:
            self._harvest(boundary=True)

    @_guarded
    def _after_step(self, optimizer: Optimizer, args: Any, kwargs: Any) -> None:
        if not self._counts(optimizer):
            return
        self._inside_step = False
        if self._recording and self._recorder.pending:  # backward ran in a closure, inside step()
            self._harvest(boundary=True)
        self.updates += 1
        self._timed(self.case.after_step, optimizer, self.updates)
        self._spare_the_loop()
        if not self._recording:
            if self._due():
                self._start_probe()
        elif self._round is None and not self._recorder.seen and self._over_budget():
            self._pause()  # nothing recurrent runs at present: stop paying for hooks, look later
        self._stop_if_enough(self.updates)

    @_guarded
    def _new_pass(self) -> None:
        """A recorded module is called in training after gradients arrived, with no step between."""
        self._passes += 1
        if not (self._inside_step or self._steps_by_hand()):
            return
        if self._partial:  # recording began amid a pass: what it holds is not a whole one
            self._partial = False
            self._recorder.forget()
            self._spent_before = self.spent
            return
        self._harvest(boundary=self._inside_step)

    def _round_over(self, optimizer: Optimizer) -> bool:
        """The first update of every optimizer is probed; the second step of one of them ends that round."""
        over = self._round is not None and id(optimizer) in self._round
        if over:
            self._round = None
        elif self._round is not None:
            self._round.add(id(optimizer))
        return over

    def _counts(self, optimizer: Optimizer) -> bool:
        if self._optimizer is not None and optimizer is not self._optimizer:
            return False
        if torch._C._current_graph_task_id() != -1:
            self._stepped_in_backward = True  # one a parameter, while others' gradients are on
            return False  # their way: no boundary
        return True

    def _steps_by_hand(self) -> bool:
        """Whether passes, not optimizer steps, tell the updates apart."""
        if self._stepped:
            return False
        unused = self._passes >= PASSES_WITHOUT_STEP
        return self._stepped_in_backward or unused or not _optimizer_exists()

    # Probes.

    def _due(self) -> bool:
        if self._schedule.budget > 0 and self._current in MILESTONES:
            return self._number != self._current
        due = self._schedule.due(self.spent, self.flows_count, self.log.elapsed)
        return due and not self._over_budget()

    @property
    def _current(self) -> int:
        """Number of the update that is going on."""
        return (self.updates if self._stepped else self.case.sentinel.hand.passes) + 1

    def _hand_pass_over(self) -> None:
        """A pass in a loop by hand is over; the next one may be one that every run probes."""
        if self._steps_by_hand():
            if not self._recording and self._due():
                self._start_probe()
            self._stop_if_enough(self._current - 2)  # the update of this pass is yet to come

    def _stop_if_enough(self, updates: int) -> None:
        if self._stop_after is not None and updates >= self._stop_after:
            raise Enough

    def _spare_the_loop(self) -> None:
        """Where updates are so short that looking at each costs too much, look at less of them."""
        if self.updates < 32 or self.updates % 16:
            return
        sentinel, allowed = self.case.sentinel, max(self._schedule.budget / 2, 0.005)
        forward, seconds = sentinel.forward, self.log.elapsed - self._looked_at[0]
        costs = self._sentinel_seconds - self._looked_at[1] + forward.count * HOOK_SECONDS
        self._looked_at = (self.log.elapsed, self._sentinel_seconds)
        forward.count = 0
        if costs > allowed * seconds:
            if sentinel.stride >= MOST_SELDOM:
                forward.stop()
            sentinel.look_less(costs / (allowed * seconds))

    def _over_budget(self) -> bool:
        budget = self._schedule.budget
        return budget > 0 and self.spent > budget * self.log.elapsed

    @_guarded
    def _start_probe(self, partial: bool = False) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._recorder.forget()  # what came in after the last harvest
        self._spent_before, self._passes, self._partial = self.spent, 0, partial
        self._recording = True
        self._recorder.start()

    def _pause(self) -> None:
        self._recorder.stop()
        self._recording = False

    def _harvest(self, *, boundary: bool) -> None:
        self.seen = True
        flow = self._recorder.harvest()
        self._keep(flow)
        if boundary:  # the optimizer's next step decides when to go on
            if self._round is None:
                self._pause()
        elif self._due():
            self._spent_before, self._passes = self.spent, 0
        else:
            self._recorder.stop()
            self._recording = False
            self._wake_later()

    def _keep(self, flow: Flow) -> None:
        self.flow = flow
        self.flows_count += 1
        number = self._number = self._current if self._stepped else max(self._current - 1, 1)
        self.case.add(flow, number)
        self.log.tally.verdict = [as_dict(each) for each in self.case.findings()]
        record: Record = {
            "update": number,
            "time": self.log.elapsed,
            "cost": self.spent - self._spent_before,
            **flow.digest(),
        }
        self.log.add(record, self.updates, self.spent)

    def _wake_later(self) -> None:
        """Without optimizer steps and without hooks nothing calls the monitor, so a clock does."""
        wait = self._schedule.wait(self.spent, self.flows_count, self.log.elapsed)
        if wait < threading.TIMEOUT_MAX:
            self._timer = threading.Timer(wait, self._start_probe, args=(True,))
            self._timer.daemon = True
            self._timer.start()

    @_guarded
    def _harvest_leftovers(self, state: str) -> None:
        if not self._recording:
            return
        self.seen = self.seen or self._recorder.seen
        # An exception may have cut a backward pass short, and a pass that never got gradients tells
        # something only where there was no other.
        whole = self._recorder.pending and state == "finished" and not self._partial
        if whole or self.flow is None:
            flow = self._recorder.harvest()
            if flow.sites or flow.notes:
                self._keep(flow)

    @_guarded
    def _last_word(self) -> None:
        """The run is over: what the rules say of all of it."""
        self.case.close()
        self.log.tally.verdict = [as_dict(each) for each in self.case.findings()]

    def _timed(self, call: Callable[..., Any], *args: Any) -> None:
        began = time.perf_counter()
        call(*args)
        self._sentinel_seconds += time.perf_counter() - began

    def _shield(self, call: Callable[..., Any]) -> Callable[..., Any]:
        """For what torch calls inside the training: a fault ends the watching, never the training."""

        @wraps(call)
        def shielded(*args: Any, **kwargs: Any) -> None:
            if self.fault is not None or not self._active:
                return
            began, spent, hooks = time.perf_counter(), self._own_seconds, self._recorder.seconds
            try:
                call(*args, **kwargs)
            except Exception:
                self._fail(traceback.format_exc())
            finally:
                wall = time.perf_counter() - began
                self._sentinel_seconds += wall
                self._own_seconds = spent + wall - (self._recorder.seconds - hooks)

        return shielded

    def _fail(self, text: str) -> None:
        self.fault = text
        self._detach()

    def _detach(self) -> None:
        self._active = self._recording = False
        if self._timer is not None:
            self._timer.cancel()
        for handle in self._handles:
            handle.remove()
        self.case.sentinel.stop()
        self._recorder.stop()
        give_back(self)

    def _leave_child(self) -> None:
        """A forked child does not own the run: no hooks, nothing written to the parent's folder."""
        self._timer = None
        self.log.release()
        self._detach()


def _logbook(out: str | os.PathLike[str] | None, budget: float, threshold: float) -> Logbook:
    return Logbook(
        None if out is None else RunFolder(out),
        script=sys.argv[0],
        argv=sys.argv[1:],
        options={"budget": budget, "threshold": threshold},
    )
