"""Every rule's page: the table of codes, the headings, the thresholds it names."""

import re

import pytest

from bptt.rules import Rule, UnknownRuleError, chosen, rule, table

# The contract: codes and names never change their meaning.
NAMES = {
    "VG101": "vanishing-through-time",
    "VG102": "short-memory",
    "VG103": "gradient-underflow",
    "EG201": "exploding-through-time",
    "EG202": "gradient-spikes",
    "EG203": "clipping-always-on",
    "SA301": "saturated-activation",
    "SA302": "saturated-gates",
    "SA303": "dead-relu-units",
    "TR401": "gradient-cut-through-time",
    "TR402": "truncation-discards-credit",
    "TR403": "padding-in-the-path",
    "OP501": "update-too-large",
    "OP502": "frozen-recurrence",
    "OP503": "gradients-never-cleared",
    "NF601": "non-finite-forward",
    "NF602": "non-finite-backward",
    "NF603": "non-finite-input",
    "LA701": "batch-time-swap",
}
HEADINGS = [
    "What it does",
    "Why it is bad",
    "Evidence",
    "Threshold",
    "Examples",
    "Remedies",
    "Known limits",
    "References",
]
RULES = list(table().values())
each_rule = pytest.mark.parametrize("row", RULES, ids=lambda row: row.code)


def test_the_table_is_the_contracts() -> None:
    assert {row.code: row.name for row in RULES} == NAMES


@each_rule
def test_the_page_has_all_headings_in_order_and_none_is_empty(row: Rule) -> None:
    parts = re.split(r"^## (.+)$", row.page, flags=re.MULTILINE)
    assert parts[1::2] == HEADINGS
    assert all(len(text.split()) >= 1 for text in parts[2::2])


@each_rule
def test_the_page_names_every_threshold_with_its_value(row: Rule) -> None:
    said = row.page.split("## Threshold")[1].split("## Examples")[0]
    for name, value in row.options.items():
        number = re.search(rf"`{name}`\s([\d.,e]*\d)", said)
        assert number is not None, f"the page does not say what `{name}` is"
        assert float(number[1].replace(",", "")) == value


@each_rule
def test_the_page_explains_what_its_examples_are(row: Rule) -> None:
    said = row.page.split("## Examples")[1].split("## Remedies")[0]
    assert "`bad()`" in said
    assert "`good()`" in said
    assert row.bad.__doc__
    assert row.good.__doc__


def test_rules_are_chosen_by_code_name_and_family() -> None:
    assert [row.code for row in chosen(("NF",))] == ["NF601", "NF602", "NF603"]
    assert [row.code for row in chosen(("vg101", "padding-in-the-path"))] == ["TR403", "VG101"]
    assert "OP502" not in {row.code for row in chosen((), ("OP502",))}
    with pytest.raises(UnknownRuleError, match="nearest is VG101"):
        rule("VG1001")
