"""Findings with one root cause are told as one, the worst first."""

from dataclasses import replace

import pytest

from bptt.doctor._verdict import as_dict, fold, judge
from bptt.rules import Evidence, Finding, Look, UnknownRuleError, codes, table


def finding(code: str, site: str = "", severity: str = "error", update: int | None = 1) -> Finding:
    return Finding(code, code.lower(), site, severity, "so it is", update=update)  # type: ignore[arg-type]


def test_an_explosion_is_one_error_not_four() -> None:
    (root,) = fold(
        [
            finding("EG202", update=9, severity="warning"),
            finding("NF602", "rnn.l0", update=12),
            finding("EG201", "rnn.l0", update=3, severity="warning"),
            finding("EG203", update=4, severity="warning"),
        ]
    )
    assert root.code == "EG201"
    assert root.severity == "error", "what follows from a cause makes it as bad"
    assert {each.code for each in root.consequences} == {"EG202", "EG203", "NF602"}
    assert [each["code"] for each in as_dict(root)["consequences"]] == ["EG202", "NF602", "EG203"]


def test_chains_of_causes_end_at_the_first_one() -> None:
    (root,) = fold(
        [finding("NF602", update=9), finding("OP501", update=4), finding("OP503", update=2)]
    )
    assert (root.code, len(root.consequences)) == ("OP503", 2)


@pytest.mark.parametrize(
    ("cause", "effect"),
    [
        (finding("SA301", "encoder.l0"), finding("VG101", "decoder.l0")),
        (finding("OP501", update=20), finding("SA301", "rnn.l0", update=1)),
        (finding("EG201", "l0", "advice"), finding("NF602", "l0")),
    ],
    ids=["another module", "began later", "mere advice"],
)
def test_what_explains_nothing_stays_beside(cause: Finding, effect: Finding) -> None:
    assert fold([cause, effect]) == [cause, effect]


def test_two_that_may_cause_each_other_are_folded_by_time() -> None:
    for update in (1, 30):  # a recurrence that explodes from the start makes the updates too large
        both = [finding("EG201", "l0", update=1), finding("OP501", update=update)]
        assert [each.code for each in fold(both)] == ["EG201"]
    late = [finding("EG201", "l0", update=30), finding("OP501", update=1)]
    assert [each.code for each in fold(late)] == ["OP501"]


def test_weights_without_a_gradient_follow_from_gates_that_are_all_stuck() -> None:
    still = {"trains": True, "owned": True, "with_grad": 0}
    frozen = replace(finding("OP502", "rnn.l0"), evidence=still)
    assert [each.code for each in fold([frozen, finding("SA302", "rnn.l0")])] == ["SA302"]
    some = finding("SA302", "rnn.l0", severity="warning")
    assert len(fold([frozen, some])) == 2, "gates that move let a gradient through"
    unowned = replace(frozen, evidence=still | {"owned": False})
    assert len(fold([unowned, finding("SA302", "rnn.l0")])) == 2, "that is no matter of gates"


def test_the_worst_comes_first_and_options_reach_the_rule() -> None:
    look = Look(
        "rnn.l0", 1, True, "lstm", 100, 4, lags=99, horizon=30, unreached=0.69, rate=-0.2,
        log_credit=tuple(-0.2 * k for k in range(100)), bearing=0.01,
    )  # fmt: skip
    evidence = Evidence({"rnn.l0": [look]})
    rules = [table()["VG101"]]
    assert [each.code for each in judge(evidence, rules)] == ["VG101"]
    assert judge(evidence, rules, {"VG101": {"share": 0.7}}) == []


def test_rules_are_chosen_by_code_name_and_family() -> None:
    assert codes(("NF", "dead-relu-units")) == ["NF601", "NF602", "NF603", "SA303"]
    assert "VG102" not in codes((), ("VG102",))
    assert len(codes()) == 19
    with pytest.raises(UnknownRuleError, match=r"no rule 'VG10l'; the nearest is VG101"):
        codes(("VG10l",))
