"""JSON documents with their checksum in them.

They stay plain JSON, for `jq` and for eyes. The SHA-256 is taken of the document without it, keys sorted, no spaces:
`json.dumps(rest, sort_keys=True, separators=(",", ":"))`.
"""

import hashlib
import json
from collections.abc import Collection, Mapping
from typing import Any

from bptt._files._damage import DamagedFileError, newer, writer


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
        bptt._files._damage.DamagedFileError: it is damaged: its content does not fit its checksum
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


def _digest(content: Mapping[str, Any]) -> str | None:
    try:
        text = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
    except (ValueError, RecursionError):  # NaN, which only damage can have brought in
        return None
    return hashlib.sha256(text.encode()).hexdigest()
