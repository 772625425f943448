"""The doctor: watches a run, keeps what it saw in a run folder."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from bptt.doctor._config import Config, ConfigError, read_config
from bptt.doctor._folder import RunFolder, default_folder, read_run
from bptt.doctor._logbook import Logbook
from bptt.doctor._run import Run, RunFolderError, open_run
from bptt.doctor._schedule import Schedule
from bptt.doctor._sinks import Sink
from bptt.doctor._tally import Tally

if TYPE_CHECKING:
    from bptt.doctor._diagnose import Diagnosis, diagnose
    from bptt.doctor._keep import ReplayError, describe, replay
    from bptt.doctor._monitor import Monitor
    from bptt.doctor._prescribe import Prescribed, prescribe
    from bptt.doctor._prescription import Prescription

__all__ = [
    "Config",
    "ConfigError",
    "Diagnosis",
    "Logbook",
    "Monitor",
    "Prescribed",
    "Prescription",
    "ReplayError",
    "Run",
    "RunFolder",
    "RunFolderError",
    "Schedule",
    "Sink",
    "Tally",
    "default_folder",
    "describe",
    "diagnose",
    "open_run",
    "prescribe",
    "read_config",
    "read_run",
    "replay",
]

# These need torch; the command line opens a run folder before the script has imported it.
_WITH_TORCH = {
    "Diagnosis": "_diagnose",
    "Monitor": "_monitor",
    "Prescribed": "_prescribe",
    "Prescription": "_prescription",
    "ReplayError": "_keep",
    "describe": "_keep",
    "diagnose": "_diagnose",
    "prescribe": "_prescribe",
    "replay": "_keep",
}


def __getattr__(name: str) -> Any:
    if name in _WITH_TORCH:
        return getattr(import_module(f"bptt.doctor.{_WITH_TORCH[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
