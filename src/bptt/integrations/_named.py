"""Sinks by name, for a command line."""

from importlib import import_module

from bptt._errors import BpttError
from bptt.doctor import Sink

NAMED = {"mlflow": "MLflow", "tensorboard": "TensorBoard"}
"""Modules of this room, and the sink that each has. W&B's would take the place of a run that the script begins."""


def sink_of(told: str) -> Sink:
    """The sink that `tensorboard:DIR` or `mlflow:DIR` means; for MLflow also a tracking URI in the folder's place.

    Args:
        told: the kind, a colon, and where.

    Raises:
        BpttError: there is no such kind, or it is not said where.
        NotInstalledError: its package is not there.

    Example:
        >>> type(sink_of("tensorboard:runs/tb")).__name__
        'TensorBoard'
        >>> sink_of("tensorboard")
        Traceback (most recent call last):
        bptt._errors.BpttError: --to tensorboard: expected mlflow:DIR or tensorboard:DIR
    """
    kind, _, where = told.partition(":")
    if kind not in NAMED or not where:
        expected = " or ".join(f"{each}:DIR" for each in NAMED)
        raise BpttError(f"--to {told}: expected {expected}")
    return getattr(import_module(f"bptt.integrations.{kind}"), NAMED[kind])(where)
