"""What a run shows: the page for a terminal, the status line while it runs."""

from bptt.report._live import StatusLine
from bptt.report.terminal import console, show, status

__all__ = [
    "StatusLine",
    "console",
    "show",
    "status",
]
