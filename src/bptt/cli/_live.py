"""The live panel of a run in this process: whether there is a terminal for it, and what it shows."""

import contextlib
import os
import sys
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bptt.doctor import Monitor
    from bptt.report import LivePanel


class Live:
    """Draws at the foot of the terminal that a stream leads to; without one, nothing.

    Args:
        script: what runs.
        stream: the standard error stream that the process began with.
    """

    def __init__(self, script: str, stream: Any) -> None:
        # Any text stream: whoever calls may have put one of their own in the place of the standard ones.
        self._script, self._stream = script, stream
        self._monitor: Monitor | None = None
        self._before, self._goal = 0, 0
        self._panel: LivePanel | None = None
        self._began = time.monotonic()
        self._pace: Any = None

    @property
    def possible(self) -> bool:
        """Whether the stream leads to a terminal on which rows can be kept."""
        return self._stream.isatty() and os.environ.get("TERM", "dumb") != "dumb"

    def begin(self) -> None:
        """Show the panel, if there is a terminal."""
        if not self.possible:
            return
        from bptt.report import LivePanel, Pace

        self._began, self._pace = time.monotonic(), Pace()
        color = not os.environ.get("NO_COLOR")
        self._panel = LivePanel(self._stream.fileno(), self._rows, color=color)
        self._panel.start()

    def watch(self, monitor: "Monitor", before: int = 0, goal: int = 0) -> None:
        """From now on there is something to show.

        Args:
            monitor: what watches.
            before: updates made before this process began.
            goal: updates in all; 0 if that is not known.
        """
        self._monitor, self._before, self._goal = monitor, before, goal

    def close(self) -> None:
        """Leave the terminal as it was, and the cursor below what the script printed, whole line or not."""
        if self._panel is not None:
            with contextlib.suppress(Exception):  # a stream of the script's own may do anything
                sys.stdout.flush()
            self._panel.close()

    @property
    def trouble(self) -> str | None:
        """A sentence on why the panel could not be drawn, None if it could."""
        fault = None if self._panel is None else self._panel.fault
        if fault is None:
            return None
        return f"the live panel could not be drawn ({fault}); the training was not affected"

    def _rows(self, columns: int, rows: int) -> Any:
        from bptt.report import can_encode, panel

        poor = os.environ.get("TERM") == "linux"  # its fonts have no eighths of a block
        ascii_only = poor or not can_encode(self._stream.encoding or "ascii")
        return panel(self._glance(), columns, rows, ascii_only=ascii_only)

    def _glance(self) -> Any:
        from bptt.report import Glance, Reach

        monitor, script = self._monitor, self._script or "a training loop"
        if monitor is None:
            return Glance(script, seconds=time.monotonic() - self._began)
        tally, updates = monitor.tally, monitor.updates
        known = [*tally.sites.items()]  # at once: the run's own thread may add to them meanwhile
        return Glance(
            script,
            updates=self._before + updates,
            goal=self._goal,
            seconds=monitor.log.elapsed,
            speed=self._pace.at(time.monotonic(), updates),
            share=monitor.share,
            losses=monitor.case.evidence.updates.loss,
            sites=[Reach(site, last, tally.first.get(site, last)) for site, last in known],
            findings=tally.verdict,
        )
