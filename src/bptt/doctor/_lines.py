"""A series on the disk: linked lines of JSON, appended one by one, and written anew where they grow too many."""

import errno
import os
from bisect import bisect_left
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from bptt._files import START, Held, link, put_whole, read_regular, unlink


class LinesFile:
    """A file of linked lines that one process writes.

    A line that the disk does not take is taken away again, so that a later one finds the file as it was.

    Args:
        path: the file; made, or emptied, when the first line is written or `open` is called.
        shortens: called before the file is written anew: from then on its old last line may be gone.

    Attributes:
        end: CRC-32 of the last line, None before there is one.
        size: bytes.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     file = LinesFile(Path(folder) / "a.jsonl")
        ...     for n in range(3):
        ...         file.append({"update": n})
        ...     file.rewrite([{"update": 2}])
        ...     file.close()
        ...     file.path.read_text()
        '{"update":2,"after":"00000000","crc32":"a72019e0"}\\n'
    """

    def __init__(self, path: Path, shortens: Callable[[], None] = lambda: None) -> None:
        self.path, self._shortens = path, shortens
        self.end: str | None = None
        self.size = 0
        self._held: Held | None = None

    def open(self) -> None:
        """Make the file, empty.

        Raises:
            OSError: it cannot be made.
        """
        self._held = Held(self.path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND)

    def append(self, record: Mapping[str, Any]) -> None:
        """Add a line, and have it out of this process.

        Raises:
            OSError: the disk does not take it.
        """
        number = self._number()
        line, crc = link(record, self.end or START)
        try:
            _write(number, line)
        except OSError:
            os.ftruncate(number, self.size)
            raise
        self.end, self.size = crc, self.size + len(line)

    def _number(self) -> int:
        """The descriptor to write to; opened again where the script has closed it."""
        if self._held is None:
            self.open()
        elif not self._held.ours:
            again = Held(self.path, os.O_RDWR | os.O_APPEND)
            size = os.fstat(again.number).st_size  # numbers of files are given anew, too
            if again.file != self._held.file or size != self.size:
                again.close()
                raise OSError(
                    errno.EBADF, "its descriptor was closed, and another file has its name"
                )
            self._held = again
        assert self._held is not None
        return self._held.number

    def records(self) -> list[dict[str, Any]]:
        """What the file holds."""
        return unlink(read_regular(self.path)).records

    def rewrite(self, records: Iterable[Mapping[str, Any]]) -> None:
        """Put these in the place of all lines, at once.

        Raises:
            OSError: the disk does not take them; the file is as it was.
        """
        lines, end = [], START
        for record in records:
            line, end = link(record, end)
            lines.append(line)
        whole = b"".join(lines)
        self._shortens()
        put_whole(self.path, whole)
        old, self._held = self._held, Held(self.path, os.O_RDWR | os.O_APPEND)
        if old is not None:
            old.close()
        self.end, self.size = end if lines else None, len(whole)

    def close(self) -> None:
        """Flush to the disk and let go."""
        held, self._held = self._held, None
        if held is not None and held.ours:
            try:
                os.fsync(held.number)
            finally:
                held.close()


def _write(handle: int, data: bytes) -> None:
    while data:
        data = data[os.write(handle, data) :]


def thinned(
    records: Sequence[dict[str, Any]], most: int, kept: Collection[int]
) -> list[dict[str, Any]]:
    """At most `most` bytes of records: the first, the last, those of the updates `kept`, and others evenly between.

    If that is still too much, the updates `kept` are thinned like others; the first and the last always stay.

    Example:
        >>> records = [{"update": n} for n in range(1, 101)]
        >>> [each["update"] for each in thinned(records, 500, kept=(3, 10))]
        [1, 3, 10, 26, 51, 76, 100]
    """
    sizes = [len(link(record)[0]) for record in records]
    updates = [record.get("update") or 0 for record in records]
    ends = {0, len(records) - 1}
    marked = {n for n, update in enumerate(updates) if update in kept} | ends
    for always in (marked, ends):
        slots = len(records)
        while slots:
            slots //= 2
            chosen = always | _spaced(updates, slots)
            if sum(sizes[n] for n in chosen) <= most:
                return [records[n] for n in sorted(chosen)]
    return [records[n] for n in sorted(ends)]


def _spaced(updates: Sequence[int], slots: int) -> set[int]:
    """Places of the first record at or after each of so many updates, evenly spaced."""
    first, last = updates[0], updates[-1]
    wanted = (first + (last - first) * n / (slots + 1) for n in range(1, slots + 1))
    return {bisect_left(updates, each) for each in wanted}
