"""The page's first sentences."""

from typing import Any

from bptt.report.page._verdict import far, headline, lead, reach
from bptt.rules import pages


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


def test_a_run_that_was_cut_short_is_not_told_as_fine() -> None:
    run = {"state": "failed", "exit_code": 3}
    said = headline(run, [])
    assert said == f"The script failed; until then the {len(pages())} rules found nothing wrong."
    assert lead(run, [], said) == ["The script ended with an error (exit code 3)."]
    for state in ("running", "killed", "interrupted"):
        run = {"state": state, "exit_code": None}
        assert headline(run, []).endswith(f" the {len(pages())} rules found nothing wrong.")
        assert lead(run, [], headline(run, [])) == [], "once is enough"
        assert len(lead(run, [], "Short memory in l0.")) == 1


def test_a_sentence_begins_large_and_a_name_as_it_is() -> None:
    assert lead({"sentence": "no recurrence was seen"}, []) == ["No recurrence was seen."]
    assert lead({"sentence": "a.py did not import torch"}, []) == ["a.py did not import torch."]


def test_gradients_that_are_no_longer_finite() -> None:
    lost: dict[str, Any] = {**site(horizons=(49, 30, 0)), "finite": False}
    lost["reach"] |= {"updates": [1, 9, 71], "horizon": [49, 30, None], "lags": [49, 49, 0]}
    assert lead({}, [lost]) == [
        "At update 71 the gradients of l0 are no longer finite; at update 9 one reached 30 of 50 steps back."
    ]
    assert far(lost) == "Its gradients are not finite"
    assert reach(lost) == "not finite"
    never: dict[str, Any] = {**site("l1"), "finite": False}
    never["reach"] |= {"updates": [1], "horizon": [None], "lags": [0]}
    assert lead({}, [never]) == ["The gradients of l1 are not finite."]
    both = lead({}, [lost, never, site("l2")])
    assert both[0] == "The gradients of two of 3 sites are not finite; of l0 first at update 71."
    assert both[1].startswith("A gradient in l2 reaches 9 of 100 steps back")
    assert far({**site(), "reach": never["reach"]}) == "How far a gradient reaches was not measured"


def test_sites_at_which_no_gradient_arrives() -> None:
    dead: dict[str, Any] = {**site("l1"), "untouched": True}
    dead["reach"] |= {"updates": [1], "horizon": [None], "lags": [0]}
    assert far(dead) == "No gradient arrives"
    assert reach(dead) == "no gradient"
    said = lead({}, [site(), dead, {**dead, "name": "l2"}])
    assert said[0] == "At the last look no gradient arrived at l1 and one more."
    assert said[1].startswith("A gradient in l0 reaches 9 of 100 steps back")


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
