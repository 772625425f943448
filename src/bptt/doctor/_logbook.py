"""The logbook of a run: what is known about it, in memory and, with a run folder, on disk."""

import platform
import sys
import time
from importlib import metadata
from typing import Any

from bptt.doctor._folder import RunFolder
from bptt.doctor._tally import Record, Tally


class Logbook:
    """Keeps the records of a run and writes them to its folder as they come.

    Args:
        folder: where to write; None keeps everything in memory.
        script: the script as it was named.
        argv: its arguments.
        options: what the run was told (budget, threshold), kept with the results.

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
        self.tally = Tally()
        self.trouble: str | None = None  # the first write that failed
        self.run: dict[str, Any] = {
            "version": 1,
            "program": "bptt",
            "script": script,
            "argv": argv or [],
            "options": options or {},
            "state": "new",
        }
        self._began = self._away = 0.0
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
        if self.folder is not None:
            self._write(self.folder)

    def add(self, record: Record, updates: int, spent: float) -> None:
        """Take in one probe's record, after `updates` updates and `spent` seconds of probing."""
        self.tally.add(record)
        self.count(updates, spent)
        if self.folder is not None:
            self.folder.append(record)
            self._write(self.folder)

    def end(self, state: str, exit_code: int | None = None, *, fault: str | None = None) -> None:
        """Write how the run ended: "finished", "failed" or "interrupted".

        A folder that can no longer be written does not raise, the run being over: see `trouble`.
        """
        self.run |= {"state": state, "exit_code": exit_code, "fault": fault is not None}
        if self.folder is None:
            return
        try:
            if fault is not None:
                self.folder.write_fault(fault)
            self._write(self.folder)
        except OSError as error:
            self.trouble = (
                f"the last results could not be written to {self.folder.path}: {error.strerror}"
            )

    def release(self) -> None:
        """Let go of the folder."""
        if self.folder is not None:
            self.folder.close()
            self.folder = None

    def _write(self, folder: RunFolder) -> None:
        folder.write_findings(self.tally.findings(self.run["script"], self.run["sentence"]))
        folder.write_run(self.run)

    def count(self, updates: int, spent: float) -> None:
        """Note the updates seen so far and the seconds the monitor has spent."""
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
