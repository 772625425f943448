"""The logbook of a run: what is known about it, in memory and, with a run folder, on disk."""

import platform
import sys
import time
from collections.abc import Callable, Iterable
from importlib import metadata
from typing import Any

from bptt.doctor._folder import RunFolder
from bptt.doctor._series import Series, Update
from bptt.doctor._tally import Record, Tally

SECONDS = 1.0
"""At least as many lie between two writings of what sentinels saw, but for those that come with a probe."""


class Logbook:
    """Keeps the records of a run and writes them to its folder as they come.

    What the disk does not take is kept in memory and tried again with the next; the run goes on, and `trouble` says so
    at its end.

    Args:
        folder: where to write; None keeps everything in memory.
        script: the script as it was named.
        argv: its arguments.
        options: what the run was told (budget, threshold), kept with the results.

    Attributes:
        tally: the latest numbers of each site.
        series: loss, gradient norm, clipping and step sizes of every update.
        run: what `run.json` holds.
        trouble: a sentence on the first write that failed, else None.

    Example:
        >>> log = Logbook(None, script="train.py")
        >>> log.begin()
        >>> log.add({"update": 1, "sites": {}, "notes": []}, updates=0, spent=0.0)
        >>> log.end("finished", exit_code=0)
        >>> log.run["state"], log.run["exit_code"]
        ('finished', 0)
    """

    def __init__(
        self,
        folder: RunFolder | None,
        *,
        script: str = "",
        argv: list[str] | None = None,
        options: dict[str, Any] | None = None,
    ) -> None:
        self.folder = folder
        self.tally, self.series = Tally(), Series()
        self.trouble: str | None = None
        self.run: dict[str, Any] = {
            "program": "bptt",
            "script": script,
            "argv": argv or [],
            "options": options or {},
            "state": "new",
        }
        self._began = self._away = self._written = 0.0
        self._paused_at: float | None = None

    @property
    def begun(self) -> bool:
        """Whether the run has started."""
        return self.run["state"] != "new"

    @property
    def elapsed(self) -> float:
        """Seconds since the start, without pauses."""
        now = time.perf_counter() if self._paused_at is None else self._paused_at
        return now - self._began - self._away

    @property
    def paused(self) -> bool:
        """Whether the clock stands still."""
        return self._paused_at is not None

    def pause(self) -> None:
        """Stop the clock; a second call changes nothing."""
        if self._paused_at is None:
            self._paused_at = time.perf_counter()

    def resume(self) -> None:
        """Let the clock go on."""
        if self._paused_at is not None:
            self._away += time.perf_counter() - self._paused_at
            self._paused_at = None

    def begin(self) -> None:
        """Start the clock; a second call changes nothing."""
        if self.begun:
            return
        self._began = time.perf_counter()
        self.run |= {
            "started": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
            "versions": {"bptt": _version("bptt"), "python": platform.python_version()},
            "state": "running",
            "exit_code": None,
            "sentence": None,
        }
        self.count(updates=0, spent=0.0)
        self._write()

    def add(self, record: Record, updates: int, spent: float) -> None:
        """Take in one probe's record, after `updates` updates and `spent` seconds of probing."""
        self.tally.add(record)
        self.count(updates, spent)
        if self.folder is not None:
            self._try(self.folder.append, record)
        self._write()

    def add_spectra(self, record: Record) -> None:
        """Write what a closer look brought; nothing else of it is kept."""
        if self.folder is not None:
            self._try(self.folder.append_spectra, record)

    def saw(self, updates: Iterable[Update]) -> None:
        """Take in what sentinels saw, in the order of the updates, and write it."""
        self.series.add(updates)
        self._written = self.elapsed
        self.series.pace(self._written)
        if self.folder is not None:
            self._try(self.folder.write_updates, self.series)

    def is_time(self, elapsed: float) -> bool:
        """Whether it is time to take in what sentinels saw: a second after the last time."""
        return elapsed - self._written >= SECONDS

    def end(self, state: str, exit_code: int | None = None, *, fault: str | None = None) -> None:
        """Write how the run ended: "finished", "failed" or "interrupted"; nothing if it never began."""
        if not self.begun:
            return
        self.run |= {"state": state, "exit_code": exit_code, "fault": fault is not None}
        if self.folder is not None and fault is not None:
            self._try(self.folder.write_fault, fault)
        self.series.close()
        self.saw(())
        self._write()

    def release(self) -> None:
        """Let go of the folder."""
        if self.folder is not None:
            self.folder.close()
            self.folder = None

    def _write(self) -> None:
        folder = self.folder
        if folder is not None:
            findings = self.tally.findings(self.run["script"], self.run["sentence"])
            self._try(folder.write_findings, findings)
            self._try(folder.write_run, self.run)

    def _try(self, write: Callable[[Any], None], content: Any) -> None:
        try:
            write(content)
        except OSError as error:
            self.in_trouble(error)

    def in_trouble(self, error: OSError) -> None:
        """Something could not be written; what comes later is tried all the same."""
        if self.trouble is None and self.folder is not None:
            self.trouble = (
                f"some results could not be written to {self.folder.path}: "
                f"{error.strerror or error}; the script was not affected"
            )

    def count(self, updates: int, spent: float) -> None:
        """Note the updates seen so far and the seconds the monitor has spent."""
        if not self.begun:
            return
        seconds = self.elapsed
        if "torch" in sys.modules:
            self.run["versions"]["torch"] = _version("torch")
        self.run |= {
            "updates": updates,
            "probes": self.tally.probes,
            "seconds": seconds,
            "spent": spent,
            "overhead": spent / seconds if seconds > 0 else 0.0,
        }


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "unknown"
