"""What is done to bytes and to JSON: blind damage, and changes after which a checksum is made to fit again."""

import hashlib
import json
import zlib
from typing import Any

from fuzz.draw import Draw

VALUES: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 2, 7, 2**31, 2**63, -(2**64), 10**400, 0.0, -0.0, 0.5, 1e308, -1e308, 5e-324,
    float("nan"), float("inf"), "", "a", "l0", "VG101", "nan", "caf\udce9", "\x1b[2J", "</script>", "x" * 5000, "%s{}",
    [], [[]], [None], [0, 1.0], [[0, 1.0]], [[0, None], [1, 2.0]], [["a", "b"]], [[1e308, 2**70]], {}, {"a": {}},
    {"a": 1}, {"": None}, [{}], [{"code": "VG101"}], [{"subject": "a", "reason": "b"}], {"open": 1, "shut": []},
)  # fmt: skip
KEYS = (
    "",
    "a",
    "update",
    "sites",
    "credit",
    "code",
    "site",
    "format",
    "sha256",
    "version",
    "after",
    "x" * 300,
)


def blind(data: bytes, draw: Draw) -> bytes:
    """Bytes changed without a look at what they mean."""
    changed = bytearray(data)
    place = draw.below(len(changed) + 1)
    size = (1, 2, 16, 300)[draw.below(4)]
    match draw.below(8):
        case 0:
            del changed[place:]
        case 1:
            del changed[place : place + size]
        case 2:
            changed[place : place + size] = bytes(len(changed[place : place + size]))
        case 3:
            changed[place:place] = changed[place : place + size]
        case 4:
            changed[place:place] = draw.take(size)
        case 5:
            rows = bytes(changed).splitlines(keepends=True)
            n = draw.below(max(len(rows), 1))
            rows[n:n] = [rows.pop(draw.below(len(rows)))] if rows else []
            changed[:] = b"".join(rows)
        case 6:
            changed[:] = draw.rest()
        case _:
            for each in changed[place : place + 1]:
                changed[place] = each ^ (1 << draw.below(8))
    return bytes(changed)


def places(value: Any) -> list[tuple[Any, Any]]:
    """Every `(container, key)` of a JSON value, outermost first."""
    found: list[tuple[Any, Any]] = []
    queue = [value]
    for each in queue:
        keys = list(each) if isinstance(each, dict) else range(len(each))
        found += [(each, key) for key in keys]
        queue += [each[key] for key in keys if isinstance(each[key], dict | list)]
    return found


def change(value: Any, draw: Draw) -> None:
    """One entry of a JSON document replaced, taken out, doubled, renamed, or put elsewhere; in place."""
    found = places(value)
    if not found:
        return
    container, key = found[draw.below(min(len(found), 65_536))]
    match draw.below(8):
        case 0:
            del container[key]
        case 1 if isinstance(container, dict):
            container[draw.choice(KEYS)] = container.pop(key)
        case 1 | 2 if isinstance(container, list):
            container.insert(key, copied(container[key]))
        case 2:
            container[draw.choice(KEYS)] = copied(draw.choice(VALUES))
        case 3:
            other, there = found[draw.below(min(len(found), 65_536))]
            container[key] = copied(other[there])
        case 4:
            for _ in range(draw.choice((1, 3, 60))):
                container[key] = [container[key]]
        case _:
            container[key] = copied(draw.choice(VALUES))


def copied(value: Any) -> Any:
    """A later change must not reach into the table of values, nor into its own container."""
    return json.loads(json.dumps(value))


def sealed(content: dict[str, Any]) -> bytes:
    """A document with the checksum that fits it, whatever is in it."""
    content = {key: value for key, value in content.items() if key != "sha256"}
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return json.dumps(content | {"sha256": hashlib.sha256(text.encode()).hexdigest()}).encode()


def linked(bodies: list[bytes]) -> bytes:
    """Lines with the checksums that fit them, whatever is in them; each body begins with a brace and has no end."""
    rows, after = [], "00000000"
    for body in bodies:
        inside = body + b',"after":"' + after.encode() + b'"'
        after = f"{zlib.crc32(inside):08x}"
        rows.append(inside + b',"crc32":"' + after.encode() + b'"}\n')
    return b"".join(rows)


def body(record: Any) -> bytes:
    """A record as `linked` takes it."""
    record = record if isinstance(record, dict) and record else {"update": record}
    kept = {key: value for key, value in record.items() if key not in ("after", "crc32")}
    return json.dumps(kept or {"update": 1}, separators=(",", ":"))[:-1].encode()
