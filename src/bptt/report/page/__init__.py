"""The report as a page: one HTML file that needs no network, made from a run folder, or from several."""

from bptt.report.page._compare import compare_html, comparison
from bptt.report.page._page import page
from bptt.report.page._write import write_page

__all__ = [
    "compare_html",
    "comparison",
    "page",
    "write_page",
]
