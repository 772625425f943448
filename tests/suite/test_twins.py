"""Every faulty script of the suite has a twin that was mended by hand: `benchmarks/repair.py` leaves none out."""

import importlib
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from scripts import ROOT
from suite.runner import Case, cases

FAULTY = [case for case in cases() if case.faulty]


@pytest.fixture(scope="module")
def twins() -> Iterator[Any]:
    """The benchmarks' own module."""
    sys.path.insert(0, str(ROOT / "benchmarks"))
    yield importlib.import_module("_twins")
    sys.path.remove(str(ROOT / "benchmarks"))


def test_every_faulty_script_has_a_twin(twins: Any) -> None:
    assert set(twins.TWINS) == {str(case) for case in FAULTY}
    assert set(twins.INCOMPARABLE) <= set(twins.TWINS)


@pytest.mark.parametrize("case", FAULTY, ids=str)
def test_a_twin_is_its_script_but_for_the_fault(case: Case, twins: Any) -> None:
    text = case.path.read_text(encoding="utf-8")
    mended = twins.mended(str(case), text)
    compile(mended, str(case), "exec")
    assert mended != text
    kept = [line for line in text.splitlines() if line in mended.splitlines()]
    assert len(kept) >= 0.7 * len(text.splitlines())


def test_a_script_that_has_changed_is_told(twins: Any) -> None:
    with pytest.raises(ValueError, match="no longer contains"):
        twins.mended("op501/adam_at_one", "lr=2.0")
