"""`report.html` at the end of a run: written however it ends, and no trouble to anyone if it cannot be."""

import os
import signal
from pathlib import Path

import pytest

from bptt.cli import _page, _train
from bptt.doctor import Logbook, RunFolder

TEXT = "so it goes and so it goes and so it went. " * 60
SIZES = {"hidden": 8, "batch": 2, "length": 16}


def test_a_page_that_cannot_be_written_is_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = Logbook(RunFolder(tmp_path / "a"), script="train.py")
    log.begin()
    log.end("finished", 0)
    log.release()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("bptt.report.page._write.put_whole", full)
        said = _page.write(tmp_path / "a")
    assert said is not None
    assert said.startswith("report.html could not be written (OSError: ")
    assert _page.where(tmp_path / "a") is None
    assert _page.write(tmp_path / "a") is None
    assert _page.where(tmp_path / "a") == str(tmp_path / "a" / "report.html")


def test_a_training_that_is_stopped_has_its_page(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "text.txt").write_text(TEXT, encoding="utf-8")

    def say(line: str) -> None:
        if line.startswith("update 2 "):
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(_train, "_say", say)
    told = {**SIZES, "updates": 1000, "validate_every": 2}
    with pytest.raises(SystemExit) as left:
        _train.train([tmp_path / "text.txt"], tmp_path / "run", None, told)
    assert left.value.code == 130
    assert "The run was interrupted; until then " in (tmp_path / "run" / "report.html").read_text(
        "utf-8"
    )


def test_without_the_monitor_there_is_no_page(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "text.txt").write_text(TEXT, encoding="utf-8")
    told = {**SIZES, "updates": 2, "budget": -1.0}
    _train.train([tmp_path / "text.txt"], tmp_path / "run", None, told)
    assert "report.html" not in capsys.readouterr().out
    assert not (tmp_path / "run" / "report.html").exists()
