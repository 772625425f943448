"""Types of a run folder's fields: whatever a run writes fits, and what fits can be shown."""

import json
from pathlib import Path
from typing import Any

import pytest

from bptt._files import link, seal
from bptt.doctor import RunFolderError, open_run
from bptt.doctor import _shapes as shapes
from made_runs import a_run, finding, repair


def test_what_a_run_writes_fits() -> None:
    run = a_run(sites=3, hidden=8)
    for fits, entries in (
        (shapes.PROBE, run.records),
        (shapes.SPECTRA, run.spectra),
        (shapes.UPDATE, run.updates),
        (shapes.FINDING, run.findings),
        (shapes.REPAIR, [repair("l0", 3), repair("l0", 5, outcome="undone", back_to=2)]),
    ):
        assert entries
        assert all(map(fits, json.loads(json.dumps(entries))))
    assert shapes.misshapen(run.run | {"repairs": [repair("l0", 3)], "ends": {"a": None}}) is None


@pytest.mark.parametrize(
    "site",
    [
        "lstm",
        {"kind": 3},
        {"horizon": 1.5},
        {"horizon": True},
        {"rate": "-0.1"},
        {"rate": 1e308},  # math.exp of it is no float
        {"credit": [[0, 1.0, 2.0]]},
        {"credit": [[None, 1.0]]},
        {"total": [[0, 10**400]]},
        {"attribution": {"weight": [[0, 701.0]]}},
        {"saturation": {"gates": {"i": [0.5]}}},
    ],
)
def test_a_site_that_no_page_could_show_does_not_fit(site: Any) -> None:
    assert not shapes.PROBE({"update": 1, "sites": {"l0": site}})


@pytest.mark.parametrize(
    "changed",
    [
        {"code": None},
        {"message": ["a"]},
        {"update": "3"},
        {"confidence": None},
        {"prescriptions": [{"args": {}}]},
        {"prescriptions": {"remedy": "clip_norm"}},
        {"consequences": [{"code": 1}]},
    ],
)
def test_a_finding_that_no_page_could_show_does_not_fit(changed: dict[str, Any]) -> None:
    whole = finding("VG101", "vanishing-through-time", "l0", "error", 1)
    assert shapes.FINDING(whole)
    assert not shapes.FINDING(whole | changed)


@pytest.mark.parametrize("missing", ["args", "site", "lines", "reason", "update", "outcome"])
def test_a_repair_without_what_is_shown_does_not_fit(missing: str) -> None:
    told = repair("l0", 3)
    del told[missing]
    assert not shapes.REPAIR(told)


RUN = {"program": "bptt", "state": "finished"}


@pytest.mark.parametrize(
    "field",
    [
        {"ends": 0.5},
        {"options": "lag=3"},
        {"argv": 5},
        {"state": []},
        {"updates": "many"},
        {"overhead": "2 %"},
        {"repairs": [{"code": "VG101"}]},
    ],
)
def test_a_sealed_run_json_of_other_types_is_refused_by_field(
    field: dict[str, Any], tmp_path: Path
) -> None:
    """Found by fuzzing: the reader, and every page, relied on the types of what a checksum fitted."""
    (tmp_path / "run.json").write_bytes(seal(RUN | field, 2))
    with pytest.raises(
        RunFolderError, match=f"run.json cannot be used.* its '{next(iter(field))}' is of another"
    ):
        open_run(tmp_path)


def test_lines_of_other_types_are_left_out_and_counted(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_bytes(seal(RUN, 2))
    (tmp_path / "findings.json").write_bytes(seal({"findings": [], "notes": None}, 2))
    first, crc = link({"update": 1, "sites": {"l0": {"rate": "steep"}}})
    second, _ = link({"update": 2, "sites": {"l0": {"rate": -0.5}}}, crc)
    (tmp_path / "flow.jsonl").write_bytes(first + second)
    run = open_run(tmp_path)
    assert [each["update"] for each in run.records] == [2]
    assert run.damage == ["flow.jsonl: 1 lines have another shape and are left out"]
