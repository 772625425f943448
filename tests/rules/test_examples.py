"""Every rule fires on its bad example, and no rule fires on any good one. The examples run under the monitor."""

from functools import cache

import pytest
import torch

from bptt.doctor import Monitor
from bptt.rules import Evidence, Finding, table

RULES = table()
each_code = pytest.mark.parametrize("code", RULES)


@cache
def evidence(code: str, kind: str) -> Evidence:
    """What a whole run of the example brought."""
    torch.manual_seed(0)
    example = getattr(RULES[code], kind)()
    with Monitor(example.model, example.optimizer) as monitor:
        example.train()
    assert monitor.fault is None, monitor.fault
    assert len(monitor.findings) >= 0  # brings the evidence up to date
    return monitor.case.evidence


def findings(code: str, kind: str, rule: str) -> list[Finding]:
    """What one rule says of it."""
    return RULES[rule].check(evidence(code, kind), RULES[rule].options)


@each_code
def test_fires_on_its_bad_example(code: str) -> None:
    found = findings(code, "bad", code)
    assert len(found) == 1
    assert (found[0].code, found[0].name) == (code, RULES[code].name)


@each_code
def test_is_silent_on_every_good_example(code: str) -> None:
    said = {good: findings(good, "good", code) for good in RULES}
    assert {good: found for good, found in said.items() if found} == {}


@each_code
def test_the_message_is_short_and_has_numbers(code: str) -> None:
    (found,) = findings(code, "bad", code)
    assert len(found.message) <= 3 * 100
    assert any(letter.isdigit() for letter in found.message)
    assert 0 <= found.confidence <= 1
    assert found.update is not None
    assert found.update >= 1
