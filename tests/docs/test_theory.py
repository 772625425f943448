"""docs/theory.md: its numbers are those that its code computes, and its sentences are true of them."""

import importlib.util
from types import ModuleType

import pytest

from scripts import ROOT


@pytest.fixture(scope="module")
def theory() -> ModuleType:
    spec = importlib.util.spec_from_file_location("theory", ROOT / "docs" / "theory.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def values(theory: ModuleType) -> dict[str, str]:
    return theory.numbers()


def test_every_number_on_the_page_is_the_computed_one(
    theory: ModuleType, values: dict[str, str]
) -> None:
    text = theory.PAGE.read_text(encoding="utf-8")
    found = list(theory.NUMBER.finditer(text))
    assert len(found) > 50
    assert {m["name"]: m["value"] for m in found if m["value"] != values[m["name"]]} == {}


def test_a_wrong_number_would_be_seen(theory: ModuleType) -> None:
    assert theory.rewritten("0.3<!--a.b--> and 1.2e-03<!--c-->", {"a.b": "7", "c": "8"}) == (
        "7<!--a.b--> and 8<!--c-->"
    )


def test_the_sentences_hold(values: dict[str, str]) -> None:
    of = {name: float(value) for name, value in values.items()}
    assert of["plain.radius"] < 1 < of["plain.norm"]
    assert of["plain.slope"] > of["plain.weights"]  # the weights are to blame
    assert of["plain.bound10"] > 1 > of["plain.credit10"]
    assert of["shear.radius"] == 0.5
    assert of["shear.top"] > 10
    assert of["quiet.horizon"] > of["normal.horizon"] > of["loud.horizon"]
    assert of["quiet.weights"] == of["normal.weights"] == of["loud.weights"] == 1
    assert of["learning.last10"] > 99
    assert of["learning.first50"] < 1e-6
    assert of["steep.growth"] > 10
    assert of["clip.cosine"] == 1
    assert of["identity.horizon"] > of["relu.horizon"]
    assert of["lstm.horizon"] < of["lstm1.horizon"] < of["lstm3.horizon"]
    assert abs(of["lstm.horizon"] - of["plain.horizon"]) < 3
    assert of["lstm.exponent"] < of["lstm1.exponent"] < of["lstm3.exponent"]
