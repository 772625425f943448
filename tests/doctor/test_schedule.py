"""The schedule keeps to its budget whatever probes cost."""

import math

from hypothesis import given
from hypothesis import strategies as st

from bptt.doctor import Schedule
from bptt.doctor._schedule import FREE

SECONDS = st.floats(1e-4, 10.0)


@given(
    budget=st.floats(1e-3, 1.0),
    costs=st.lists(SECONDS, min_size=1, max_size=30),
    update=SECONDS,
)
def test_at_each_start_the_budget_covers_a_probe_like_those_before(
    budget: float, costs: list[float], update: float
) -> None:
    schedule = Schedule(budget)
    spent = elapsed = 0.0
    for probes, cost in enumerate(costs):
        while not schedule.due(spent, probes, elapsed):
            elapsed += max(update, schedule.wait(spent, probes, elapsed) / 10)
        assert probes == 0 or spent + spent / probes <= budget * elapsed * (1 + 1e-9)
        spent, elapsed = spent + cost, elapsed + cost


@given(spent=SECONDS, probes=st.integers(1, 99), elapsed=SECONDS)
def test_after_the_wait_it_is_due(spent: float, probes: int, elapsed: float) -> None:
    schedule = Schedule(0.02)
    wait = schedule.wait(spent, probes, elapsed)
    assert schedule.due(spent, probes, elapsed + wait * (1 + 1e-9))
    assert wait == 0.0 or not schedule.due(spent, probes, elapsed + 0.99 * wait)


def test_without_budget_only_the_first() -> None:
    assert Schedule(0.0).due(0.0, 0, 0.0)
    assert Schedule(0.0).wait(0.1, 1, 1e9) == math.inf


@given(spent=st.floats(0.0, 1e3), probes=st.integers(1, 99), elapsed=st.floats(0.0, 1e5))
def test_a_milestone_is_let_through_while_it_is_cheap_or_paid_for(
    spent: float, probes: int, elapsed: float
) -> None:
    schedule = Schedule(0.02)
    expected = spent + spent / probes
    assert schedule.forced(spent, probes, elapsed) == (
        expected <= FREE or expected <= 0.02 * elapsed
    )
