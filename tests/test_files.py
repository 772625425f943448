"""Files that are whole or not there, and checksums that no damage gets past."""

import json
import os
import random
import zlib
from pathlib import Path
from typing import IO, Any

import pytest

from bptt._files import (
    DamagedFileError,
    Held,
    link,
    put_out,
    put_whole,
    read_regular,
    seal,
    sweep,
    unlink,
    unseal,
)


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    put_whole(tmp_path / "a", b"old")

    def half(file: IO[bytes]) -> None:
        file.write(b"ne")
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        put_whole(tmp_path / "a", half)
    assert (tmp_path / "a").read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a"]


def test_files_are_the_users_own_unless_told(tmp_path: Path) -> None:
    put_whole(tmp_path / "a", b"")
    put_whole(tmp_path / "b", b"", mode=0o644)
    modes = [(tmp_path / name).stat().st_mode & 0o777 for name in "ab"]
    assert modes == [0o600, 0o644 & ~_umask()]


def test_a_file_that_the_user_named_is_found_through_links_and_keeps_its_rights(
    tmp_path: Path,
) -> None:
    (tmp_path / "in").mkdir()
    file, link_to, chain = tmp_path / "in" / "file", tmp_path / "link", tmp_path / "chain"
    link_to.symlink_to("in/file")
    chain.symlink_to(link_to)
    put_out(chain, b"made")
    assert (file.read_bytes(), file.stat().st_mode & 0o777) == (b"made", 0o666 & ~_umask())
    file.chmod(0o640)
    put_out(link_to, lambda out: out.write(b"put anew"))
    assert (file.read_bytes(), file.stat().st_mode & 0o777) == (b"put anew", 0o640)
    assert link_to.is_symlink()
    assert chain.is_symlink()
    assert sorted(os.listdir(tmp_path)) == ["chain", "in", "link"]
    assert os.listdir(tmp_path / "in") == ["file"]


def test_what_is_no_file_is_written_to_and_never_read(tmp_path: Path) -> None:
    pipe, link_to = tmp_path / "pipe", tmp_path / "link"
    os.mkfifo(pipe)
    link_to.symlink_to(pipe)
    for path in (pipe, link_to, Path("/dev/zero"), tmp_path):
        with pytest.raises(OSError, match="it is no file"):
            read_regular(path)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    put_out(link_to, b"through")
    assert os.read(reader, 99) == b"through"
    os.close(reader)
    assert pipe.is_fifo()


def test_a_descriptor_that_now_stands_for_another_file_is_left_alone(tmp_path: Path) -> None:
    held = Held(tmp_path / "ours", os.O_RDWR | os.O_CREAT)
    os.close(held.number)
    assert not held.ours
    held.close()
    theirs = os.open(tmp_path / "theirs", os.O_RDWR | os.O_CREAT)
    assert theirs == held.number
    held.close()
    os.fstat(theirs)  # it is open still
    os.close(theirs)


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def test_what_a_killed_process_left_is_in_nobodys_way(tmp_path: Path) -> None:
    def killed(file: IO[bytes]) -> None:
        # Another one, of the same process and thread, amid a write.
        put_whole(tmp_path / "a", b"inner")
        assert len(os.listdir(tmp_path)) == 2
        file.write(b"outer")

    put_whole(tmp_path / "a", killed)
    assert (tmp_path / "a").read_bytes() == b"outer"
    for name in (".a.17.4711.0", ".a.b.17.4711.0", ".a", "b.17.4711.0"):
        (tmp_path / name).touch()
    sweep(tmp_path, ["a"])
    assert sorted(os.listdir(tmp_path)) == [".a", ".a.b.17.4711.0", "a", "b.17.4711.0"]


CONTENTS: list[dict[str, Any]] = [
    {},
    {
        "script": "träin\udcff.py",
        "x": 1e-300,
        "y": [None, True, -0.0, 2**70],
        "z": {"": "\u2028</script>"},
    },
]


