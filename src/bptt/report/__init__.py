"""What a run shows: the page for a terminal, and the panel while it runs, runs side by side."""

from bptt.report._clean import can_encode, clean
from bptt.report._compare import rows as compared
from bptt.report._compare_table import short_names, table
from bptt.report._live import LivePanel
from bptt.report._panel import line, panel
from bptt.report._panel_glance import Glance, Pace, Reach, glance_of
from bptt.report._panel_view import view
from bptt.report._summary import summary
from bptt.report.page import compare_html
from bptt.report.terminal import console, show

__all__ = [
    "Glance",
    "LivePanel",
    "Pace",
    "Reach",
    "can_encode",
    "clean",
    "compare_html",
    "compared",
    "console",
    "glance_of",
    "line",
    "panel",
    "short_names",
    "show",
    "summary",
    "table",
    "view",
]
