"""The page's first sentences."""

from typing import Any

from bptt.report.page._verdict import headline, lead


def site(name: str = "l0", horizons: tuple[int, ...] = (9,)) -> dict[str, Any]:
    n = len(horizons)
    reach = {
        "updates": list(range(1, n + 1)),
        "horizon": list(horizons),
        "lags": [99] * n,
        "rate": [-0.5] * n,
    }
    return {"name": name, "lags": 99, "steps": 100, "reach": reach}


def test_what_was_repaired_is_not_passed_over() -> None:
    kept, undone = {"outcome": "kept"}, {"outcome": "undone"}
    assert (
        headline({"repairs": [kept, undone, kept]}, [])
        == "Nothing is wrong any more: two remedies were kept."
    )
    assert headline({"repairs": [undone]}, []).startswith("Nothing is wrong that the ")
    left = {"name": "short-memory", "site": "l0", "severity": "warning"}
    assert headline({"repairs": [kept]}, [left]) == "Short memory in l0."


def test_a_reach_that_changed_is_told_with_where_it_began() -> None:
    assert lead({}, [site(horizons=(44, 0))]) == [
        "A gradient in l0 reaches 0 of 100 steps back; each step multiplies it by 0.6065. At update 1 it reached 44."
    ]
    assert "At update" not in lead({}, [site(horizons=(9, 30, 9))])[0]


def test_of_several_sites_the_two_ends_are_told() -> None:
    said = lead({"state": "failed"}, [site("a", (50,)), site("b", (5,)), site("c", (99,))])
    assert said[0] == "The script ended with an error."
    assert said[1].startswith("Of 3 sites, b has the shortest reach: 5 of 100 steps back")
    assert said[2] == "The longest reach has c: all 100 steps."
