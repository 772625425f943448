"""Symbols: how a text becomes numbers and numbers text. Bytes, characters, or pairs merged by frequency."""

import json
import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bptt.lm._config import LmError

END = 0
"""The symbol that ends every document; it is also what precedes the first."""
CODES = 0x110000
"""Characters that Unicode has room for."""
UNKNOWN_BITS = math.log2(CODES)
"""What telling a character that the vocabulary has not costs on top of the symbol for unknown ones."""
BPE_SAMPLE = 10**8
"""Characters that merges are counted on at most."""

Ids = NDArray[np.uint32]


class Vocabulary(ABC):
    """Symbols 0 … V-1; 0 is the end of a document."""

    kind: str

    @property
    @abstractmethod
    def size(self) -> int:
        """V."""

    @abstractmethod
    def encode(self, text: str) -> Ids:
        """The symbols of a block of text, without an end."""

    @abstractmethod
    def decode(self, ids: Iterable[Any]) -> str:
        """The text of symbols; an end is left out, an unknown character is U+FFFD."""

    @abstractmethod
    def lengths(self) -> NDArray[np.int64]:
        """`[V]` characters that each symbol stands for; 0 for the end. Bytes within a character count 0."""

    @abstractmethod
    def to_dict(self) -> dict[str, Any]:
        """For a JSON file."""

    unknown: int | None = None
    """The symbol of characters that are not in the vocabulary; None where there is no such thing."""


class Bytes(Vocabulary):
    """The 256 bytes of UTF-8; the zero byte, which no text has, is the end.

    >>> vocabulary = Bytes()
    >>> vocabulary.decode(vocabulary.encode("für"))
    'für'
    """

    kind = "bytes"

    @property
    def size(self) -> int:
        """256."""
        return 256

    def encode(self, text: str) -> Ids:
        """UTF-8."""
        return np.frombuffer(_utf8(text), np.uint8).astype(np.uint32)

    def decode(self, ids: Iterable[Any]) -> str:
        """Bytes that are no UTF-8 become U+FFFD."""
        return bytes(n for n in ids if n != END).decode(errors="replace")

    def lengths(self) -> NDArray[np.int64]:
        """1 for a byte that begins a character."""
        codes = np.arange(256)
        return ((codes & 0xC0) != 0x80).astype(np.int64) * (codes != END)

    def to_dict(self) -> dict[str, Any]:
        """Only its kind."""
        return {"kind": self.kind}


class Characters(Vocabulary):
    """The characters of a text, the most frequent first, after the end and the unknown one.

    >>> vocabulary = Characters("ab")
    >>> vocabulary.encode("abc"), vocabulary.decode([2, 3, 1, 0])
    (array([2, 3, 1], dtype=uint32), 'ab�')
    """

    kind = "chars"
    unknown = 1

    def __init__(self, characters: str) -> None:
        self.characters = characters
        self._of = np.full(CODES, self.unknown, np.uint32)
        self._of[[ord(c) for c in characters]] = np.arange(len(characters)) + 2

    @property
    def size(self) -> int:
        """Characters and two."""
        return len(self.characters) + 2

    def encode(self, text: str) -> Ids:
        """One look-up a character."""
        return self._of[np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)]

    def decode(self, ids: Iterable[Any]) -> str:
        """One character a symbol."""
        return "".join("�" if n == 1 else self.characters[n - 2] for n in ids if n != END)

    def lengths(self) -> NDArray[np.int64]:
        """1 for all but the end."""
        return (np.arange(self.size) != END).astype(np.int64)

    def to_dict(self) -> dict[str, Any]:
        """Its characters."""
        return {"kind": self.kind, "characters": self.characters}

    @staticmethod
    def of(blocks: Iterable[str]) -> "Characters":
        """Of all characters that occur."""
        counts = np.zeros(CODES, np.int64)
        for block in blocks:
            codes, many = np.unique(
                np.frombuffer(block.encode("utf-32-le", "surrogatepass"), np.uint32),
                return_counts=True,
            )
            counts[codes] += many
        found = np.flatnonzero(counts)
        return Characters("".join(map(chr, found[np.argsort(-counts[found], kind="stable")])))


