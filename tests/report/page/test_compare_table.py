"""The table of a comparison: what differs stands first, and the best is not told by bold letters alone."""

import re

from bptt.report._compare import Cell, Line
from bptt.report.page._compare_table import differences


def test_what_differs_is_apart_from_what_does_not() -> None:
    rows = [
        Line("run", "updates", [Cell(5, "5"), Cell(5, "5")]),
        Line("loss", "at the end", [Cell(2.0, "2"), Cell(1.0, "1")], "low", rough=True),
        Line("site <l0>", "reach", [Cell(9, "9 of 10"), Cell(None, "–")], "high"),
    ]
    apart, alike = differences(rows, ["a", "b"])
    assert re.findall(r"<tr><th scope=\"row\">(.*?)</th>(.*?)</tr>", apart) == [
        (
            "at the end",
            '<td>2</td><td><b>1</b><span class="quiet"> (-50 %)</span><span class="best"> best</span></td>',
        ),
        ("reach", "<td>9 of 10</td><td>–</td>"),
    ]
    assert re.findall(r'scope="rowgroup">(.*?)<', apart) == ["loss", "site &lt;l0&gt;"]
    assert "1 more row is the same in all" in alike
    assert "updates" in alike


def test_nothing_differs() -> None:
    rows = [Line("run", str(n), [Cell(5, "5"), Cell(5, "5")]) for n in range(2)]
    first, second = differences(rows, ["a", "b"])
    assert first == '<p class="quiet">Nothing.</p>'
    assert "2 more rows are the same in all" in second
