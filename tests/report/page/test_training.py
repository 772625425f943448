"""Loss and norm over the training: gaps where nothing was finite, marks for what stands alone, and a word on it."""

import re
from typing import Any

from bptt.report.page._plot import Axis
from bptt.report.page._training import lanes, loss, norms
from made_runs import finding, repair

X = Axis(1.0, 5.0)


def rows(*losses: float | None) -> list[dict[str, Any]]:
    triples = [None if each is None else [each] * 3 for each in losses]
    return [
        {"from": n, "update": n, "loss": each, "norm": each, "clip": None, "clipped": None}
        for n, each in enumerate(triples, 1)
    ]


def drawn(text: str) -> list[tuple[str, str]]:
    """Style and path of what lies in the picture; the legend has lines, too."""
    inner = text.partition('class="in"')[2].partition("</div>")[0]
    return re.findall(r'<path class="(s0|dot s0|range)" d="([^"]*)"', inner)


def test_a_loss_that_is_not_finite_leaves_a_gap() -> None:
    text = loss(rows(4.0, 3.0, None, 1.0, None), X)
    assert text is not None
    (mean, alone) = drawn(text)[:2]
    assert mean[1].count("M") == 2, "two pieces, not one line across the gap"
    assert (alone[0], alone[1].split()[0]) == ("dot s0", "M750")
    assert "At 2 of 5 updates no finite loss was seen." in text
    assert "<td>3</td><td>–</td><td>–</td><td>–</td>" in text


def test_a_loss_that_was_always_there_says_nothing_of_gaps() -> None:
    text = loss(rows(4.0, 3.0), X)
    assert text is not None
    assert "no finite" not in text
    assert [style for style, _ in drawn(text)] == ["s0"]


def test_no_number_at_all_is_no_picture() -> None:
    assert loss(rows(None, None), X) is None
    assert norms(rows(None, None), X) is None
    assert lanes([], [], X) is None


def test_how_often_the_norm_was_clipped() -> None:
    told = rows(4.0, 2.0, None)
    told[0] |= {"clip": 1.0, "clipped": 1.0}
    told[1] |= {"clip": 1.0, "clipped": 0.5}
    text = norms(told, X)
    assert text is not None
    assert (
        "before clipping at 1; 75 % of the updates were clipped. At 1 of 3 updates no finite norm"
        in text
    )


def test_findings_and_remedies_stand_where_they_began() -> None:
    passed = finding("VG101", "x", "l0", "error", 2, persists=False, last=3)
    text = lanes([passed, finding("SA301", "y", "l0", "advice", 5)], [repair("l0", 3)], X)
    assert text is not None
    assert re.findall(r'd="(M[\d.]+ 500H[\d.]+)" class|class="bar \w+" d="([^"]+)"', text) == [
        ("", "M250 500H500"),
        ("", "M1000 500H1000"),
    ]
    assert re.findall(r'class="mark-at" data-at="([\d.]+)"', text) == ["250", "1000", "500"]
