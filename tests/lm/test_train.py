"""Training: it learns, survives what ends it, refuses what it cannot go on with, and leaves the good files alone."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from bptt.lm import Config, LmError, Result, _files, evaluate, load_model, resumed, train
from bptt.lm._keep import read_checkpoint
from bptt.lm._module import Training

TEXT = "the quick brown fox jumps over the lazy dog and it goes on and on and on. " * 60
PROGRAM = Path(__file__).with_name("trainings.py")


def small(path: Path, **changed: Any) -> Config:
    text = path / "text.txt"
    text.write_text(TEXT, encoding="utf-8")
    told: dict[str, Any] = {
        "files": (str(text),),
        "hidden": 16,
        "batch": 4,
        "length": 16,
        "updates": 12,
        "validate_every": 5,
        "save_every": 3,
        "validation_tokens": 400,
        "warmup": 2,
    }
    return Config(**(told | changed))


def quiet(config: Config, out: Path, *, resume: bool = False) -> Result:
    return train(config, out, resume=resume, say=lambda line: None)


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[Config, Path]:
    """A run of twelve updates, not to be changed."""
    path = tmp_path_factory.mktemp("done")
    config = small(path)
    quiet(config, path / "run")
    return config, path / "run"


def test_it_learns(tmp_path: Path) -> None:
    result = quiet(small(tmp_path, updates=150, validate_every=150, lr=0.02), tmp_path / "run")
    assert result.points[-1].bits < 1.5  # 4.2 for an answer by frequency
    assert result.points[-1].training < 2.5
    model, vocabulary = load_model(result.folder)
    assert evaluate(model, vocabulary, [[TEXT[:500]]]).bits < 1.5
    log = (tmp_path / "run" / "log.jsonl").read_text(encoding="utf-8")
    assert json.loads(log)["bits"] == result.points[-1].bits


def test_killed_at_random_moments_it_ends_as_if_it_had_not_been(tmp_path: Path) -> None:
    config = small(tmp_path, updates=240, save_every=4, validate_every=30, dropout=0.1, layers=2)
    told = {"config": config.to_json(), "folder": str(tmp_path), "kills": 3, "seed": 0}
    ran = subprocess.run(
        [sys.executable, str(PROGRAM)],
        input=json.dumps(told),
        capture_output=True,
        text=True,
        timeout=200,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    assert ran.returncode == 0, ran.stderr[-2000:]
    found = json.loads(ran.stdout)
    assert set(found["same"].values()) == {True}, found
    assert 0 < found["at"][0] <= found["at"][1] <= found["at"][2] < 240


def test_two_processes_are_one(tmp_path: Path) -> None:
    """An odd number of lanes, dropout, and documents that end: what processes could get wrong between them."""
    told: dict[str, Any] = {"dropout": 0.1, "weight_drop": 0.1, "batch": 7, "updates": 50}
    config = small(tmp_path, **told, save_every=10, validate_every=20)
    given = {"config": config.to_json(), "folder": str(tmp_path), "kills": 0, "more": 60}
    ran = subprocess.run(
        [sys.executable, str(PROGRAM)],
        input=json.dumps(given),
        capture_output=True,
        text=True,
        timeout=200,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    assert ran.returncode == 0, ran.stderr[-2000:]
    found = json.loads(ran.stdout)
    assert (found["two"], found["updates"]) == ([0, 0], 60)
    for what in ("apart", "to one", "to three"):
        assert found[what] < 2e-6, found  # weights and states are of size 1
    assert found["lost"] == [9, -9]
    assert found["saved"] > 0
    assert "this process lost the others" in ran.stderr
    assert "with any number of processes" in ran.stderr


def test_the_callers_random_numbers_are_left_alone(tmp_path: Path) -> None:
    before = torch.random.get_rng_state()
    quiet(small(tmp_path, dropout=0.1), tmp_path / "run")
    assert torch.equal(torch.random.get_rng_state(), before)


def test_a_finished_run_goes_on_when_given_more(tmp_path: Path) -> None:
    config = small(tmp_path, minutes=60.0)
    quiet(config, tmp_path / "run")
    more = resumed(tmp_path / "run", updates=20)
    result = quiet(more, tmp_path / "run", resume=True)
    assert [point.update for point in result.points] == [5, 10, 12, 15, 20]
    assert (result.updates, result.reason) == (20, "updates")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_leaves_a_checkpoint(
    tmp_path: Path, number: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = Training.optimizer_step

    def stopping(self: Training, *args: Any, **kwargs: Any) -> None:
        step(self, *args, **kwargs)
        if self.global_step == 6:  # it counts once the step has returned
            os.kill(os.getpid(), number)

    before = signal.getsignal(number)
    monkeypatch.setattr(Training, "optimizer_step", stopping)
    said: list[str] = []
    result = train(small(tmp_path), tmp_path / "run", say=said.append)
    assert (result.reason, result.updates, result.stopped) == (number.name, 7, True)
    assert f"stopped by {number.name} after update 7, which is saved" in said[-1]
    assert read_checkpoint(tmp_path / "run" / "last.ckpt")["global_step"] == 7
    assert signal.getsignal(number) is before
    run = json.loads((tmp_path / "run" / "run.json").read_text(encoding="utf-8"))
    assert run["state"] == "interrupted"


def test_it_ends_with_its_time_and_with_its_patience(tmp_path: Path) -> None:
    config = small(tmp_path, updates=0, minutes=1e-5)
    result = quiet(config, tmp_path / "time")
    assert (result.updates, result.reason, len(result.points)) == (1, "time", 1)
    stuck = small(tmp_path, lr=1e-12, updates=100, validate_every=1, patience=3, weight_decay=0.0)
    assert quiet(stuck, tmp_path / "patience").reason == "patience"


def test_the_monitor_writes_to_the_run_folder(done: tuple[Config, Path]) -> None:
    findings = json.loads((done[1] / "findings.json").read_text(encoding="utf-8"))
    assert findings["sites"]["layers.0.l0"]["steps"] == 16
    assert findings["notes"] == []
    assert not (done[1] / "fault.txt").exists()
    assert not list(done[1].glob("lightning_logs"))


def test_a_monitored_run_is_the_run_without(tmp_path: Path) -> None:
    weights = []
    for budget in (0.02, -1.0):
        out = tmp_path / str(budget)
        quiet(small(tmp_path, budget=budget), out)
        weights.append(read_checkpoint(out / "last.ckpt")["state_dict"])
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


# What cannot go on.


def test_a_checkpoint_of_another_model_is_refused(
    done: tuple[Config, Path], tmp_path: Path
) -> None:
    run = done[1]
    other = small(tmp_path, cell="gru")
    quiet(other, tmp_path / "run")
    good = (tmp_path / "run" / "last.ckpt").read_bytes()
    (tmp_path / "run" / "last.ckpt").write_bytes((run / "last.ckpt").read_bytes())
    with pytest.raises(LmError, match="of another model: its cell is 'lstm', here it is 'gru'"):
        quiet(other, tmp_path / "run", resume=True)
    for content, sentence in ((good[: len(good) // 2], "is not a checkpoint"), (b"", "is not a")):
        (tmp_path / "run" / "last.ckpt").write_bytes(content)
        with pytest.raises(LmError, match=sentence):
            quiet(other, tmp_path / "run", resume=True)


def test_a_checkpoint_that_would_run_code_is_refused(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> Any:
            return (Path.touch, (tmp_path / "ran",))

    torch.save({"bptt": Evil()}, tmp_path / "last.ckpt")
    with pytest.raises(LmError, match="is not a checkpoint"):
        read_checkpoint(tmp_path / "last.ckpt")
    assert not (tmp_path / "ran").exists()


def test_what_is_no_model_is_a_sentence(done: tuple[Config, Path], tmp_path: Path) -> None:
    with pytest.raises(LmError, match="does not exist; give the folder of a training"):
        load_model(tmp_path)
    path = tmp_path / "model.safetensors"
    path.write_bytes((done[1] / "model.safetensors").read_bytes()[:200])
    with pytest.raises(LmError, match="is not a model of bptt train"):
        load_model(tmp_path)
    with pytest.raises(LmError, match="no training to resume"):
        resumed(tmp_path)


def test_a_full_disk_leaves_the_last_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = small(tmp_path)
    quiet(config, tmp_path / "run")
    before = (tmp_path / "run" / "last.ckpt").read_bytes()

    def full(number: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(
        LmError, match="could not be written: No space left on device; the one before"
    ):
        _files.write(tmp_path / "run" / "last.ckpt", lambda file: file.write(b"half"))
    assert (tmp_path / "run" / "last.ckpt").read_bytes() == before
    assert not list((tmp_path / "run").glob(".last*"))


def test_a_new_training_in_the_folder_of_another_keeps_what_that_one_had(tmp_path: Path) -> None:
    config, run = small(tmp_path), tmp_path / "run"
    quiet(config, run)
    names = ("config.json", "last.ckpt", "model.safetensors", "log.jsonl", "run.json")
    before = {name: (run / name).read_bytes() for name in names}
    quiet(replace(config, seed=1), run)
    (kept,) = (run / "earlier").iterdir()
    assert {name: (kept / name).read_bytes() for name in names} == before
    assert all((run / name).read_bytes() != before[name] for name in names)


def test_a_vanished_text_does_not_stop_a_resumption(tmp_path: Path) -> None:
    config = small(tmp_path)
    quiet(config, tmp_path / "run")
    (tmp_path / "text.txt").unlink()
    more = replace(config, updates=14)
    assert quiet(more, tmp_path / "run", resume=True).updates == 14
    (tmp_path / "run" / "tokens" / "tokens.bin").unlink()
    with pytest.raises(LmError, match=r"tokens.bin cannot be read"):
        quiet(more, tmp_path / "run", resume=True)
    with pytest.raises(LmError, match=r"text.txt cannot be read: No such file"):
        quiet(config, tmp_path / "new")


def test_a_loss_that_is_not_finite_ends_the_run(tmp_path: Path) -> None:
    config = small(tmp_path, optimizer="sgd", lr=1e38, clip=0.0, weight_decay=0.0)
    with pytest.raises(LmError, match=r"not finite at update .*Give a smaller --lr"):
        quiet(config, tmp_path / "run")
