"""Series on the disk: appended line by line, thinned, and never left half written."""

import errno
import os
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from bptt._files import unlink
from bptt.doctor._lines import LinesFile, thinned


def numbers(path: Path) -> list[int]:
    found = unlink(path.read_bytes())
    assert found.damage == []
    return [record["update"] for record in found.records]


def test_a_script_that_closes_every_descriptor_gets_none_of_our_lines(tmp_path: Path) -> None:
    file = LinesFile(tmp_path / "a.jsonl")
    file.append({"update": 1})
    assert file._held is not None
    os.close(file._held.number)
    theirs = os.open(tmp_path / "theirs", os.O_RDWR | os.O_CREAT)
    assert theirs == file._held.number
    file.append({"update": 2})
    assert numbers(file.path) == [1, 2]
    os.close(file._held.number)
    file.path.write_bytes(b"")  # somebody put another file there
    with pytest.raises(OSError, match="another file has its name"):
        file.append({"update": 3})
    file.close()
    assert os.fstat(theirs).st_size == 0
    os.close(theirs)


def test_lines_that_the_disk_does_not_take_leave_the_file_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = LinesFile(tmp_path / "a.jsonl")
    file.append({"update": 1})
    really: Any = os.write

    def half(handle: int, data: bytes) -> int:
        if len(data) < 20:
            raise OSError(errno.ENOSPC, "No space left on device")
        return really(handle, data[: len(data) // 2])

    monkeypatch.setattr(os, "write", half)
    with pytest.raises(OSError, match="No space left"):
        file.append({"update": 2})
    monkeypatch.undo()
    assert numbers(file.path) == [1]
    file.append({"update": 3})
    assert numbers(file.path) == [1, 3]
    file.close()


def test_a_file_is_written_anew_and_goes_on(tmp_path: Path) -> None:
    stated: list[int] = []
    file = LinesFile(tmp_path / "a.jsonl", lambda: stated.append(len(numbers(file.path))))
    for n in range(5):
        file.append({"update": n})
    file.rewrite([each for each in file.records() if each["update"] % 2])
    file.append({"update": 9})
    file.close()
    assert numbers(file.path) == [1, 3, 9]
    assert stated == [5], "whoever states its end is asked before"
    assert file.size == file.path.stat().st_size
    assert file.path.stat().st_mode & 0o777 == 0o600


def test_thinning_keeps_ends_and_milestones_and_spreads_the_rest() -> None:
    records = [{"update": n, "x": "y" * 50} for n in range(1, 1001)]
    left = [each["update"] for each in thinned(records, 10_000, kept=(1, 3, 10, 30, 100, 300))]
    assert {1, 3, 10, 30, 100, 300, 1000} <= set(left)
    assert 40 < len(left) < 110
    gaps = [b - a for a, b in pairwise(left)]
    assert max(gaps) <= 2 * 1000 / (len(left) - 6)


def test_thinning_to_less_than_the_milestones_take() -> None:
    records = [{"update": n, "x": "y" * 50} for n in range(1, 101)]
    assert len(thinned(records, 500, kept=range(1, 101))) <= 5
    assert [each["update"] for each in thinned(records, 10, kept=(3,))] == [1, 100]
    assert [each["update"] for each in thinned(records[:1], 10, kept=())] == [1]


def test_probes_of_one_update_more_than_once() -> None:
    records = [{"update": 7, "x": "y" * 50} for _ in range(100)]
    assert 2 <= len(thinned(records, 2000, kept=())) <= 20
