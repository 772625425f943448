"""A run folder that somebody laid out: pipes, devices and links where files are expected."""

import os
from pathlib import Path

import pytest

from bptt._files import put_whole
from bptt.doctor import Logbook, ReplayError, RunFolder, RunFolderError, open_run, replay


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Of a run of two updates."""
    log = Logbook(RunFolder(tmp_path / "run"), script="train.py")
    log.begin()
    for n in (1, 2):
        log.add({"update": n, "sites": {"l0": {"horizon": n}}, "notes": []}, n, 0.0)
    log.end("finished", 0)
    log.release()
    return tmp_path / "run"


@pytest.mark.parametrize("name", ["flow.jsonl", "findings.json", "updates.jsonl"])
def test_a_pipe_or_a_device_in_the_place_of_a_file_is_damage(name: str, folder: Path) -> None:
    for put in (lambda path: os.mkfifo(path), lambda path: path.symlink_to("/dev/zero")):
        (folder / name).unlink(missing_ok=True)
        put(folder / name)
        found = open_run(folder)
        assert f"{name}: cannot be read (it is no file)" in found.damage


def test_one_in_the_place_of_what_says_what_the_rest_is(folder: Path) -> None:
    for name, read, refused in (
        ("run.json", open_run, RunFolderError),
        ("nonfinite.pt", replay, ReplayError),
    ):
        (folder / name).unlink(missing_ok=True)
        os.mkfifo(folder / name)
        with pytest.raises(refused, match="it is no file"):
            read(folder)


def test_links_do_not_lead_a_run_out_of_its_folder(folder: Path, tmp_path: Path) -> None:
    """Neither what is made, nor what is moved aside, nor what is written anew."""
    out = tmp_path / "out"
    (folder / "report.html").symlink_to(out)
    put_whole(folder / "report.html", b"page")
    assert (folder / "report.html").read_bytes() == b"page"
    (folder / "earlier").symlink_to(tmp_path)
    with pytest.raises(RunFolderError, match="its folder `earlier` is a link"):
        RunFolder(folder)
    (folder / ".bptt.lock").unlink()
    (folder / ".bptt.lock").symlink_to(out)
    with pytest.raises(RunFolderError, match="cannot write to the run folder"):
        RunFolder(folder)
    assert sorted(os.listdir(tmp_path)) == ["run"]
