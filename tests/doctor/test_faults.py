"""Faults of disk, folder and clock while a monitor watches: the training ends as without one, and one sentence says
what failed.
"""

import errno
import os
import random
import resource
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from bptt.doctor import Monitor, RunFolder, RunFolderError, open_run

UPDATES = 8


def weights(
    out: Path | None, amid: Callable[[int], object] = lambda update: None, budget: float = 10.0
) -> bytes:
    """The weights after a training of a few updates, watched if `out` is told; `amid` is called before each."""
    torch.manual_seed(0)
    model = nn.ModuleDict({"rnn": nn.LSTM(2, 6), "out": nn.Linear(6, 1)})
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)

    def train() -> None:
        for update in range(1, UPDATES + 1):
            amid(update)
            x = torch.randn(7, 3, 2)
            optimizer.zero_grad()
            (model["out"](model["rnn"](x)[0][-1]) - x.sum(0)[:, :1]).square().mean().backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()

    if out is None:
        train()
    else:
        with Monitor(model, optimizer, out=out, budget=budget) as monitor:
            train()
        assert monitor.fault is None, monitor.fault
        assert monitor.updates == UPDATES
    return b"".join(value.numpy().tobytes() for value in model.state_dict().values())


@pytest.fixture(scope="module")
def unwatched() -> bytes:
    """The weights of the training without a monitor."""
    return weights(None)


@contextmanager
def no_file_longer_than(size: int) -> Iterator[None]:
    """As on a full disk: a write beyond it raises OSError."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def one_sentence(capsys: pytest.CaptureFixture[str], *parts: str) -> None:
    told = capsys.readouterr().err
    assert len(told.splitlines()) == 1, told
    assert told.startswith("bptt: some results could not be written to ")
    assert all(part in told for part in (*parts, "the script was not affected")), told


@pytest.mark.parametrize("size", [0, 300, 4000])
def test_a_full_disk(
    size: int, tmp_path: Path, capsys: pytest.CaptureFixture[str], unwatched: bytes
) -> None:
    with no_file_longer_than(size):
        assert weights(tmp_path / "run") == unwatched
    one_sentence(capsys, str(tmp_path / "run"), os.strerror(errno.EFBIG))
    if (tmp_path / "run" / "run.json").exists():
        assert all("end is missing" not in each for each in open_run(tmp_path / "run").damage)


def test_a_disk_that_has_room_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], unwatched: bytes
) -> None:
    limit = no_file_longer_than(1000)

    def amid(update: int) -> None:
        if update == 3:
            limit.__enter__()
        if update == 6:
            limit.__exit__(None, None, None)

    assert weights(tmp_path / "run", amid) == unwatched
    one_sentence(capsys, os.strerror(errno.EFBIG))
    run = open_run(tmp_path / "run")
    assert run.damage == []
    assert (run.run["state"], run.updates[-1]["update"], len(run.updates)) == (
        "finished", UPDATES, UPDATES,
    )  # fmt: skip
    probed = [record["update"] for record in run.records]
    assert probed[-1] == UPDATES
    assert set(probed) < set(range(1, UPDATES + 1)), "what did not fit is missing, and no more"


def test_a_folder_that_can_no_longer_be_written(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    unwatched: bytes,
) -> None:
    really: Any = os.open

    def read_only(path: Any, flags: int, *rest: Any) -> int:
        if flags & (os.O_WRONLY | os.O_RDWR) and str(path).startswith(str(tmp_path)):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))
        return really(path, flags, *rest)

    def amid(update: int) -> None:
        if update == 5:
            monkeypatch.setattr(os, "open", read_only)

    assert weights(tmp_path / "run", amid) == unwatched
    monkeypatch.undo()
    one_sentence(capsys, os.strerror(errno.EROFS))
    assert open_run(tmp_path / "run").run["state"] == "running", "its last word was not taken"


def test_a_folder_that_cannot_be_written_from_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(RunFolderError, match="Read-only file system; name another one"):
        Monitor(nn.GRU(2, 2), out=tmp_path / "run")


def test_a_folder_that_is_deleted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], unwatched: bytes
) -> None:
    def amid(update: int) -> None:
        if update == 5:
            shutil.rmtree(tmp_path / "run")

    assert weights(tmp_path / "run", amid) == unwatched
    one_sentence(capsys, os.strerror(errno.ENOENT))
    assert not (tmp_path / "run").exists(), "who deleted it does not want it back"


def test_clocks_that_jump(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    unwatched: bytes,
) -> None:
    draw = random.Random(0)
    for name in ("time", "perf_counter", "monotonic"):
        monkeypatch.setattr(time, name, lambda: draw.uniform(-1e9, 1e9))
    told = weights(tmp_path / "run", budget=0.02)
    monkeypatch.undo()
    assert told == unwatched
    assert capsys.readouterr().err == ""
    run = open_run(tmp_path / "run")
    assert (run.damage, run.run["state"], len(run.updates)) == ([], "finished", UPDATES)
    assert run.records[0]["update"] == 1


def test_two_runs_that_are_given_one_folder(tmp_path: Path, unwatched: bytes) -> None:
    """The second is refused at whatever moment it comes, and leaves everything of the first as it is."""

    def amid(update: int) -> None:
        with pytest.raises(RunFolderError, match="another run is writing"):
            RunFolder(tmp_path / "run")

    assert weights(tmp_path / "run", amid) == unwatched
    run = open_run(tmp_path / "run")
    assert (run.damage, run.run["state"]) == ([], "finished")
    assert not (tmp_path / "run" / "earlier").exists()
