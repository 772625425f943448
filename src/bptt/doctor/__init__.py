"""The doctor: watches a run, keeps what it saw in a run folder."""

from typing import TYPE_CHECKING, Any

from bptt.doctor._folder import RunFolder, RunFolderError, default_folder, read_run
from bptt.doctor._logbook import Logbook
from bptt.doctor._schedule import Schedule
from bptt.doctor._tally import Tally

if TYPE_CHECKING:
    from bptt.doctor._monitor import Monitor

__all__ = [
    "Logbook",
    "Monitor",
    "RunFolder",
    "RunFolderError",
    "Schedule",
    "Tally",
    "default_folder",
    "read_run",
]


def __getattr__(name: str) -> Any:
    # The monitor needs torch; the command line opens a run folder before the script has imported it.
    if name == "Monitor":
        from bptt.doctor._monitor import Monitor

        return Monitor
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
