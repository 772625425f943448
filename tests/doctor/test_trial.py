"""When a repair counts as proved, as failed, and as not judged yet."""

import math

from bptt.doctor._fresh import Since
from bptt.doctor._trial import Case, judged
from bptt.rules import Evidence, Finding, Look, Updates, rule


def on_trial(code: str, whole: Evidence, site: str = "", settled: int = 0) -> Case:
    return Case(Finding(code, "", site, "error", ""), [], mark=Since(whole, 0), settled=settled)


def updates(losses: list[float]) -> Evidence:
    n = len(losses)
    nothing = [math.nan] * n
    return Evidence(
        updates=Updates(
            loss=list(losses),
            norm=[1.0] * n,
            unclipped=[1.0] * n,
            clip=list(nothing),
            coefficient=list(nothing),
            ratio=[1e-3] * n,
            lr=[0.01] * n,
        )
    )


def say(case: Case, whole: Evidence, update: int) -> str | None:
    return judged(case, whole, update, rule(case.finding.code).options)


def test_a_rule_that_reads_updates_is_waited_for() -> None:
    case = on_trial("OP501", Evidence())
    assert say(case, updates([1.0, 0.9, 0.8]), 3) is None
    assert say(case, updates([1.0, 0.9, 0.8, 0.7]), 4) == ""


def test_a_loss_that_doubles_is_no_cure_of_steps_that_are_too_large() -> None:
    case = on_trial("OP501", Evidence())
    assert "the loss went from 1 to 3" in (say(case, updates([1.0, 2.0, 3.0, 3.0]), 4) or "")


def saturated(share: float, update: int, site: str = "rnn.l0") -> Look:
    return Look(site, update, False, "rnn_tanh", steps=10, batch=2, saturated=share)


def test_a_rule_that_reads_states_needs_one_look_after_the_repair() -> None:
    whole = Evidence(looks={"rnn.l0": [saturated(0.9, 0)]})
    case = on_trial("SA301", whole, "rnn.l0")
    assert say(case, whole, 1) is None
    whole.looks["rnn.l0"].append(saturated(0.95, 1))
    assert "95 %" in (say(case, whole, 1) or "")
    whole.looks["rnn.l0"].append(saturated(0.1, 2))
    assert say(case, whole, 2) == ""


def test_another_site_is_another_case() -> None:
    whole = Evidence(
        looks={"a.l0": [saturated(0.1, 1, "a.l0")], "b.l0": [saturated(0.9, 1, "b.l0")]}
    )
    assert say(on_trial("SA301", Evidence(), "a.l0"), whole, 1) == ""


def test_what_was_seen_before_a_repair_does_all_it_can_does_not_count() -> None:
    whole = Evidence(looks={"rnn.l0": [saturated(0.9, 3)]})
    case = on_trial("SA301", Evidence(), "rnn.l0", settled=5)
    assert say(case, whole, 5) is None
    whole.looks["rnn.l0"].append(saturated(0.1, 6))
    assert say(case, whole, 6) == ""
