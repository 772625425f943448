"""The guard between a monitor and the training it watches: faults stay on this side, and time is added up."""

import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import wraps
from typing import Any, Protocol, runtime_checkable

import torch

from bptt._signals import let_signals_pass


@runtime_checkable
class Clock(Protocol):
    """Something whose hooks add up their own time."""

    seconds: float


class Guard:
    """Lets nothing through but what the training is meant to see.

    A fault inside a shielded call is kept as `fault`, `failed` is called, and later calls do nothing. What is not an
    `Exception` (`KeyboardInterrupt`, `Enough`) passes.

    Args:
        clock: its seconds are counted by itself, and not a second time here.
        failed: called after the first fault.

    Example:
        >>> guard = Guard()
        >>> guard.active = True
        >>> guard.shield(lambda: 1 / 0)()
        >>> guard.fault.splitlines()[-1]
        'ZeroDivisionError: division by zero'
    """

    def __init__(
        self, clock: Clock | None = None, failed: Callable[[], None] = lambda: None
    ) -> None:
        self.active = False
        self.fault: str | None = None
        self.seconds = self.sentinels = 0.0
        self._clock, self._failed = clock, failed

    def shield(self, call: Callable[..., Any], *, sentinel: bool = False) -> Callable[..., Any]:
        """The call behind the guard. `sentinel`: its time counts as the sentinels', too."""

        @wraps(call)
        def shielded(*args: Any, **kwargs: Any) -> Any:
            if torch.compiler.is_compiling() or self.fault is not None or not self.active:
                return None
            clock = self._clock
            hooks = 0.0 if clock is None else clock.seconds
            spent, began = self.seconds, time.perf_counter()
            try:
                return call(*args, **kwargs)
            except Exception as fault:
                let_signals_pass(fault)
                self.catch(fault)
            finally:
                wall = time.perf_counter() - began
                # A shielded call inside this one has added its time already: what counts is the outermost.
                self.seconds = spent + wall - (0.0 if clock is None else clock.seconds - hooks)
                if sentinel:
                    self.sentinels += wall
            return None

        return shielded

    def shield_sentinel(self, call: Callable[..., Any]) -> Callable[..., Any]:
        """The same for a sentinel."""
        return self.shield(call, sentinel=True)

    def timed(self, call: Callable[..., Any], *args: Any) -> None:
        """Call a sentinel from inside a shielded call."""
        began = time.perf_counter()
        call(*args)
        self.sentinels += time.perf_counter() - began

    def fail(self, text: str) -> None:
        """A fault of the monitor's own: it ends the watching."""
        known, self.fault = self.fault, self.fault or text
        if known is None:
            with suppress(Exception):  # as the first one tells, something is wrong
                self._failed()

    def catch(self, fault: Exception) -> None:
        """The same, of a fault that was caught elsewhere."""
        self.fail("".join(traceback.format_exception(fault)))

    @contextmanager
    def keeping(self) -> Iterator[None]:
        """What is inside runs once, watching or not, and its faults stay there."""
        try:
            yield
        except Exception as fault:
            let_signals_pass(fault)
            self.catch(fault)
