"""A text as symbols on disk, encoded once and read by position, so that it may be larger than memory.

`tokens.bin` holds `[END] d_1 [END] d_2 [END] …` in the smallest unsigned integers that fit. Symbols at positions
`a … b-1` are inputs, those at `a+1 … b` their targets, so a document's first input is the END before it and its last
target its own END. `bounds.npy` holds where documents begin. `tokens.json` holds the vocabulary and SHA-256 of the two:
a flipped bit would be another letter, and nothing else would tell.

Reading is by `pread`, not through a map: pages of a map count as the process's own memory until the system wants them
back, and a file that is cut short under a map kills the process.
"""

import hashlib
import io
import json
import os
from array import array
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from bptt._files import read_regular, regular, seal, unseal
from bptt.lm._config import Config, LmError
from bptt.lm._files import write
from bptt.lm._text import HELD_OUT_SHARE, Document, addresses, check, documents
from bptt.lm._vocabulary import END, Vocabulary, build, dtype_of, from_dict

FILES = ("tokens.bin", "bounds.npy")
FORMAT = 2
"""Of `tokens.json`; format 1 had no checksums, and is read."""

Ranges = NDArray[np.int64]
"""`[n, 2]`: positions `a … b-1` that are inputs of one document, or of a part of it."""


@dataclass
class Tokens:
    """Symbols on disk.

    Attributes:
        path: the file of symbols.
        vocabulary: what they mean.
        bounds: positions at which documents begin, and the last END.
        held: position from which on the text is held out.
    """

    path: Path
    vocabulary: Vocabulary
    bounds: Ranges | NDArray[np.int64]
    held: int

    def __post_init__(self) -> None:
        self._dtype = dtype_of(self.vocabulary.size)
        try:
            self._file = os.open(self.path, os.O_RDONLY)
            size = os.fstat(self._file).st_size
        except OSError as error:
            raise LmError(f"{self.path} cannot be read: {error.strerror}; train anew") from None
        if size != (int(self.bounds[-1]) + 1) * self._dtype.itemsize:
            raise LmError(f"{self.path} is damaged: it has {size:,} bytes; train anew")

    def __len__(self) -> int:
        return int(self.bounds[-1]) + 1

    def read(self, start: int, count: int) -> NDArray[np.unsignedinteger]:
        """Symbols `start … start + count - 1`."""
        item = self._dtype.itemsize
        raw = os.pread(self._file, count * item, start * item)
        if len(raw) != count * item:
            raise LmError(f"{self.path} has become shorter while it was read; train anew")
        return np.frombuffer(raw, self._dtype)

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)

    @property
    def training(self) -> Ranges:
        """What is trained on."""
        return self._ranges(0, self.held)

    @property
    def validation(self) -> Ranges:
        """What is held out."""
        return self._ranges(self.held, len(self) - 1)

    def _ranges(self, start: int, end: int) -> Ranges:
        inner = self.bounds[(self.bounds > start) & (self.bounds < end)]
        cuts = np.concatenate([[start], inner, [end]]).astype(np.int64)
        return np.stack([cuts[:-1], cuts[1:]], 1)[np.diff(cuts) > 0]


Source = tuple[Callable[[], Iterable[Document]], Callable[[], Iterable[Document]]]


def source(config: Config) -> Source:
    """The documents to train on and those held out; each call reads them anew."""
    if config.files:
        return (
            lambda: documents(config.files, field=config.field),
            lambda: documents(config.held_out, field=config.field),
        )
    train, validation, _ = addresses()
    held = documents(config.held_out, field=config.field) if config.held_out else None
    return (
        lambda: ([text] for text in train),
        lambda: ([text] for text in validation) if held is None else held,
    )


def fingerprint(config: Config) -> str:
    """Of the files and of how they become symbols: two that are equal give the same symbols."""
    known: list[Any] = [config.tokens, config.vocabulary, config.field]
    for path in map(Path, config.files + config.held_out):
        check(path)
        stat = path.stat()
        known.append((str(path.absolute()), stat.st_size, stat.st_mtime_ns))
    return hashlib.sha256(json.dumps(known).encode()).hexdigest()


def encode(config: Config, folder: Path) -> Tokens:
    """Read the texts, build the vocabulary from what is not held out by name, write the symbols.

    Raises:
        LmError: see `documents`; a text too short for one chunk.
    """
    train, held_out = source(config)
    blocks = (block for document in train() for block in document)
    vocabulary = build(config.tokens, blocks, config.vocabulary)
    bounds, first_held = array("q"), -1

    def both(file: IO[bytes]) -> None:
        nonlocal first_held
        put(file, vocabulary, train(), bounds, end=False)
        first_held = len(bounds) - 1
        put(file, vocabulary, held_out(), bounds)

    path = folder / "tokens.bin"
    write(path, both)
    cuts = np.array(bounds, np.int64)
    held = int(cuts[first_held]) if first_held < len(cuts) - 1 else _cut(cuts)
    places = io.BytesIO()
    np.save(places, cuts)
    write(folder / "bounds.npy", lambda file: file.write(places.getbuffer()))
    about = {
        "key": fingerprint(config),
        "held": held,
        "vocabulary": vocabulary.to_dict(),
        "files": {name: _digest(folder / name) for name in FILES},
    }
    # Last: it says that all is there.
    write(folder / "tokens.json", lambda file: file.write(seal(about, FORMAT, indent=None)))
    return _checked(Tokens(path, vocabulary, cuts, held), config)


