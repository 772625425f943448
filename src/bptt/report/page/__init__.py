"""The report as a page: one HTML file that needs no network, made from a run folder."""

from bptt.report.page._page import page
from bptt.report.page._write import write_page

__all__ = [
    "page",
    "write_page",
]
