"""Files that are there whole or not at all, and that show it when they are damaged.

| | |
|---|---|
| `put_whole` | writes beside the file, flushes to the disk, renames: a reader finds the old file or the new one |
| `seal`, `unseal` | a JSON document with its format and the SHA-256 of its own content in it |
| `link`, `unlink` | lines of JSON, each with its CRC-32 and that of the line before, so that gaps show |

Both kinds stay plain JSON, for `jq` and for eyes. The SHA-256 is taken of the document without it, keys sorted, no
spaces (`json.dumps(rest, sort_keys=True, separators=(",", ":"))`); a line's CRC-32 of the line's own bytes before
`,"crc32":`. A checksum tells damage, not malice: who can write the file can write a fitting one.
"""

import hashlib
import json
import os
import re
import threading
import zlib
from collections.abc import Callable, Collection, Mapping
from functools import cache
from importlib import metadata
from itertools import count
from pathlib import Path
from typing import IO, Any, NamedTuple

from bptt._errors import BpttError

START = "00000000"
"""What the first line names as the one before it."""
_LINE = re.compile(rb'(\{.*,"after":"([0-9a-f]{8})"),"crc32":"([0-9a-f]{8})"\}', re.DOTALL)


class DamagedFileError(BpttError):
    """The content of a file is not what was written, or is of a newer format than this bptt reads."""


def put_whole(path: Path, put: Callable[[IO[bytes]], object] | bytes, mode: int = 0o600) -> None:
    """Have `put(file)` write beside `path`, then take its place: whoever is killed leaves the old file or the new one.

    Args:
        path: its folder exists.
        put: writes the content to the file it is given; or the content.
        mode: who may read it, where the umask allows it; the user alone unless told.

    Raises:
        OSError: the disk is full, or the folder cannot be written; the old file is untouched.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     put_whole(Path(folder) / "a", b"first")
        ...     put_whole(Path(folder) / "a", lambda file: file.write(b"second"))
        ...     (Path(folder) / "a").read_bytes(), len(list(Path(folder).iterdir()))
        (b'second', 1)
    """
    aside, handle = _beside(path, mode)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(put) if isinstance(put, bytes) else put(file)
            file.flush()
            os.fsync(handle)  # after a power failure no name may stand for a file without content
        os.replace(aside, path)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise


