"""Lines of JSON with their checksums: a line's CRC-32 is that of its own bytes before `,"crc32":`."""

import json
import re
import zlib
from collections.abc import Mapping
from typing import Any, NamedTuple

START = "00000000"
"""What the first line names as the one before it."""
_LINE = re.compile(rb'(\{.*,"after":"([0-9a-f]{8})"),"crc32":"([0-9a-f]{8})"\}', re.DOTALL)


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
        record = _record(row) if whole else None
        if match is None or record is None or n == len(rows):  # a line without an end was cut short
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
        del record["after"], record["crc32"]
        found.records.append(record)
        found.crcs.append(crc)
        before, lost = crc, False
    return found


def _record(row: bytes) -> dict[str, Any] | None:
    """The record of a line whose checksum fits; None where it is no JSON for all that: another program made it."""
    try:
        return json.loads(row)
    except (ValueError, RecursionError):
        return None
