"""Ray: one function on many points, on this machine's cores or on a cluster's."""

import logging
import os
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any, TypeVar

from bptt._errors import BpttError

Point = TypeVar("Point")
LOCAL = "local"
WAIT = 10.0
"""Seconds within which a cluster's head has to answer at all."""
MISSING = "Ray is not installed: pip install 'bptt[sweep]'"


def installed() -> bool:
    """Whether Ray is there; it is not imported for the answer."""
    return find_spec("ray") is not None


@contextmanager
def connected(address: str = LOCAL, cores: int | None = None) -> Iterator[Any]:
    """Ray, started on this machine or joined where it runs already; left again at the end.

    Ray's own reports of its use, which it would send over the network, stay off unless `RAY_USAGE_STATS_ENABLED` says
    otherwise. Workers run the same bptt as this process if they are on this machine; on other hosts of a cluster, bptt
    has to be installed in the same version.

    Args:
        address: `local` starts Ray here; `auto`, `HOST:PORT` or `ray://HOST:PORT` joins a cluster.
        cores: of this machine, for `local`; None for all.

    Raises:
        BpttError: Ray is not installed, no cluster answers at the address, or cores were given for a cluster.

    Example:
        >>> with connected("local", cores=0):
        ...     pass
        Traceback (most recent call last):
        bptt._errors.BpttError: cores=0: expected 1 or more

    Source: Moritz et al., "Ray: a distributed framework for emerging AI applications", OSDI 2018.
    """
    if cores is not None and (cores < 1 or address != LOCAL):
        wrong = "1 or more" if cores < 1 else f"none beside the address {address}"
        raise BpttError(f"cores={cores}: expected {wrong}")
    if not installed():
        raise BpttError(MISSING)
    _knock(address)
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    import ray

    told: dict[str, Any] = {"num_cpus": cores, "include_dashboard": False}
    try:
        ray.init(
            address,
            log_to_driver=False,
            logging_level=logging.ERROR,
            **(told if address == LOCAL else {}),
        )
    except (ConnectionError, ValueError, RuntimeError, TimeoutError) as error:
        reason = str(error).splitlines()[0]
        raise BpttError(
            f"no Ray at {address}: {reason}; expected the address of a running cluster, or {LOCAL}"
        ) from error
    try:
        yield ray
    finally:
        ray.shutdown()


def _knock(address: str) -> None:
    """Ray itself would try for minutes, and print a line a second, where nobody answers."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdecimal():
        return
    try:
        socket.create_connection((host, int(port)), WAIT).close()
    except (OSError, OverflowError) as error:
        raise BpttError(
            f"no Ray at {address}: {error}; expected the address of a running cluster, or {LOCAL}"
        ) from error


def each(
    function: Callable[[Point], Any],
    points: Sequence[Point],
    *,
    address: str = LOCAL,
    cores: int | None = None,
) -> Iterator[tuple[Point, Any]]:
    """`(point, function(point))` as they are finished, one core a point; an error takes the place of its result.

    What a point's process died of, or what its function raised, is that point's result and no other's: the rest goes
    on. Ray tries a point twice again where a whole machine was lost.

    Args:
        function: importable on every worker; called in a process of Ray's.
        points: what it is called with.
        address: as for `connected`; likewise `cores`.

    Raises:
        BpttError: as for `connected`.
    """
    with connected(address, cores) as ray:
        work = ray.remote(num_cpus=1, max_retries=2)(function)
        waiting = {work.remote(point): point for point in points}
        while waiting:
            (done, *_), _ = ray.wait(list(waiting), num_returns=1)
            point = waiting.pop(done)
            try:
                result = ray.get(done)
            except ray.exceptions.RayError as error:
                result = error
            yield point, result
