"""The errors bptt raises. All are `ValueError`s: the caller gave something that cannot be used."""


class BpttError(ValueError):
    """Base of every error that bptt raises on purpose."""


class NoRecurrenceError(BpttError):
    """No recurrent module was found, or none was called."""


class NoGradientError(BpttError):
    """Recurrent modules were called, but no gradient came back to them."""


class UnmeasurableError(BpttError):
    """A quantity cannot be measured here; the message says why."""


class FlowFileError(BpttError):
    """A saved flow cannot be read: missing, damaged, or of another format."""