def _beside(path: Path, mode: int) -> tuple[Path, int]:
    """A new file `.<name>.<process>.<thread>.<n>` in the same folder, and its open handle."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    for n in count():
        aside = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}.{n}")
        try:
            return aside, os.open(aside, flags, mode)
        except FileExistsError:
            continue  # left by a process that was killed and had the same number
    raise AssertionError


def sweep(folder: Path, names: Collection[str]) -> None:
    """Delete what killed processes left beside files of these names.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = (Path(folder) / ".run.json.17.4711.0").write_text("{")
        ...     sweep(Path(folder), ["run.json"])
        ...     list(Path(folder).iterdir())
        []
    """
    for path in folder.iterdir():
        if any(
            re.fullmatch(rf"\.{re.escape(name)}\.\d+\.\d+(\.\d+)?", path.name) for name in names
        ):
            path.unlink(missing_ok=True)


# Documents.


def seal(content: Mapping[str, Any], form: int, indent: int | None = 1) -> bytes:
    """A document as the bytes of its file: its format, who wrote it, the content, the checksum.

    Args:
        content: JSON-able, without keys of these names.
        form: the number of its format.
        indent: of each level; None puts everything on one line.

    Example:
        >>> print(seal({"sites": {}}, form=2).decode())  # doctest: +ELLIPSIS
        {
         "format": 2,
         "writer": "bptt ...",
         "sites": {},
         "sha256": "..."
        }
        <BLANKLINE>
    """
    whole = {"format": form, "writer": writer(), **content}
    whole["sha256"] = _digest(whole)
    return (json.dumps(whole, allow_nan=False, indent=indent) + "\n").encode()


def unseal(data: bytes, form: int, before: Collection[str]) -> dict[str, Any]:
    """The content of a document, as it was sealed.

    Args:
        data: the file's bytes.
        form: the newest format that the caller reads.
        before: the keys that a document without checksum, of format 1, may have; one with others is damaged.

    Raises:
        DamagedFileError: it is damaged, of a newer format, or no such document. The message is a clause, to be put
            after the file's name.

    Example:
        >>> unseal(seal({"sites": {"l0": 3}}, form=2), 2, before=())["sites"]
        {'l0': 3}
        >>> unseal(seal({"sites": {}}, form=2).replace(b"sites", b"sitet"), 2, before=())
        Traceback (most recent call last):
        bptt._files.DamagedFileError: it is damaged: its content does not fit its checksum
    """
    try:
        content = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise DamagedFileError(f"it is damaged, it is not JSON ({error})") from None
    if not isinstance(content, dict):
        raise DamagedFileError("it is damaged: expected an object")
    if not content.keys() & {"format", "sha256", "writer"}:
        # Before there were checksums. A damaged newer one must not pass for that: it has keys that none had then.
        unknown = sorted(content.keys() - set(before))
        if content.get("version") == 1 and not unknown:
            return content
        raise DamagedFileError(
            f"it is damaged: it has neither checksum nor format, and a key {unknown[0]!r}"
            if unknown
            else f"it is damaged: it has no checksum and is of version {content.get('version')}"
        )
    told, stated = content.get("format"), content.pop("sha256", None)
    digest = _digest(content)
    if digest is None or stated != digest:
        raise DamagedFileError("it is damaged: its content does not fit its checksum")
    if not isinstance(told, int) or told > form:
        raise DamagedFileError(newer(told, form, content.get("writer")))
    return {key: value for key, value in content.items() if key not in ("format", "writer")}


@cache
def writer() -> str:
    """What files name as the program that wrote them: `bptt` and its version.

    Example:
        >>> writer().split()[0]
        'bptt'
    """
    try:
        return f"bptt {metadata.version('bptt')}"
    except metadata.PackageNotFoundError:  # run from a source tree that nobody installed
        return "bptt of an unknown version"


def newer(told: Any, form: int, by: Any) -> str:
    """What to say of a file of format `told`, written by `by`, where formats up to `form` are read.

    Example:
        >>> newer(3, 2, "bptt 9.1")
        'it is of format 3, and this bptt reads up to 2: install bptt 9.1, which wrote it'
    """
    return f"it is of format {told}, and this bptt reads up to {form}: install {by}, which wrote it"


def _digest(content: Mapping[str, Any]) -> str | None:
    try:
        text = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
    except (ValueError, RecursionError):  # NaN, which only damage can have brought in
        return None
    return hashlib.sha256(text.encode()).hexdigest()


# Lines.


def link(record: Mapping[str, Any], after: str = START) -> tuple[bytes, str]:
    r"""A record as a line, and the line's CRC-32, which the next line names as the one before it.

    Args:
        record: JSON-able, without `after` and `crc32`.
        after: the CRC-32 of the line before.

    Example:
        >>> line, crc = link({"update": 1})
        >>> line.decode(), crc
        ('{"update":1,"after":"00000000","crc32":"0889542a"}\n', '0889542a')
    """
    body = json.dumps({**record, "after": after}, allow_nan=False, separators=(",", ":"))[:-1]
    crc = f"{zlib.crc32(body.encode()):08x}"
    return f'{body},"crc32":"{crc}"}}\n'.encode(), crc


class Lines(NamedTuple):
    """What a file of linked lines holds: the records that are as they were written, their CRCs, and what is not."""

    records: list[dict[str, Any]]
    crcs: list[str]
    damage: list[str]


def unlink(data: bytes) -> Lines:
    """Every line that is as it was written; `damage` has a clause for each that is not, and for each gap.

    Example:
        >>> first, crc = link({"update": 1})
        >>> second, crc = link({"update": 2}, crc)
        >>> third, _ = link({"update": 3}, crc)
        >>> unlink(first + third).damage
        ['lines are missing before line 2']
        >>> found = unlink(first + second.replace(b"2", b"3", 1) + third)
        >>> [record["update"] for record in found.records], found.damage
        ([1, 3], ['line 2 is damaged and left out'])
    """
    found, before, lost = Lines([], [], []), START, False
    rows = data.split(b"\n")
    for n, row in enumerate(rows, 1):
        if n == len(rows) and not row:
            break  # behind the last line's end
        match = _LINE.fullmatch(row)
        whole = match is not None and f"{zlib.crc32(match[1]):08x}".encode() == match[3]
        if match is None or not whole or n == len(rows):  # a line without an end was cut short
            cut = n == len(rows)
            found.damage.append(f"line {n} is {'cut short' if cut else 'damaged'} and left out")
            lost = True
            continue
        after, crc = match[2].decode(), match[3].decode()
        if after != before and crc in found.crcs:
            found.damage.append(f"line {n} is there twice; the second is left out")
            continue
        if after != before and not lost:
            found.damage.append(f"lines are missing before line {n}")
        record = json.loads(row)
        del record["after"], record["crc32"]
        found.records.append(record)
        found.crcs.append(crc)
        before, lost = crc, False
    return found
