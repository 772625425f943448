"""A comparison in words: who is ahead, by what, and what stands in the way of saying so."""

import re
from typing import Any

import pytest

from bptt.report._compare import Cell, Line
from bptt.report.page._compare_verdict import headline, lead, winner

NONE = Cell(None, "–")


def plain(text: str) -> str:
    return re.sub("<[^>]+>", "", text)


def loss(*values: float | None) -> Line:
    cells = [NONE if v is None else Cell(v, f"{v:g}") for v in values]
    return Line("loss", "at the end", cells, "low", rough=True)


def reach(*values: int | None, site: str = "l0") -> Line:
    cells = [NONE if v is None else Cell(v, f"3 → {v} of 100") for v in values]
    return Line(f"site {site}", "reach", cells, "high")


def found(label: str, *sites: int | None) -> Line:
    return Line("findings", label, [Cell(n, "x" if n else "none") for n in sites], "low")


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([loss(2, 1), reach(9, 90)], "b has the lower loss and the longer reach."),
        ([loss(1, 2), reach(9, 90)], "a has the lower loss, b the longer reach."),
        ([loss(1, 2), reach(9, 9)], "a ends with the lower loss; gradients reach as far in all."),
        ([loss(1, 1.001), reach(9, 90)], "Gradients reach furthest in b, at the same loss."),
        ([loss(None, 1), reach(9, 90)], "Gradients reach furthest in b."),
        ([loss(1, 2)], "a ends with the lower loss."),
        ([loss(1, 2, 3), reach(9, 8, 7)], "a has the lowest loss and the longest reach."),
        ([loss(1, 1, 2), reach(9, 9, 7)], "No run is ahead of the others in both loss and reach."),
        ([loss(1, 1), reach(9, 9)], "The runs differ in nothing that was measured."),
        (
            [loss(1, 1), reach(9, 9), found("error VG101", 1, 0)],
            "Loss and reach do not tell the runs apart.",
        ),
        # One site of a run alone says nothing of reach; at two sites neither run is ahead.
        ([loss(2, 1), reach(9, None)], "b ends with the lower loss."),
        ([loss(2, 1), reach(9, 90), reach(9, 8, site="l1")], "b ends with the lower loss."),
    ],
)
def test_the_headline(rows: list[Line], said: str) -> None:
    assert plain(headline(rows, ["a", "b", "c"][: len(rows[0].cells)])) == said


def test_a_tie_for_the_best_is_no_win() -> None:
    assert winner([loss(1, 1, 2)]) is None
    assert winner([loss(1, 1, 2), reach(9, 8, 8)]) == 0
    assert loss(1, 1, None).best == set(), "nobody is worse"


def test_the_sentences_have_the_numbers() -> None:
    rows = [loss(2, 1), reach(9, 10), reach(8, 80, site="l1"), found("error VG101", 1, 0)]
    rows += [found("warning SA302", 2, 1), found("advice VG102", 1, 0)]
    told: list[dict[str, Any]] = [{"script": "a.py"}, {"script": "b.py"}]
    assert [plain(each) for each in lead(rows, told, ["a", "b"])] == [
        "They are of different scripts, whose losses need not mean the same.",
        "The loss ends at 1 in b and at 2 in a.",
        "In l1, a gradient reaches 80 of 100 steps in b, 8 of 100 in a.",
        "VG101 was found in a, not in b.",
        "SA302 was found in all, not at the same number of sites.",
    ]
    assert lead([loss(1, 1)], told[:1] * 2, ["a", "b"]) == []


def test_many_runs_and_many_findings_stay_short() -> None:
    rows = [found(f"error VG10{n}", 1, 1, 1, 1, 1, 0) for n in range(5)]
    said = [plain(each) for each in lead(rows, [{"script": "a.py"}] * 6, list("abcdef"))]
    assert said[0] == "VG100 was found in a, b, c and 2 more, not in f."
    assert said[3:] == ["2 more findings are not in all runs."]


def test_names_are_text() -> None:
    text = headline([loss(2, 1)], ["a", "</h1><script>"])
    assert text.startswith("<bdi>&lt;/h1&gt;&lt;script&gt;</bdi>")


def test_a_run_that_nothing_was_measured_of_lacks_no_finding() -> None:
    told: list[dict[str, Any]] = [{"script": "a.py"}] * 3
    said = [plain(each) for each in lead([found("error VG101", 1, None, 0)], told, ["a", "b", "c"])]
    assert said == ["VG101 was found in a, not in c."]
    said = [plain(each) for each in lead([found("error VG101", 1, None, 2)], told, ["a", "b", "c"])]
    assert said == ["VG101 was found in a, c."]