class Pairs(Vocabulary):
    """Byte-pair encoding, by the `tokenizers` package; every text has symbols in it.

    Source: Sennrich, Haddow & Birch (2016), arXiv 1508.07909.
    """

    kind = "bpe"

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer

    @property
    def size(self) -> int:
        """Merges, bytes, and the end."""
        return self._tokenizer.get_vocab_size()

    def encode(self, text: str) -> Ids:
        """Longest merges first."""
        _utf8(text)
        return np.array(self._tokenizer.encode(text, add_special_tokens=False).ids, np.uint32)

    def decode(self, ids: Iterable[Any]) -> str:
        """Bytes that are no UTF-8 become U+FFFD."""
        return self._tokenizer.decode([int(n) for n in ids if n != END])

    def lengths(self) -> NDArray[np.int64]:
        """Bytes that begin a character; byte-level BPE writes those within one as these 64 letters."""
        within = set(_byte_letters()[0x80:0xC0])
        names = [self._tokenizer.id_to_token(n) for n in range(self.size)]
        found = [sum(letter not in within for letter in name) for name in names]
        found[END] = 0
        return np.array(found, np.int64)

    def to_dict(self) -> dict[str, Any]:
        """The tokenizer's own JSON."""
        return {"kind": self.kind, "tokenizer": json.loads(self._tokenizer.to_str())}

    @staticmethod
    def of(blocks: Iterable[str], size: int) -> "Pairs":
        """Merges counted on the first `BPE_SAMPLE` characters."""
        from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

        tokenizer: Any = Tokenizer(models.BPE())
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = decoders.ByteLevel()
        trainer: Any = trainers.BpeTrainer(
            vocab_size=size,
            special_tokens=["<end>"],
            initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
            show_progress=False,
        )
        tokenizer.train_from_iterator(_sample(blocks), trainer)
        return Pairs(tokenizer)


def _utf8(text: str) -> bytes:
    """The text's bytes.

    Raises:
        LmError: it has half of a surrogate pair, which is no character.
    """
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise LmError(
            f"the text has {text[error.start]!r} at {error.start:,}, half of a character, which UTF-8 cannot hold; "
            "take it out"
        ) from None


def _byte_letters() -> list[str]:
    """The letters that stand for bytes 0 … 255 in byte-level BPE: printable Latin-1 as it is, all else from U+0100."""
    plain = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    moved = iter(range(0x100, 0x200))
    return [chr(byte) if byte in plain else chr(next(moved)) for byte in range(256)]


def _sample(blocks: Iterable[str]) -> Iterator[str]:
    left = BPE_SAMPLE
    for block in blocks:
        yield from islice([block[:left]], 1)
        left -= len(block)
        if left <= 0:
            return


def build(kind: str, blocks: Iterable[str], size: int) -> Vocabulary:
    """The vocabulary of a text; `size` is BPE's."""
    if kind == "bytes":
        return Bytes()
    return Characters.of(blocks) if kind == "chars" else Pairs.of(blocks, size)


def from_dict(content: Any, where: str | Path) -> Vocabulary:
    """What `to_dict` gave.

    Raises:
        LmError: it is something else.
    """
    try:
        kind = content["kind"]
        if kind == "bytes":
            return Bytes()
        if kind == "chars":
            characters = content["characters"]
            if not isinstance(characters, str) or len(set(characters)) < len(characters):
                raise ValueError("its characters are no text, or one is there twice")
            return Characters(characters)
        if kind == "bpe":
            from tokenizers import Tokenizer

            pairs = Pairs(Tokenizer.from_str(json.dumps(content["tokenizer"])))
            pairs.lengths()  # every number up to the largest has a symbol
            return pairs
    except (
        BaseException
    ) as error:  # tokenizers raises plain Exceptions; where its Rust panics, not even those
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        raise LmError(f"the vocabulary in {where} is damaged ({error})") from None
    raise LmError(f"the vocabulary in {where} is of kind {kind!r}, expected chars, bytes or bpe")


def dtype_of(size: int) -> np.dtype[Any]:
    """The smallest unsigned integers that hold `size` symbols."""
    kinds: Sequence[Any] = (np.uint8, np.uint16, np.uint32)
    return next(np.dtype(kind) for kind in kinds if size <= np.iinfo(kind).max + 1)
