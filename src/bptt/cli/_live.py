"""The live panel of a run in this process: whether there is a terminal for it, and what it shows."""

import os
import time
from typing import TYPE_CHECKING, Any, TextIO

from bptt.doctor import Logbook

if TYPE_CHECKING:
    from bptt.doctor import Monitor
    from bptt.report import LivePanel


class Live:
    """Draws at the foot of the terminal that a stream leads to; without one, nothing.

    Args:
        log: the run's logbook.
        stream: the standard error stream that the process began with.

    Attributes:
        monitor: what watches, once it does.
    """

    def __init__(self, log: Logbook, stream: TextIO) -> None:
        self.monitor: Monitor | None = None
        self._log, self._stream = log, stream
        self._panel: LivePanel | None = None
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

        self._pace = Pace()
        color = not os.environ.get("NO_COLOR")
        self._panel = LivePanel(self._stream.fileno(), self._rows, color=color)
        self._panel.start()

    def close(self) -> None:
        """Leave the terminal as it was."""
        if self._panel is not None:
            self._panel.close()

    def _rows(self, columns: int, rows: int) -> Any:
        from bptt.report import can_encode, panel

        poor = os.environ.get("TERM") == "linux"  # its fonts have no eighths of a block
        ascii_only = poor or not can_encode(self._stream.encoding or "ascii")
        return panel(self._glance(), columns, rows, ascii_only=ascii_only)

    def _glance(self) -> Any:
        from bptt.report import Glance, Reach

        log, monitor = self._log, self.monitor
        script = str(log.run["script"]) or "a training loop"
        if monitor is None:
            return Glance(script, seconds=log.elapsed)
        tally, updates = log.tally, monitor.updates
        return Glance(
            script,
            updates=updates,
            seconds=log.elapsed,
            speed=self._pace.at(time.monotonic(), updates),
            share=monitor.share,
            losses=monitor.case.evidence.updates.loss,
            # The run's own thread may add a site meanwhile.
            sites=[
                Reach(site, last, tally.first.get(site, last))
                for site, last in [*tally.sites.items()]
            ],
            findings=tally.verdict,
        )