@pytest.mark.parametrize("content", CONTENTS)
def test_a_sealed_document_comes_back(content: dict[str, Any]) -> None:
    assert unseal(seal(content, 2), 2, before=()) == content
    laid_out_anew = json.dumps(json.loads(seal(content, 2)), separators=(",", ":")).encode()
    assert unseal(laid_out_anew, 2, before=()) == content


def test_every_flipped_bit_of_a_document_is_noticed() -> None:
    content = {"version": 1, "script": "a.py", "seconds": 1.5, "notes": [{"subject": "x"}]}
    data = seal(content, 2)
    for place in range(8 * len(data)):
        flipped = bytearray(data)
        flipped[place // 8] ^= 1 << place % 8
        try:
            found = unseal(bytes(flipped), 2, before=content)
        except DamagedFileError:
            continue
        assert found == content, f"bit {place}"


def test_a_newer_format_is_refused_by_name() -> None:
    with pytest.raises(
        DamagedFileError, match=r"format 3, and this bptt reads up to 2: install bptt [\w.]+,"
    ):
        unseal(seal({"a": 1}, 3), 2, before=())


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b'"a"', "expected an object"),
        (b'{"version": 1, "b": 2}', "neither checksum nor format, and a key 'b'"),
        (b'{"version": 9}', "of version 9"),
        (b'{"format": 2, "a": NaN, "sha256": null}', "does not fit its checksum"),
    ],
)
def test_what_is_no_document_is_refused(data: bytes, message: str) -> None:
    with pytest.raises(DamagedFileError, match=message):
        unseal(data, 2, before=("version",))


def test_a_document_of_before_there_were_checksums_is_read() -> None:
    assert unseal(b'{"version": 1, "a": 2}', 2, before=("version", "a")) == {"version": 1, "a": 2}


def lines(records: int) -> list[bytes]:
    found, crc = [], "00000000"
    for n in range(records):
        line, crc = link({"update": n, "sites": {"a": [n / 3]}}, crc)
        found.append(line)
    return found


def test_lines_come_back_and_are_plain_json() -> None:
    data = b"".join(lines(5))
    found = unlink(data)
    assert [record["update"] for record in found.records] == list(range(5))
    assert found.damage == []
    assert [json.loads(row)["update"] for row in data.splitlines()] == list(range(5))


@pytest.mark.parametrize(
    ("order", "left", "damage"),
    [
        ([0, 2, 3], [0, 2, 3], ["lines are missing before line 2"]),
        ([1, 2, 3], [1, 2, 3], ["lines are missing before line 1"]),
        ([0, 1, 1, 2], [0, 1, 2], ["line 3 is there twice; the second is left out"]),
        ([0, 1, 0, 1, 2], [0, 1, 2], ["line 3 is there twice", "line 4 is there twice"]),
        ([], [], []),
    ],
)
def test_lines_that_are_lost_or_doubled_are_named(
    order: list[int], left: list[int], damage: list[str]
) -> None:
    found = unlink(b"".join(lines(4)[n] for n in order))
    assert [record["update"] for record in found.records] == left
    assert len(found.damage) == len(damage)
    assert all(said.startswith(meant) for said, meant in zip(found.damage, damage, strict=True))


@pytest.mark.parametrize("body", [b'{"a":"\xff"', b'{"a":' + b"[" * 20_000, b"{nothing"])
def test_a_line_that_is_no_json_under_a_checksum_that_fits_it(body: bytes) -> None:
    """Found by fuzzing: only another program makes one, and reading it raised what its decoder did."""
    inside = body + b',"after":"00000000"'
    line = inside + f',"crc32":"{zlib.crc32(inside):08x}"}}\n'.encode()
    assert unlink(line).damage == ["line 1 is damaged and left out"]
    assert unlink(line).records == []


def test_every_damaged_byte_of_a_line_is_noticed() -> None:
    data, draw = b"".join(lines(3)), random.Random(0)
    for place in range(len(data)):
        damaged = bytearray(data)
        damaged[place] ^= draw.randrange(1, 256)
        found = unlink(bytes(damaged))
        assert found.damage, f"byte {place}"
        assert all(record in unlink(data).records for record in found.records)
