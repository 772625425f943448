"""What a signal raises amid our code belongs to the script."""

import signal


def let_signals_pass(fault: Exception) -> None:
    """Raise what came out of a signal's handler, such as Ctrl-C or a script's timeout: it met our code by chance.

    Python hides what is raised as an attribute of a class is named, at an import, behind a `RuntimeError`.

    Example:
        >>> let_signals_pass(ValueError())
        >>> hidden = RuntimeError()
        >>> hidden.__cause__ = KeyboardInterrupt()
        >>> try:
        ...     let_signals_pass(hidden)
        ... except KeyboardInterrupt:
        ...     print("Ctrl-C")
        Ctrl-C
    """
    cause: BaseException | None = fault
    while cause is not None:
        if isinstance(cause, KeyboardInterrupt) or _of_a_handler(cause):
            raise cause
        cause = cause.__cause__


def _of_a_handler(error: BaseException) -> bool:
    handlers = {
        getattr(getattr(handler, "__func__", handler), "__code__", None)
        for number in signal.valid_signals()
        if callable(handler := signal.getsignal(number))
    }
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code in handlers:
            return True
        trace = trace.tb_next
    return False
