"""bptt: see how far back in time a recurrent network's gradient reaches.

`probe` and `measure` give the exact gradient at every step of recurrent modules of PyTorch; `Monitor` does so while a
script trains; `diagnose` says what is wrong. On the command line, `bptt run train.py` needs no change to the script.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from bptt._errors import BpttError as BpttError
from bptt._errors import FlowFileError as FlowFileError
from bptt._errors import NoGradientError as NoGradientError
from bptt._errors import NoRecurrenceError as NoRecurrenceError
from bptt._errors import UnmeasurableError as UnmeasurableError

if TYPE_CHECKING:
    from bptt import nn as nn
    from bptt import remedies as remedies
    from bptt import tasks as tasks
    from bptt.doctor import Diagnosis as Diagnosis
    from bptt.doctor import Monitor as Monitor
    from bptt.doctor import diagnose as diagnose
    from bptt.doctor import prescribe as prescribe
    from bptt.flow import Flow as Flow
    from bptt.flow import Site as Site
    from bptt.flow import load_flow as load_flow
    from bptt.flow import lyapunov as lyapunov
    from bptt.flow import measure as measure
    from bptt.flow import probe as probe
    from bptt.flow import spectrum as spectrum

__version__ = "0.1.0"

# Imported when first asked for: `bptt --help` does without torch, and `bptt run` leaves its import to the script, which
# may set OMP_NUM_THREADS before it.
_ROOMS = {
    "Diagnosis": "bptt.doctor",
    "Flow": "bptt.flow",
    "Monitor": "bptt.doctor",
    "Site": "bptt.flow",
    "diagnose": "bptt.doctor",
    "prescribe": "bptt.doctor",
    "load_flow": "bptt.flow",
    "lyapunov": "bptt.flow",
    "measure": "bptt.flow",
    "probe": "bptt.flow",
    "spectrum": "bptt.flow",
}

_PUBLIC_ROOMS = ("nn", "remedies", "tasks")


def _refuse_other_interpreters() -> None:
    """In a sub-interpreter torch's import never returns; say so instead."""
    for name in ("_interpreters", "_xxsubinterpreters"):
        try:
            interpreters = import_module(name)
        except ImportError:
            continue
        if interpreters.get_current() != interpreters.get_main():
            raise ImportError(
                "bptt was imported in a sub-interpreter. PyTorch, which it stands on, runs in a process's first "
                "interpreter alone. Use threads, or processes of their own (multiprocessing with 'spawn')."
            )
        return


_refuse_other_interpreters()


def __getattr__(name: str) -> Any:
    if name in _PUBLIC_ROOMS:
        return import_module(f"bptt.{name}")
    if name not in _ROOMS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_ROOMS[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_ROOMS, *_PUBLIC_ROOMS})
