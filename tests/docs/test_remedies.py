"""docs/remedies.md: its table is the one that benchmarks/horizons.py measured, and it names what there is."""

import importlib.util
import json
import re
import sys
from types import ModuleType

import pytest

from bptt.remedies import table
from scripts import ROOT


@pytest.fixture(scope="module")
def horizons() -> ModuleType:
    path = ROOT / "benchmarks" / "horizons.py"
    spec = importlib.util.spec_from_file_location("horizons", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(path.parent))
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(path.parent))
    return module


def test_the_pages_table_is_the_measured_one(horizons: ModuleType) -> None:
    rows = json.loads((horizons.RESULTS / "horizons.json").read_text(encoding="utf-8"))["rows"]
    found, right = horizons.page(rows)
    assert found == right
    assert len(rows) == sum(len(options) for _, options in horizons.ROWS.values())


def test_a_changed_number_would_be_seen(horizons: ModuleType) -> None:
    rows = json.loads((horizons.RESULTS / "horizons.json").read_text(encoding="utf-8"))["rows"]
    rows[0]["784"]["horizon"] += 1
    found, right = horizons.page(rows)
    assert found != right


def test_the_known_horizons_are_reproduced(horizons: ModuleType) -> None:
    """Figures measured earlier by another program with the same set-up."""
    rows = json.loads((horizons.RESULTS / "horizons.json").read_text(encoding="utf-8"))["rows"]
    found = {(row["cell"], row["remedy"]): row["784"] for row in rows}
    plain = "as torch draws it"
    known = {
        ("LSTM", plain): 12,
        ("LSTM", "`forget_bias(value=1.0)`"): 38,
        ("GRU", plain): 13,
        ("tanh RNN", plain): 11,
        ("tanh RNN", "`orthogonal`"): 70,
    }
    for key, horizon in known.items():
        assert abs(found[key]["horizon"] - horizon) <= max(1, 0.05 * horizon), key
    assert found["LSTM", "`forget_bias(value=3.0)`"]["all"]
    assert found["GRU", "`chrono(lag=T)`"]["all"]


def test_the_page_names_every_remedy_of_its_two_rooms(horizons: ModuleType) -> None:
    named = set(re.findall(r"`(\w+)\(", horizons.PAGE.read_text(encoding="utf-8")))
    rooms = ("initialisation", "structure")
    assert {name for name, row in table().items() if row.kind in rooms} <= named
