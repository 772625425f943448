"""The monitor: probes a training run now and then, between one update and the next."""

import os
import sys
from collections.abc import Mapping, Sequence
from types import TracebackType

from torch import nn
from torch.optim import Optimizer

from bptt._errors import BpttError
from bptt.doctor._actions import Action, Registered, Said
from bptt.doctor._boundaries import Boundaries, checked_optimizers
from bptt.doctor._case import Case
from bptt.doctor._folder import RunFolder
from bptt.doctor._guard import Guard
from bptt.doctor._logbook import Logbook
from bptt.doctor._loop import Loop
from bptt.doctor._peers import rank
from bptt.doctor._prescription import applicable
from bptt.doctor._process import checked_lag, give_back, leave_in_forked_children, one_model, take
from bptt.doctor._recent import Recent
from bptt.doctor._schedule import Schedule
from bptt.doctor._sinks import Outlets, Sink, checked_sinks
from bptt.doctor._tally import Tally
from bptt.flow import Flow, Recorder
from bptt.flow.record._shelter import each_of
from bptt.rules import Finding, Options, chosen

Models = nn.Module | Sequence[nn.Module] | Mapping[str, nn.Module]


class Monitor:
    """Watches a training loop and probes it as often as a share of its time allows.

    Optimizer steps are the boundaries of updates: a probe starts after one step and is harvested
    before the next, once gradients have reached a recurrent module. Between probes a light look
    stays. Losses, gradients, parameters and random numbers are bit-identical to the run without a
    monitor. A loop that updates its parameters by hand is followed by its passes instead. A fault of
    the monitor itself switches it off and leaves the training alone.

    Args:
        model: the module to watch, or several (a sequence, or a mapping from names); None watches
            every recurrent module of the process.
        optimizer: the optimizer whose steps count, or several; None counts those of every optimizer.
        budget: share of the run's time that probes may take. The first update is always probed, and
            updates 3, 10, 30, 100, … as long as that takes half a minute at most (see `Schedule`).
        out: a run folder to write results to (see `RunFolder`); None keeps them in memory. Of the
            processes of a data-parallel run the first writes, and all end with one verdict.
        threshold: credit below it counts as not reached.
        lag: the lag in steps that the task needs, if it is known.
        select: rules to ask, by code, name or family; all of them if empty.
        ignore: rules not to ask.
        options: thresholds of rules, by code and name.
        sinks: places that a row of numbers goes to after every probe, such as
            `bptt.integrations.tensorboard.TensorBoard("runs/tb")`; see `bptt.doctor.Sink`. Of several
            processes the first sends.
        stop_after: raise `Enough` after that many updates.

    Attributes:
        log: the logbook; `log.run` is what `run.json` holds.
        case: the evidence and the rules.

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
        model: Models | None = None,
        optimizer: Optimizer | Sequence[Optimizer] | None = None,
        *,
        budget: float = 0.02,
        out: str | os.PathLike[str] | Logbook | None = None,
        threshold: float = 1e-3,
        lag: int | None = None,
        select: Sequence[str] = (),
        ignore: Sequence[str] = (),
        options: Mapping[str, Options] | None = None,
        sinks: Sequence[Sink] = (),
        stop_after: int | None = None,
    ) -> None:
        bounds = Boundaries(checked_optimizers(optimizer), stop_after)
        schedule, watched = Schedule(budget), one_model(model)
        recorder = Recorder(watched, threshold=threshold, attribute=False)
        guard = Guard(recorder, self._detach)
        self._modules = None if watched is None else frozenset(map(id, watched.modules()))
        rules, lag = chosen(tuple(select), tuple(ignore)), checked_lag(lag)
        self.log = out if isinstance(out, Logbook) else _logbook(out, budget, threshold)
        self.case = Case(
            watched,
            recorder._names,
            rules=rules,
            options=options,
            lag=lag,
            folder=None if self.log.folder is None else self.log.folder.path,
            shield=guard.shield_sentinel,
        )
        self._loop = Loop(recorder, schedule, bounds, self.case, self.log, guard)
        outside = checked_sinks(sinks) if rank() == 0 else ()
        seen = Recent(self.case.sentinel).take
        self._outlets = Outlets(outside, seen, self.tally.notes.append)
        if self._outlets:
            self.on_probe(self._send)

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
        guard = self._loop.guard
        with guard.keeping():
            self.close("interrupted" if kind is KeyboardInterrupt else state)
        if guard.fault is not None:
            last = guard.fault.strip().splitlines()[-1]
            print(
                f"bptt: a fault of the monitor's own ended the watching after "
                f"{self._loop.bounds.updates} updates ({last}); the training was not affected",
                file=sys.stderr,
            )
        if self.log.trouble is not None:
            print(f"bptt: {self.log.trouble}", file=sys.stderr)

    def start(self) -> None:
        """Start watching; the next update is probed.

        Raises:
            BpttError: another monitor watches the same modules, or a sink cannot be opened.
        """
        try:
            leave_in_forked_children(self)
            take(self)
            self._outlets.open()
        except BpttError:
            raise
        except Exception as fault:
            self._loop.guard.catch(fault)
            return
        with self._loop.guard.keeping():
            self.log.begin()
            self._loop.attach()
            self._loop.begin()

    def stop(self, state: str = "finished") -> None:
        """Harvest what is pending and remove every hook."""
        guard = self._loop.guard
        if self._active or self.log.paused:
            with guard.keeping():
                self.log.resume()
                self._loop.end(state)
            with guard.keeping():
                self._detach()
        with guard.keeping():
            if self._outlets:
                self._outlets.end(state, max(self.updates, 1), self.findings)

    def close(self, state: str = "finished") -> None:
        """Stop, and write the last results."""
        guard = self._loop.guard
        with guard.keeping():
            self.stop(state)
        with guard.keeping():
            self.log.count(self.updates, self.spent)
            self.log.end(state, fault=self.fault)
        with guard.keeping():
            self.log.release()

    def pause(self) -> None:
        """Look away until `resume`: no hooks, updates are not counted, and the budget's clock stands still.

        What was recorded of the update that is going on is dropped.
        """
        if self._active:
            with self._loop.guard.keeping():
                self._detach()
                self._loop.forget()
                self.log.pause()

    def resume(self) -> None:
        """Go on after `pause`; without one nothing happens.

        Raises:
            BpttError: another monitor has begun to watch the same modules meanwhile.
        """
        if self.log.paused:
            take(self)
            with self._loop.guard.keeping():
                self.log.resume()
                self._loop.attach()

    # What it has seen.

    @property
    def findings(self) -> list[Finding]:
        """What the rules say by now, the worst first; of several processes' run, once it is over, what all say."""
        settled = self._loop.settled
        return applicable(self.case.findings() if settled is None else settled)

    @property
    def watched(self) -> frozenset[int] | None:
        """The modules that are watched, by their ids; None for all."""
        return self._modules

    @property
    def flow(self) -> Flow | None:
        """The last `Flow`, None before the first."""
        return self._loop.probes.flow

    @property
    def flows_count(self) -> int:
        """Number of flows measured."""
        return self._loop.probes.count

    @property
    def updates(self) -> int:
        """Number of optimizer steps seen."""
        return self._loop.bounds.updates

    @property
    def seen(self) -> bool:
        """Whether a recurrent module was called."""
        return self._loop.probes.seen

    @property
    def fault(self) -> str | None:
        """The traceback of a fault in the monitor itself, else None."""
        return self._loop.guard.fault

    @property
    def tally(self) -> Tally:
        """Latest numbers of each site, and the notes on what could not be measured."""
        return self.log.tally

    @property
    def spent(self) -> float:
        """Seconds spent so far: in hooks, analysis and writing, and in torch's calls of the hooks."""
        return self._loop.spent()

    @property
    def share(self) -> float:
        """Share of the time since the start that was spent."""
        return self.spent / max(self.log.elapsed, 1e-9)

    # For those who act on what it sees.

    def on_step(self, *, before: Action | None = None, after: Action | None = None) -> Registered:
        """Call `before(optimizer, update)` when gradients are complete, `after(optimizer, update)` when weights moved.

        Updates count from 1. Both run after the monitor's own look. A fault of theirs ends the watching. What is
        returned has a `remove()`.
        """
        return self._loop.actions.add(before=before, after=after)

    def on_probe(self, said: Said) -> Registered:
        """Call `said(flow, findings)` after every probe; returned is what takes that back."""
        return self._loop.actions.add(said=said)

    def probe_next(self) -> None:
        """Probe the next update, whatever the budget says."""
        self._loop.probes.ask()

    def _send(self, flow: Flow, findings: Sequence[Finding]) -> None:
        self._outlets.row(self._loop.probes.number, flow.by_name, findings)

    def _detach(self) -> None:
        each_of(self._loop.detach, lambda: give_back(self))

    @property
    def _active(self) -> bool:
        return self._loop.guard.active

    def _leave_child(self) -> None:
        """A forked child does not own the run: no hooks, nothing written to the parent's folder or sinks."""
        self._outlets.leave()
        self._loop.probes.leave()
        self.log.release()
        self._detach()


def _logbook(out: str | os.PathLike[str] | None, budget: float, threshold: float) -> Logbook:
    return Logbook(
        None if out is None or rank() > 0 else RunFolder(out),  # of several processes one writes
        script=sys.argv[0],
        argv=sys.argv[1:],
        options={"budget": budget, "threshold": threshold},
    )