def put(
    file: IO[bytes],
    vocabulary: Vocabulary,
    texts: Iterable[Document],
    bounds: Any,
    *,
    end: bool = True,
) -> None:
    """Write documents, an END before each and, with `end`, one after the last; `bounds` gains every END's place.

    Without `end` the last of `bounds` is where the next document would begin.
    """
    dtype = dtype_of(vocabulary.size)
    place = bounds.pop() if len(bounds) else 0
    for document in texts:
        bounds.append(place)
        file.write(np.array([END], dtype).tobytes())
        place += 1
        for block in document:
            ids = vocabulary.encode(block)
            file.write(ids.astype(dtype).tobytes())
            place += len(ids)
    bounds.append(place)
    if end:
        file.write(np.array([END], dtype).tobytes())


def _cut(bounds: NDArray[np.int64]) -> int:
    """Where the last tenth begins: between documents if one begins about there, else within one."""
    total = int(bounds[-1])
    target = total - total // HELD_OUT_SHARE
    near = int(bounds[np.argmin(np.abs(bounds - target))])
    return near if abs(near - target) <= total // (4 * HELD_OUT_SHARE) else target


def _checked(tokens: Tokens, config: Config) -> Tokens:
    lengths = [int((r[:, 1] - r[:, 0]).sum()) for r in (tokens.training, tokens.validation)]
    if min(lengths) < 1 or lengths[0] < config.length:
        raise LmError(
            f"the text has {lengths[0]:,} symbols to train on and {lengths[1]:,} held out, fewer than one chunk of "
            f"{config.length}; give more text, or a smaller --length"
        )
    return tokens


def load(config: Config, folder: Path) -> Tokens | None:
    """What `encode` left in a folder; None if there is nothing whole.

    Raises:
        LmError: it is damaged.
    """
    try:
        about = _about(folder)
        held, content = int(about["held"]), about["vocabulary"]
        files = {name: about["files"][name] for name in FILES} if "files" in about else {}
    except OSError:
        return None
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise LmError(f"{folder} is damaged ({error}); delete it to encode the text anew") from None
    for name, digest in files.items():
        _check(folder / name, digest)
    cuts = _places(folder / "bounds.npy")
    vocabulary = from_dict(content, folder)
    return _checked(Tokens(folder / "tokens.bin", vocabulary, cuts, held), config)


def key_of(folder: Path) -> str | None:
    """The fingerprint that `encode` left; None if it has not been there, or not to its end."""
    try:
        return str(_about(folder)["key"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def _about(folder: Path) -> dict[str, Any]:
    """What `tokens.json` says.

    Raises:
        OSError: it cannot be read.
        ValueError: it is damaged.
    """
    data = read_regular(folder / "tokens.json")
    told = json.loads(data)
    if isinstance(told, dict) and told.keys() == {"key", "held", "vocabulary"}:
        return told
    return unseal(data, FORMAT, before=())


def _places(path: Path) -> NDArray[np.int64]:
    """Where documents begin."""
    try:
        cuts = np.load(io.BytesIO(read_regular(path)), allow_pickle=False)
        if cuts.ndim != 1 or cuts.dtype != np.int64 or not len(cuts):
            raise ValueError("it holds no positions")
    except OSError as error:
        raise LmError(f"{path} cannot be read: {error.strerror}; train anew") from None
    except Exception as error:  # of damaged bytes NumPy's reader raises nearly anything
        reason = [*str(error).splitlines(), "it is empty"][0]
        raise LmError(
            f"{path} is damaged ({reason}); delete {path.parent} to encode the text anew"
        ) from None
    return cuts


def _check(path: Path, digest: str) -> None:
    """That a file has this SHA-256."""
    try:
        fits = _digest(path) == digest
    except OSError as error:
        raise LmError(f"{path} cannot be read: {error.strerror}; train anew") from None
    if not fits:
        raise LmError(
            f"{path} is damaged: its content does not fit its checksum; delete {path.parent} to encode the text anew"
        )


def _digest(path: Path) -> str:
    with regular(path) as file:
        digest = hashlib.sha256()
        while piece := file.read(2**20):
            digest.update(piece)
    return digest.hexdigest()
