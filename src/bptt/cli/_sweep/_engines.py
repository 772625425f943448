"""Where the points of a sweep are done: this process, processes of this machine, or Ray."""

import multiprocessing
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from typing import Any, TypeVar

from bptt._errors import BpttError
from bptt.integrations import ray_sweep

P = TypeVar("P")
Outcome = Iterator[tuple[P, Any]]


@dataclass(frozen=True)
class Engine:
    """What was asked for, and what is there.

    Attributes:
        ray: address for Ray, `local` to start it here; None for plain processes.
        processes: how many, None for one a core.
        said: a sentence where nothing was asked for and the better engine is missing.
    """

    ray: str | None
    processes: int | None
    said: str = ""

    def each(self, function: Callable[[P], Any], points: Sequence[P]) -> Outcome[P]:
        """`(point, function(point))` as they are finished; an error takes the place of a result.

        Raises:
            BpttError: Ray was asked for and cannot be had.
        """
        if self.ray is not None:
            return ray_sweep.each(function, points, address=self.ray, cores=self.processes)
        return plain(function, points, self.processes)


def chosen(ray: str | None, processes: int | None) -> Engine:
    """The engine for `--ray` and `--processes`. Asked for Ray, it is Ray or an error; not asked, it is what is there.

    Raises:
        BpttError: fewer than one process; a number of processes for a cluster that runs elsewhere; no Ray.
    """
    if processes is not None and processes < 1:
        raise BpttError(f"--processes is {processes}, expected 1 or more")
    if ray is not None:
        if not ray_sweep.installed():
            raise BpttError(f"--ray is {ray}, and {ray_sweep.MISSING}, or leave --ray out")
        if processes is not None and ray != ray_sweep.LOCAL:
            raise BpttError(
                f"--processes is for this machine, and --ray is {ray}: the cluster knows its cores"
            )
        return Engine(ray, processes)
    if processes is not None:
        return Engine(None, processes)
    if ray_sweep.installed():
        return Engine(ray_sweep.LOCAL, None)
    return Engine(None, None, f"{ray_sweep.MISSING}; going on with plain processes")


def plain(function: Callable[[P], Any], points: Sequence[P], processes: int | None) -> Outcome[P]:
    """On processes of this machine; with one, in this one. A process that dies takes the unfinished points along."""
    if processes == 1:
        for point in points:
            yield point, _tried(function, point)
        return
    # A fork of a process in which torch has threads may hang.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=context, initializer=_quiet) as pool:
        waiting = {pool.submit(function, point): point for point in points}
        try:
            for done in as_completed(waiting):
                error = done.exception()
                yield waiting[done], done.result() if error is None else _named(error)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _quiet() -> None:
    """Ctrl-C ends a worker without a traceback; the process that started it says what there is to say."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def _tried(function: Callable[[P], Any], point: P) -> Any:
    try:
        return function(point)
    except Exception as error:
        return error


def _named(error: BaseException) -> BaseException:
    if isinstance(error, BrokenProcessPool):
        return RuntimeError("its process, or one beside it, died; memory may have run out")
    return error
