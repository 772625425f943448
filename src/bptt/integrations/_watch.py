"""A monitor for the time of somebody else's training loop."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn

from bptt._errors import BpttError
from bptt.doctor import Monitor
from bptt.doctor._peers import rank
from bptt.rules import Finding

SETTINGS = ("budget", "out", "threshold", "lag", "select", "ignore", "options", "sinks")
"""What `bptt.Monitor` can be told by way of a callback."""


class Watch:
    """Begins and ends a monitor with each training; what the last one found stays.

    Errors and warnings are logged once, at the end, by the logger `bptt`.

    Args:
        settings: as for `bptt.Monitor`.

    Raises:
        BpttError: a setting that a monitor does not have.

    Example:
        >>> Watch({"colour": 1})
        Traceback (most recent call last):
        bptt._errors.BpttError: unknown setting 'colour': expected budget, out, threshold, lag, select, ignore, ...
    """

    def __init__(self, settings: Mapping[str, Any]) -> None:
        unknown = [each for each in settings if each not in SETTINGS]
        if unknown:
            raise BpttError(f"unknown setting {unknown[0]!r}: expected {', '.join(SETTINGS)}")
        self._settings = dict(settings)
        self._open = False
        self.monitor: Monitor | None = None

    @property
    def findings(self) -> list[Finding]:
        """What the rules say, the worst first; nothing before the first training."""
        return [] if self.monitor is None else self.monitor.findings

    def start(self, model: nn.Module, optimizers: Sequence[Any], *sinks: Any) -> None:
        """A training begins; one that was never ended is over. `sinks`: further ones, of this training."""
        self.close("failed")
        settings = {**self._settings, "sinks": [*self._settings.get("sinks", ()), *sinks]}
        self.monitor = Monitor(model, optimizers, **settings)
        self.monitor.start()
        self._open = True

    def close(self, state: str) -> None:
        """The training is over: `finished`, `failed` or `interrupted`. A second call does nothing."""
        if not self._open or self.monitor is None:
            return
        self._open = False
        self.monitor.close(state)
        if rank() == 0:
            say(self.monitor)

    def leave(self) -> None:
        """End without a last word: other processes of the run may be gone, and it would wait for them."""
        if self._open and self.monitor is not None:
            self._open = False
            self.monitor.pause()


def say(monitor: Monitor) -> None:
    """Log what was found, and what went wrong with the watching itself."""
    log = logging.getLogger("bptt")
    for finding in monitor.findings:
        if finding.severity != "advice":
            log.warning("%s", finding)
    if monitor.fault is not None:
        last = monitor.fault.strip().splitlines()[-1]
        log.warning("a fault of bptt's own ended the watching (%s); the training goes on", last)
