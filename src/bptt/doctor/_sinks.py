"""Sinks: places outside of a run folder that a run's numbers go to as it goes on.

A row is sent after every probe, and a last one at the end; names are made of the quantity and the site.

| name | value |
|---|---|
| `bptt/horizon/SITE` | the gradient horizon, steps |
| `bptt/rate/SITE` | slope of the log credit, nats per step |
| `bptt/unreached/SITE` | share of input steps that no loss term reaches |
| `bptt/gradient_norm/mean`, `…/max` | of the updates since the last row, as the gradients were before clipping |
| `bptt/findings/error`, `…/warning`, `…/advice` | how many findings there are |

What was not measured, or is not finite, is left out of the row.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from bptt._errors import BpttError
from bptt.doctor._series import Update
from bptt.rules import SEVERITIES, Finding

Note = dict[str, str]


class Sink(ABC):
    """A place that takes numbers and findings.

    What `open` raises keeps the run from being watched. What the others raise is the sink's end, and not the
    training's: the run goes on without it, and a note says so. The time they take counts as the monitor's own.
    """

    @abstractmethod
    def open(self) -> None:
        """The run is about to begin; called once for each `close`."""

    @abstractmethod
    def numbers(self, update: int, numbers: Mapping[str, float]) -> None:
        """Take a row.

        Args:
            update: the optimizer step that it belongs to, from 1; rows come in order.
            numbers: by name, all finite.
        """

    @abstractmethod
    def findings(self, update: int, findings: Sequence[Finding]) -> None:
        """Take what the rules say by now, the worst first. Called when that has changed, and at the end."""

    @abstractmethod
    def close(self, state: str) -> None:
        """The run is over: `finished`, `failed` or `interrupted`."""


class Outlets:
    """Sends what probes bring to the sinks of a run.

    Args:
        sinks: where to.
        updates: gives what was seen of the updates since it was last asked.
        note: takes a note on a sink that failed.
    """

    def __init__(
        self,
        sinks: Sequence[Sink],
        updates: Callable[[], Sequence[Update]],
        note: Callable[[Note], Any],
    ) -> None:
        self._given, self._updates, self._note = tuple(sinks), updates, note
        self._sinks: list[Sink] = []  # those that are open
        self._told: list[tuple[str, str, str, bool]] | None = None

    def __len__(self) -> int:
        return len(self._given)

    def leave(self) -> None:
        """Send nothing more: this is another process than the one that opened the sinks."""
        self._sinks = []

    def open(self) -> None:
        """The run is about to begin.

        Raises:
            BpttError: a sink cannot be opened; those opened before it are closed again.
        """
        for sink in self._given:
            try:
                sink.open()
                self._sinks.append(sink)
            except Exception as error:
                self._each(lambda each: each.close("failed"))
                self._sinks = []
                raise BpttError(
                    f"{type(sink).__name__} cannot be opened: {_said(error)}"
                ) from error

    def row(self, update: int, sites: Mapping[str, Any], findings: Sequence[Finding]) -> None:
        """Send one row: what was measured at each site, and what the rules say."""
        if not self._sinks:
            return
        norms = [each.norm for each in self._updates()]
        numbers = {**of_sites(sites), **of_norms(norms), **counts(findings)}
        self._each(lambda sink: sink.numbers(update, numbers))
        told = [(each.code, each.site, each.severity, each.persists) for each in findings]
        if told != self._told:
            self._told = told
            self._each(lambda sink: sink.findings(update, findings))

    def end(self, state: str, update: int, findings: Sequence[Finding]) -> None:
        """The last row, the verdict, and no more until `open`; a second call does nothing."""
        self._told = None
        self.row(update, {}, findings)
        self._each(lambda sink: sink.close(state))
        self._sinks = []

    def _each(self, call: Callable[[Sink], None]) -> None:
        for sink in tuple(self._sinks):
            try:
                call(sink)
            except Exception as error:
                self._sinks.remove(sink)
                reason = f"nothing more was sent there after it failed: {_said(error)}"
                self._note({"subject": type(sink).__name__, "reason": reason})


def _said(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__


def checked_sinks(sinks: Sequence[Any]) -> tuple[Sink, ...]:
    """The sinks that were given.

    Raises:
        BpttError: something is none.

    Example:
        >>> checked_sinks(["tensorboard"])
        Traceback (most recent call last):
        bptt._errors.BpttError: sinks hold a str, expected bptt.doctor.Sink, such as ...
    """
    for each in sinks:
        if not isinstance(each, Sink):
            raise BpttError(
                f"sinks hold a {type(each).__name__}, expected bptt.doctor.Sink, such as "
                "bptt.integrations.tensorboard.TensorBoard(...)"
            )
    return tuple(sinks)


def of_sites(sites: Mapping[str, Any]) -> dict[str, float]:
    """The main numbers of each site.

    Example:
        >>> from types import SimpleNamespace as Site
        >>> of_sites({"l0": Site(horizon=11, rate=-0.6, unreached=None)})
        {'bptt/horizon/l0': 11.0, 'bptt/rate/l0': -0.6}
    """
    found = {
        f"bptt/{quantity}/{name}": getattr(site, quantity)
        for name, site in sites.items()
        for quantity in ("horizon", "rate", "unreached")
    }
    return {
        name: float(value)
        for name, value in found.items()
        if value is not None and math.isfinite(value)
    }


def of_norms(norms: Sequence[float]) -> dict[str, float]:
    """Mean and maximum of the gradient norms that are finite.

    Example:
        >>> of_norms([1.0, 3.0, float("inf")]), of_norms([])
        ({'bptt/gradient_norm/mean': 2.0, 'bptt/gradient_norm/max': 3.0}, {})
    """
    finite = [each for each in norms if math.isfinite(each)]
    if not finite:
        return {}
    mean = math.fsum(each / len(finite) for each in finite)
    return {"bptt/gradient_norm/mean": mean, "bptt/gradient_norm/max": max(finite)}


def counts(findings: Sequence[Finding]) -> dict[str, float]:
    """How many findings of each severity there are."""
    given = [each.severity for each in findings]
    return {f"bptt/findings/{each}": float(given.count(each)) for each in SEVERITIES}
