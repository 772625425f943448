"""Heat maps: one pixel a value, in a PNG that the page holds itself.

Colours are cividis, which readers with and without colour vision see alike and which keeps its order in grey:
J. R. Nuñez, C. R. Anderton, R. S. Renslow (2018), PLOS ONE 13(7), e0199239. Sixteen of its colours are interpolated.
"""

import base64
import struct
import zlib
from collections.abc import Sequence
from functools import cache

RAMP = bytes.fromhex(
    "00224e 002e6c 1e3a6f 35456c 47516c 575d6d 666970 757575"
    "848279 948e77 a59c74 b7a96e c8b866 dbc75a eed649 fee838"
)
CLEAR = bytes(4)
SHADES = 256


def colour(share: float) -> tuple[int, int, int, int]:
    """The colour of a share between 0, dark, and 1, bright; opaque.

    Example:
        >>> colour(0.0), colour(1.0)
        ((0, 34, 78, 255), (254, 232, 56, 255))
    """
    place = min(max(share, 0.0), 1.0) * (len(RAMP) // 3 - 1)
    n = min(int(place), len(RAMP) // 3 - 2)
    low, high = RAMP[3 * n : 3 * n + 3], RAMP[3 * n + 3 : 3 * n + 6]
    part = place - n
    red, green, blue = (round(a + (b - a) * part) for a, b in zip(low, high, strict=True))
    return red, green, blue, 255


@cache
def shades() -> list[bytes]:
    """The colours of pixels, dark to bright."""
    return [bytes(colour(n / (SHADES - 1))) for n in range(SHADES)]


def png(rows: Sequence[Sequence[float | None]]) -> str:
    """A `data:` address of the picture with these shares as pixels, the first row on top; None stays clear.

    Example:
        >>> png([[0.0, None], [1.0, 0.5]])[:28]
        'data:image/png;base64,iVBORw'
    """
    ramp, top = shades(), SHADES - 1
    lines = [
        [CLEAR if v is None else ramp[round(min(max(v, 0.0), 1.0) * top)] for v in row]
        for row in rows
    ]
    body = b"".join(b"\0" + b"".join(line) for line in lines)
    size = struct.pack(">IIBBBBB", len(rows[0]), len(rows), 8, 6, 0, 0, 0)
    parts = ((b"IHDR", size), (b"IDAT", zlib.compress(body, 9)), (b"IEND", b""))
    file = b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, content) for kind, content in parts)
    return "data:image/png;base64," + base64.b64encode(file).decode("ascii")


def _chunk(kind: bytes, content: bytes) -> bytes:
    return (
        struct.pack(">I", len(content))
        + kind
        + content
        + struct.pack(">I", zlib.crc32(kind + content))
    )
