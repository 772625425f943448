"""Runs over each other: each by its own points, and one table that all can be read in."""

import re

from bptt.report.page._overlay import OVERLAID, Overlays, group_of, latest, nearest, style
from bptt.report.page._plot import Axis

X = Axis(1.0, 100.0)


def test_no_two_runs_are_drawn_alike() -> None:
    assert len({style(n) for n in range(OVERLAID)}) == OVERLAID
    assert len({style(n).partition(" ")[2] for n in range(3)}) == 3, "by their dashes alone"


def test_lines_are_of_each_runs_own_points_and_the_table_of_all_places() -> None:
    overlays = Overlays(["a", "b", "c"])
    runs = [[(1, 4.0), (100, 2.0)], [(50, 1.0)], []]
    drawn = overlays.draw("Loss", runs, X, says="", read=group_of, y=Axis(0.0, 4.0))
    assert drawn is not None
    assert re.findall(r'<path class="([^"]*)" d="(M[^"]+)"></path>', drawn)[:3] == [
        ("s0", "M0 0L1000 500"),
        ("s1 dashed", "M494.9 750"),
        ("dot s1 dashed", "M494.9 750h0"),  # a line of one point would not be seen
    ]
    assert '<th scope="col">c</th>' not in drawn, "nothing is known of it"
    assert overlays.data == [
        {"x": "update", "xs": [1, 50, 100], "columns": [["a", [4.0, 2.0, 2.0]], ["b", [1.0, 1.0, None]]]}
    ]  # fmt: skip
    assert "<td>50</td><td>2</td><td>1</td>" in drawn
    assert 'data-overlay="0"' in drawn


def test_nothing_to_draw() -> None:
    overlays = Overlays(["a"])
    assert overlays.draw("Loss", [[]], X, says="", read=latest) is None
    assert overlays.draw("Loss", [[(1, None)]], X, says="", read=latest) is None
    assert overlays.data == []


def test_places_of_many_runs_are_thinned_and_keep_their_ends() -> None:
    overlays = Overlays([str(n) for n in range(14)])
    runs = [[(n + 14 * k + 1, float(n)) for k in range(60)] for n in range(14)]
    drawn = overlays.draw("Loss", runs, Axis(1.0, 840.0), says="", read=latest)
    (told,) = overlays.data
    assert drawn is not None
    assert len(told["columns"]) == OVERLAID
    assert (len(told["xs"]), told["xs"][0], told["xs"][-1]) == (600, 1, 14 * 59 + OVERLAID)
    for n, (_, values) in enumerate(told["columns"]):
        assert set(values) <= {float(n), None}


def test_what_a_run_had_at_places_of_others() -> None:
    places = [0, 3, 4, 9]
    for place in range(-1, 11):
        before = [n for n, each in enumerate(places) if each <= place]
        inside = 0 <= place <= 9
        assert latest(places, place) == (before[-1] if inside else None)
        after = [n for n, each in enumerate(places) if each >= place]
        assert group_of(places, place) == (after[0] if after else None)
        by_distance = sorted(range(4), key=lambda n: (abs(places[n] - place), n))
        assert nearest(places, place) == (by_distance[0] if place <= 9 else None)
