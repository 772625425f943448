"""One run under the monitor: from the script's first line to the page at its end."""

import contextlib
import os
import sys
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bptt._errors import BpttError
from bptt._signals import let_signals_pass
from bptt.cli import _page
from bptt.cli._awaken import when_imported
from bptt.cli._live import Live
from bptt.cli._script import exit_code
from bptt.doctor import Config, Logbook, Sink

if TYPE_CHECKING:
    from bptt.doctor import Monitor
    from bptt.doctor._repair import Repairer


class Session:
    """Watches the script that is about to run in this process, and shows what was seen.

    Nothing here may reach the script: a fault of bptt's own ends the watching, never the run. All it prints goes to the
    standard error stream that the process began with; the script's output may be piped.

    Args:
        log: the logbook of the run, with its folder.
        config: what the run was told.
        updates: after how many updates the script is stopped; None lets it run.
        speaks: whether it shows anything; of several processes of one run, one does.
    """

    def __init__(
        self, log: Logbook, config: Config, *, updates: int | None = None, speaks: bool = True
    ) -> None:
        self.log, self._speaks = log, speaks
        self._options: dict[str, Any] = {
            each.name: getattr(config, each.name) for each in fields(config)
        }
        self._updates = updates
        self.fix = False  # whether what is found is repaired as the script runs
        self.sinks: Sequence[Sink] = ()  # where the numbers go, too
        self._repairer: Repairer | None = None
        self._stderr = sys.stderr
        self._pid = os.getpid()
        self._monitor: Monitor | None = None
        self._live = Live(str(log.run["script"]), self._stderr)
        self._over = False  # the script is
        self._fault: str | None = None  # a fault outside the monitor
        self._pageless: str | None = None  # why there is no page

    def begin(self) -> None:
        """Wait for torch; show the panel if there is a terminal."""
        with self._guard():
            self.log.begin()
        with self._guard():
            if self._speaks:
                self._live.begin()
        with self._guard():
            when_imported("torch", self._watch)

    def end(self, error: BaseException | None) -> None:
        """Write the last results and print the page; `error` is what the script left with."""
        if os.getpid() != self._pid:
            return  # a child that the script forked came this far: the run is its parent's
        self._over = True
        with self._guard():
            self._live.close()
        with self._guard():
            self._settle(error)
        if self._speaks:
            with self._guard():
                self._write_page()
            with self._guard(), contextlib.suppress(OSError):
                self._show()
            self._last_word()
        with self._guard():
            self.log.release()

    def _settle(self, error: BaseException | None) -> None:
        """The watching ends, and its last results are written."""
        code = exit_code(error)
        state = "interrupted" if isinstance(error, KeyboardInterrupt) else "finished"
        state = "failed" if state == "finished" and code != 0 else state
        with self._guard():
            monitor = self._monitor
            if self._repairer is not None:
                self._repairer.close()
            if monitor is not None:
                monitor.stop(state)
                self._fault = self._fault or monitor.fault
                self.log.count(monitor.updates, monitor.spent)
            if self._repairer is not None:
                self.log.run["repairs"] = self._repairer.as_dicts()
                self.log.tally.verdict = self._repairer.unrepaired(self.log.tally.verdict)
        with self._guard():
            self.log.run["sentence"] = self._sentence()
        self.log.end(state, code, fault=self._fault)

    @property
    def errors(self) -> bool:
        """Whether one of the findings is an error."""
        return any(each["severity"] == "error" for each in self.log.tally.verdict)

    def _watch(self) -> None:
        with self._guard():
            try:
                self._monitor = self._started(self.sinks)
            except BpttError as error:
                if not self.sinks:
                    raise
                self._tell(f"{error}; the run is watched without")
                self._monitor = self._started(())
            self._live.watch(self._monitor)
            if self.fix:
                from bptt.doctor._repair import Repairer

                self._repairer = Repairer(self._monitor, self._tell)

    def _started(self, sinks: Sequence[Sink]) -> "Monitor":
        from bptt.doctor import Monitor

        told = {"stop_after": self._updates, "sinks": sinks, **self._options}
        monitor = Monitor(out=self.log, **told)
        monitor.start()
        return monitor

    @contextlib.contextmanager
    def _guard(self) -> Iterator[None]:
        """Keep a fault of bptt's own from the script; the first one is told at the end."""
        try:
            yield
        except Exception as fault:
            try:
                let_signals_pass(fault)
            except Exception:
                if self._over:
                    return  # a timeout of the script's, which is no more
                raise
            self._fault = self._fault or traceback.format_exc()

    def _tell(self, line: str) -> None:
        """A repair is made: said as it happens."""
        from bptt.report import clean

        with contextlib.suppress(OSError, ValueError):
            print(f"bptt {clean(line)}", file=self._stderr)

    def _sentence(self) -> str | None:
        """Why nothing was measured, if nothing was."""
        script, monitor = self.log.run["script"], self._monitor
        if self.log.tally.sites or self._fault:
            return None
        if monitor is None:
            return f"{script} did not import torch, so there was nothing to measure"
        if not monitor.seen and not self.log.tally.notes:
            return (
                "no recurrence (nn.RNN, nn.GRU, nn.LSTM, a cell, or a loop by hand) was seen in "
                f"{script}, so there was nothing to measure"
            )
        if self.log.tally.notes:
            return f"no site of {script} could be measured; the notes say why"
        return (
            f"recurrent modules were called in {script}, but no gradient came back to them: "
            "backward() was never called, or the loss does not depend on them"
        )

    def _write_page(self) -> None:
        """`report.html` beside the numbers it is made from."""
        if self.log.folder is None or self.log.trouble is not None:
            return  # what could not be written can hardly be read again, and one sentence is enough
        self._pageless = _page.write(self.log.folder.path)

    def _show(self) -> None:
        from bptt.report import console, show

        with contextlib.suppress(Exception):
            sys.stdout.flush()
        out, run = console(self._stderr), self.log.run
        folder = None if self.log.folder is None else shortest(self.log.folder.path)
        show(run, self.log.tally, out, folder, folder and _page.where(folder))

    def _last_word(self) -> None:
        """What failed, in one line each; in plain words, for what failed may be what shows the rest."""
        told = [self._live.trouble, self.log.trouble, self._pageless]
        if self._fault is not None:
            last = self._fault.strip().splitlines()[-1]
            fault = (
                f"a fault of bptt's own ended the watching ({last}); the script was not affected"
            )
            told = ["; ".join([fault, *filter(None, told)])]  # one cause, one line
        for sentence in filter(None, told):
            plain = "".join(
                each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in sentence
            )
            with contextlib.suppress(OSError, ValueError):
                print(f"bptt: {plain[:4096]}", file=self._stderr, flush=True)


def shortest(path: Path) -> str:
    """The path as seen from the working directory, if that is shorter."""
    try:
        return min(str(path), os.path.relpath(path), key=len)
    except (OSError, ValueError):  # the working directory is gone, or on another drive
        return str(path)
