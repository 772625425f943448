"""Bytes as choices: what a fuzzer changes in its input changes what is done, and every input means something."""

from collections.abc import Sequence
from typing import TypeVar

Each = TypeVar("Each")


class Draw:
    """Choices read off a string of bytes, front to back; behind its end every choice is the first.

    >>> draw = Draw(b"\\x03abc")
    >>> draw.below(2), draw.choice("xyz"), draw.rest(), draw.below(9)
    (1, 'y', b'bc', 0)
    """

    def __init__(self, data: bytes) -> None:
        self.data, self.place = data, 0

    def below(self, n: int) -> int:
        """A number from 0 to n - 1."""
        size = 1 if n <= 256 else 2 if n <= 65_536 else 4
        return int.from_bytes(self.take(size), "little") % n

    def choice(self, several: Sequence[Each]) -> Each:
        """One of them."""
        return several[self.below(len(several))]

    def chance(self, one_in: int) -> bool:
        """True once in so many."""
        return self.below(one_in) == one_in - 1

    def take(self, n: int) -> bytes:
        """The next n bytes, fewer at the end."""
        self.place += n
        return self.data[self.place - n : self.place]

    def rest(self) -> bytes:
        """All that is left."""
        return self.take(max(len(self.data) - self.place, 0))
