"""MLflow's own client finds the numbers, the tag and the file, in a local folder."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow
import pytest
from mlflow import MlflowClient

from bptt import BpttError
from bptt.integrations import mlflow as room
from bptt.integrations.mlflow import MLflow
from bptt.rules import Finding


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """One that is not there yet: MLflow puts its default experiment into those that it makes."""
    return tmp_path / "ml runs"


@pytest.fixture
def client(folder: Path, monkeypatch: pytest.MonkeyPatch) -> MlflowClient:
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    return MlflowClient(tracking_uri=folder.as_uri())


def only_run(client: MlflowClient) -> Any:
    experiment = client.get_experiment_by_name("bptt")
    assert experiment is not None
    (run,) = client.search_runs([experiment.experiment_id])
    return run


def test_a_run_is_in_the_folder(
    watched: Callable[..., Any], client: MlflowClient, folder: Path
) -> None:
    flows = watched(MLflow(folder))
    run = only_run(client)
    for name in ("horizon", "rate", "unreached"):
        history = client.get_metric_history(run.info.run_id, f"bptt/{name}/l0")
        expected = [(update, float(getattr(flow["l0"], name))) for update, flow in flows]
        assert [(each.step, each.value) for each in history] == expected
    norms = client.get_metric_history(run.info.run_id, "bptt/gradient_norm/mean")
    assert [each.step for each in norms] == [3, 4]
    assert run.info.status == "FINISHED"
    assert "VG101 l0" in run.data.tags["bptt.findings"]
    (file,) = folder.glob(f"*/{run.info.run_id}/artifacts/bptt/findings.json")
    told = json.loads(file.read_text(encoding="utf-8"))
    assert told["update"] == 4
    assert told["findings"][0]["code"] == "VG101"


def test_the_folder_is_allowed_for_that_moment_only(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_ALLOW_FILE_STORE", raising=False)
    sink = MLflow(folder)
    sink.open()
    assert "MLFLOW_ALLOW_FILE_STORE" not in os.environ
    sink.numbers(1, {"bptt/horizon/a<b>": 1.0})
    sink.findings(1, [])
    sink.close("interrupted")
    (value,) = folder.glob("*/*/metrics/bptt/horizon/a_b_")
    assert value.read_text().split()[1:] == ["1.0", "1"]
    (meta,) = folder.glob("*/*/meta.yaml")
    assert "status: 5" in meta.read_text()  # killed


def test_a_run_of_the_users_goes_on(client: MlflowClient, folder: Path) -> None:
    mlflow.set_tracking_uri(folder.as_uri())
    try:
        with mlflow.start_run() as run:
            sink = MLflow()
            sink.open()
            sink.numbers(7, {"bptt/horizon/l0": 2.0})
            sink.findings(7, [Finding("VG101", "x", "s" * 9000, "error", "words")])
            sink.close("failed")
            mlflow.log_metric("loss", 0.5)
    finally:
        mlflow.set_tracking_uri(None)  # type: ignore[arg-type]
    done = client.get_run(run.info.run_id)
    assert done.info.status == "FINISHED"
    assert done.data.metrics == {"bptt/horizon/l0": 2.0, "loss": 0.5}


def test_a_run_by_its_number(client: MlflowClient, folder: Path) -> None:
    run = client.create_run(client.create_experiment("mine"))
    sink = MLflow(folder, run_id=run.info.run_id)
    sink.open()
    sink.numbers(1, {"bptt/rate/l0": -0.5})
    sink.close("finished")
    assert client.get_run(run.info.run_id).data.metrics == {"bptt/rate/l0": -0.5}
    assert client.get_run(run.info.run_id).info.status == "RUNNING"


def test_without_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*told: str) -> None:
        raise BpttError(" ".join(told))

    monkeypatch.setattr(room, "need", missing)
    with pytest.raises(BpttError, match="mlflow MLflow mlflow"):
        MLflow()
