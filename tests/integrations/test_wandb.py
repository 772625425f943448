"""Weights & Biases, offline: what its run file holds."""

import json
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import wandb
from wandb.proto.wandb_internal_pb2 import Record  # type: ignore[attr-defined]

from bptt import BpttError
from bptt.integrations import wandb as room
from bptt.integrations.wandb import WeightsAndBiases

HEADER, HEAD, BLOCK = 7, 7, 32768
WHOLE, LAST = 1, 4


def records(folder: Path) -> Iterator[Any]:
    """The records of a run file: LevelDB's log format behind a header.

    The service that writes it has written all of it once it has ended.
    """
    wandb.teardown()
    (file,) = folder.glob("wandb/offline-run-*/run-*.wandb")
    raw, at, content = file.read_bytes(), HEADER, b""
    while at < len(raw):
        left = BLOCK - at % BLOCK
        if left < HEAD:
            at += left
            continue
        size, kind = struct.unpack("<HB", raw[at + 4 : at + HEAD])
        content += raw[at + HEAD : at + HEAD + size]
        at += HEAD + size
        if kind in (WHOLE, LAST):
            record = Record()
            record.ParseFromString(content)
            yield record
            content = b""


def values(items: Any) -> dict[str, Any]:
    return {each.key or "/".join(each.nested_key): json.loads(each.value_json) for each in items}


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    wandb.teardown()  # its service is a process


def test_a_run_is_in_the_file(watched: Callable[..., Any], folder: Path) -> None:
    flows = watched(WeightsAndBiases(dir=folder))
    assert wandb.run is None  # begun here, ended here
    found = list(records(folder))
    rows = [
        values(each.history.item) for each in found if each.WhichOneof("record_type") == "history"
    ]
    for name in ("horizon", "rate", "unreached"):
        drawn = [
            (row["bptt/update"], row[f"bptt/{name}/l0"]) for row in rows if f"bptt/{name}/l0" in row
        ]
        expected = [(update, getattr(flow["l0"], name)) for update, flow in flows]
        assert drawn == [(update, pytest.approx(value)) for update, value in expected]
    assert [row["bptt/update"] for row in rows if "bptt/gradient_norm/max" in row] == [3, 4]
    summaries = [
        values(each.summary.update) for each in found if each.WhichOneof("record_type") == "summary"
    ]
    (verdict,) = [each["bptt/verdict"] for each in summaries if "bptt/verdict" in each][-1:]
    assert verdict[0] == "VG101 l0"
    axes = [
        (each.metric.glob_name, each.metric.step_metric)
        for each in found
        if each.HasField("metric")
    ]
    assert axes == [("bptt/*", "bptt/update")]
    table = max(folder.rglob("*.table.json"), key=lambda file: file.stat().st_mtime_ns)
    assert json.loads(table.read_text())["data"][0][1:4] == ["VG101", "l0", "error"]
    (end,) = [each.exit.exit_code for each in found if each.WhichOneof("record_type") == "exit"]
    assert end == 0


def test_a_run_of_the_users_goes_on(folder: Path) -> None:
    with wandb.init(project="mine", dir=folder) as run:
        run.log({"loss": 1.0}, step=50)
        sink = WeightsAndBiases()
        sink.open()
        sink.numbers(3, {"bptt/horizon/l0": 2.0})  # a smaller count than the user's own steps
        sink.close("failed")
        run.log({"loss": 0.5}, step=60)
    rows = [
        values(each.history.item)
        for each in records(folder)
        if each.WhichOneof("record_type") == "history"
    ]
    assert [row["loss"] for row in rows if "loss" in row] == [1.0, 0.5]
    assert [
        (row["bptt/update"], row["bptt/horizon/l0"]) for row in rows if "bptt/update" in row
    ] == [(3, 2.0)]


def test_without_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*told: str) -> None:
        raise BpttError(" ".join(told))

    monkeypatch.setattr(room, "need", missing)
    with pytest.raises(BpttError, match="wandb wandb wandb"):
        WeightsAndBiases()
