"""`bptt run --to`: the numbers of a run in TensorBoard's and MLflow's own files, too."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

Run = Callable[..., subprocess.CompletedProcess[str]]

SCRIPT = """
import torch
net = torch.nn.RNN(1, 8)
optimizer = torch.optim.SGD(net.parameters(), lr=0.01)
for _ in range(3):
    optimizer.zero_grad()
    net(torch.randn(120, 2, 1))[0][-1].square().mean().backward()
    optimizer.step()
print("done")
"""


@pytest.fixture
def script(tmp_path: Path) -> str:
    (tmp_path / "train.py").write_text(SCRIPT, encoding="utf-8")
    return "train.py"


def test_the_numbers_are_there_too(python: Run, tmp_path: Path, script: str) -> None:
    to = ["--to", "tensorboard:tb", "--to", "mlflow:ml"]
    done = python("-m", "bptt", "run", *to, "--out", "run", script)
    assert (done.returncode, done.stdout) == (0, "done\n"), done.stderr
    sites = json.loads((tmp_path / "run" / "findings.json").read_text(encoding="utf-8"))["sites"]
    drawn = EventAccumulator(str(tmp_path / "tb"))
    drawn.Reload()
    assert drawn.Scalars("bptt/horizon/l0")[-1].value == sites["l0"]["horizon"]
    (kept,) = (tmp_path / "ml").glob("*/*/metrics/bptt/horizon/l0")
    assert float(kept.read_text().splitlines()[-1].split()[1]) == sites["l0"]["horizon"]
    (run,) = (tmp_path / "ml").glob("*/*/meta.yaml")
    assert "status: 3" in run.read_text()  # finished: the end of the run reached the sink


def test_one_that_cannot_be_opened_is_told_and_left_out(
    python: Run, tmp_path: Path, script: str
) -> None:
    (tmp_path / "taken").write_text("a file")
    done = python("-m", "bptt", "run", "--to", "tensorboard:taken", "--out", "run", script)
    assert (done.returncode, done.stdout) == (0, "done\n")
    assert "bptt TensorBoard cannot be opened: " in done.stderr
    assert "fault" not in done.stderr
    assert "VG101" in done.stderr


def test_a_kind_that_does_not_exist(python: Run, tmp_path: Path, script: str) -> None:
    done = python("-m", "bptt", "run", "--to", "paper", script)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "bptt: --to paper: expected mlflow:DIR or tensorboard:DIR\n"
    assert not (tmp_path / "runs").exists()
