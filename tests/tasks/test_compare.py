"""The table of published and measured numbers: every task is in it, and every difference is named."""

from dataclasses import replace

import pytest

from bptt.tasks import Variant, compared, table
from bptt.tasks._compare import differences, measured, variant_of

PAPER = Variant(
    source="", task={"length": (50, 200)}, cell="rnn", hidden=50, clip=1.0, clip_by="value"
)


def test_every_task_has_a_block() -> None:
    blocks = {block.splitlines()[0]: block for block in compared().split("\n\n")}
    assert list(blocks) == list(table())
    for name, block in blocks.items():
        assert len(table()[name].published) == block.count("\n  published  ") >= 1
        rows = [row for row in measured() if row["task"] == name]
        assert block.count("\n  measured   ") == max(1, len(rows))
        assert ("not yet" in block) == (not rows)
        assert (block.count("\n  different  ") >= 1) == bool(rows)


def test_what_was_measured_is_what_the_tasks_say() -> None:
    """No row is older than the small settings: a GRU's rows were made with those in the task's file."""
    grus = [row for row in measured() if row["variant"]["cell"] == "gru"]
    assert grus
    for row in grus:
        small = table()[row["task"]].small
        made = replace(variant_of(row["variant"]), source=small.source)
        assert made == small, f"{row['task']}: run benchmarks/tasks.py again"


def test_solved_runs_are_those_below_the_criterion() -> None:
    for row in measured():
        allowed = table()[row["task"]].make(**variant_of(row["variant"]).task).allowed
        for run in row["runs"]:
            assert (run["solved"] is not None) == (
                run["last"] is not None and run["last"][3] < allowed
            )


def test_no_difference() -> None:
    assert differences(PAPER, replace(PAPER, source="another", every=7)) == []


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("task", {"length": 20}, "length 20, not 50-200"),
        ("task", {"length": (50, 200), "bits": 3}, "bits 3, not None"),
        ("cell", "gru", "gru, not rnn"),
        ("hidden", 64, "64 units, not 50"),
        ("lr", 0.01, "learning rate 0.01, not 0.001"),
        ("updates", 12000, "at most 12,000 updates, not 4,000"),
        ("clip", None, "unclipped, not clipped at 1 by value"),
        ("clip_by", "norm", "clipped at 1 by norm, not clipped at 1 by value"),
    ],
)
def test_each_difference_is_named(field: str, value: object, said: str) -> None:
    assert differences(PAPER, replace(PAPER, **{field: value})) == [said]
