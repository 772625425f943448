"""The folder of a sweep: one line of JSON a finished point, written at once, so that nothing is done twice."""

import json
import os
from collections.abc import Sequence
from contextlib import suppress
from math import inf
from pathlib import Path
from typing import Any

from bptt import __version__
from bptt._errors import BpttError
from bptt._files import put_whole, read_regular
from bptt.cli._sweep._grid import Point

RESULTS = "results.jsonl"

Row = dict[str, Any]
"""`key`, `point`, `bptt` (the version that did it), and `result`."""


class Folder:
    """Results by the points' keys, on a disk. One process writes.

    A line that was cut short, by a full disk or a power failure, is dropped when the folder is opened: its point is
    done again.

    Args:
        path: made if it is not there.

    Raises:
        BpttError: it is a file, or cannot be made or read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.file = path / RESULTS
        try:
            path.mkdir(parents=True, exist_ok=True)
            self.rows = self._read()
        except OSError as error:
            raise BpttError(
                f"--out is {path}, expected a folder that can be used: {error.strerror}"
            ) from None

    def _read(self) -> dict[str, Row]:
        if not self.file.exists():
            return {}
        whole = read_regular(self.file)
        kept = whole[: whole.rfind(b"\n") + 1]
        rows: dict[str, Row] = {}
        for n, line in enumerate(kept.splitlines(), 1):
            try:
                row = json.loads(line)
                _check(row)
                rows[row["key"]] = row
            except (ValueError, KeyError, TypeError, RecursionError):
                raise BpttError(
                    f"{self.file}, line {n}, is no result of a sweep: {line[:60]!r}; take the line away, or give "
                    "another --out"
                ) from None
        if kept != whole:
            with self.file.open("r+b") as file:
                file.truncate(len(kept))
        return rows

    def missing(self, points: Sequence[Point]) -> list[Point]:
        """Those that are not finished, in their order."""
        return [point for point in points if point.key not in self.rows]

    def add(self, point: Point, result: Any) -> None:
        """Keep what came of a point, on the disk when this returns.

        Raises:
            BpttError: it could not be written.
        """
        told = {name: value for name, value in vars(point).items() if value not in (None, ())}
        row = {"key": point.key, "point": told, "bptt": __version__, "result": result}
        size = self.file.stat().st_size if self.file.exists() else 0
        try:
            with self.file.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            with suppress(
                OSError
            ):  # or the next point's line would stand behind half of this one's
                os.truncate(self.file, size)
            raise BpttError(f"{self.file} could not be written: {error.strerror}") from None
        self.rows[point.key] = row

    def results(self, points: Sequence[Point]) -> list[tuple[Point, dict[str, Any]]]:
        """The finished ones of these points with their results."""
        return [(p, self.rows[p.key]["result"]) for p in points if p.key in self.rows]

    def write(self, name: str, text: str) -> Path:
        """A page or a picture of the results, beside them.

        Raises:
            BpttError: it could not be written.
        """
        path = self.path / name
        try:
            put_whole(path, text.encode(), mode=0o666)
        except OSError as error:
            raise BpttError(f"{path} could not be written: {error.strerror}") from None
        return path


def _check(row: Row) -> None:
    """That a row is of the shape that tables are made from: refused, a reach that was measured, or a training."""
    result, point = row["result"], row["point"]
    if not (isinstance(row["key"], str) and isinstance(result, dict) and isinstance(point, dict)):
        raise TypeError
    lags = point.get("lags") or []
    if "refused" in result:
        fits = isinstance(result["refused"], str)
    elif "log10_left" in result:
        fits = all(map(_is_number, [result["horizon"], *result["log10_left"]]))
        fits = fits and len(result["log10_left"]) == len(lags)
    else:
        fits = all(_is_number(result[key]) for key in ("solved", "diverged", "updates", "errors"))
    if not fits:
        raise ValueError


def _is_number(value: Any) -> bool:
    """A finite number or None."""
    if type(value) is float:
        return -inf < value < inf
    return value is None or (type(value) is int and abs(value) < 2**63)
