"""The run folder: what a run leaves on disk, complete after every probe.

| file | content | written |
|---|---|---|
| `flow.jsonl` | one line a probe | appended; thinned where it grows beyond 6 MB |
| `updates.jsonl` | loss, gradient norm, clipping, step size; one line an update, or several | appended |
| `spectra.jsonl` | eigenvalues of the recurrent weights, singular values of step Jacobians, at some probes | appended |
| `findings.json` | latest numbers of each site, findings, notes | replaced after each probe |
| `run.json` | script, arguments, versions, state, exit code, cost; the last line of each series | replaced |
| `nonfinite.pt` | the update in which something stopped being finite, for `bptt replay` | only if there was one |
| `fault.txt` | the traceback of a fault in the monitor itself | only if there was one |
| `.bptt.lock` | nothing; held by the process that writes | at the beginning |

A killed process leaves everything up to its last probe; no file is ever seen half written, but for the last line of a
series. Documents and lines carry checksums (see `bptt._files`); `open_run` reads a folder and names what is damaged.
Folder and files are private to the user (0700, 0600; a folder that was there before keeps its mode): arguments of a
script may hold names and paths that are nobody else's business.
"""

import errno
import os
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from bptt._files import Held, put_whole, seal, sweep
from bptt.doctor._lines import LinesFile, thinned
from bptt.doctor._run import (
    FAULT,
    FINDINGS,
    FLOW,
    FORMAT,
    RUN,
    SERIES,
    SPECTRA,
    UPDATES,
    RunFolderError,
    open_run,
)
from bptt.doctor._schedule import MILESTONES
from bptt.doctor._series import Series
from bptt.doctor._tally import Record, Tally, finite

try:
    import fcntl
except ImportError:  # Windows has none; two runs into one folder are then not told apart
    fcntl = None

KEPT, LOCK, PAGE = "nonfinite.pt", ".bptt.lock", "report.html"
OWN = (*SERIES, FINDINGS, RUN, FAULT, KEPT, PAGE)
LONGEST = 200
"""Bytes of a script's name that its run folder's name takes."""
MOST = {FLOW: 6 * 10**6, SPECTRA: 2 * 10**6}
"""Bytes of a series; beyond them it is thinned to half. With `updates.jsonl` a run of any length stays below 10 MB."""


class RunFolder:
    """Writes the results of one run into a folder.

    An empty or missing folder is taken as it is. In the folder of an earlier run, bptt's own files are moved to
    `earlier/<time of that run>/`; any other file stays untouched. A folder with other content is refused, and so is the
    folder of a run that still goes on.

    Args:
        path: the folder; made (0700) if missing.
        also: other files of an earlier run that are moved aside with bptt's own.

    Raises:
        RunFolderError: the folder cannot be made or written, holds something else, or is in use.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as parent:
        ...     folder = RunFolder(Path(parent) / "a")
        ...     folder.write_run({"program": "bptt", "script": "train.py"})
        ...     folder.append({"update": 1, "sites": {"rnn.l0": {"horizon": 11}}, "notes": []})
        ...     folder.close()
        ...     open_run(folder.path).records[0]["sites"]["rnn.l0"]["horizon"]
        11
    """

    def __init__(self, path: str | os.PathLike[str], also: Iterable[str] = ()) -> None:
        self.path = Path(path).absolute()
        self._lock: Held | None = None
        self._run: dict[str, Any] = {}  # as written last
        self._series = {
            name: LinesFile(self.path / name, lambda name=name: self._shortens(name))
            for name in SERIES
        }
        try:
            self._claim((*OWN, *also))
            self._series[FLOW].open()
        except OSError as error:
            self._let_go()
            reason = error.strerror or str(error)
            raise RunFolderError(
                f"cannot write to the run folder {self.path}: {reason}; name another one with --out DIR"
            ) from None

    # Taking the folder.

    def _claim(self, own: Sequence[str]) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.mkdir(mode=0o700, exist_ok=True)
        mine = (self.path / RUN).is_file() or (self.path / LOCK).is_file()
        if not mine and any(self.path.iterdir()):
            raise RunFolderError(
                f"{self.path} is not empty and not a run folder of bptt; nothing was changed there; "
                "name another folder with --out DIR"
            )
        self._lock = Held(self.path / LOCK, os.O_RDWR | os.O_CREAT)
        if fcntl is not None:
            try:
                fcntl.flock(self._lock.number, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                self._let_go()
                raise RunFolderError(
                    f"another run is writing to {self.path}; name another folder with --out DIR"
                ) from None
        sweep(self.path, own)
        self._move_aside(own)

    def _move_aside(self, own: Sequence[str]) -> None:
        there = [name for name in own if (self.path / name).exists()]
        if not there:
            return
        newest = max((self.path / name).stat().st_mtime for name in there)
        stamp = time.strftime("%Y%m%d-%H%M%S", time.localtime(newest))
        aside, n = self.path / "earlier" / stamp, 1
        while aside.exists():
            n += 1
            aside = aside.with_name(f"{stamp}-{n}")
        if aside.parent.is_symlink():  # whoever laid out this folder does not say where files go
            raise OSError(errno.ELOOP, "its folder `earlier` is a link")
        aside.parent.mkdir(mode=0o700, exist_ok=True)
        aside.mkdir(mode=0o700)
        for name in there:
            os.replace(self.path / name, aside / name)

    def _let_go(self) -> None:
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    @staticmethod
    def in_use(path: str | os.PathLike[str]) -> bool:
        """Whether a live process holds the folder; its lock goes with it, however it ended."""
        if fcntl is None or not (Path(path) / LOCK).is_file():
            return False
        with open(Path(path) / LOCK, "rb") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except OSError:
                return True
            fcntl.flock(lock, fcntl.LOCK_UN)
        return False

    # Writing. Each raises OSError where the disk does not take it; what was there stays.

    def append(self, record: Record) -> None:
        """Add one probe's record to `flow.jsonl`."""
        self._append(FLOW, record)

    def append_spectra(self, record: Record) -> None:
        """Add a line to `spectra.jsonl`."""
        self._append(SPECTRA, record)

    def _append(self, name: str, record: Record) -> None:
        file = self._series[name]
        file.append(finite(record))
        if file.size > MOST[name]:
            file.rewrite(thinned(file.records(), MOST[name] // 2, MILESTONES))

    def write_updates(self, series: Series) -> None:
        """Add to `updates.jsonl` what is new in the series."""
        file = self._series[UPDATES]
        if series.written is None:  # those before were merged
            file.rewrite(each.as_dict() for each in series.entries)
            series.written = len(series.entries)
        for each in series.entries[series.written :]:
            file.append(each.as_dict())
            series.written += 1

    def write_findings(self, findings: dict[str, Any]) -> None:
        """Replace `findings.json`."""
        put_whole(self.path / FINDINGS, seal(finite(findings), FORMAT))

    def write_run(self, run: dict[str, Any]) -> None:
        """Replace `run.json`; the last line of each series is stated in it, so that a lost end is noticed."""
        self._run = run
        self._write_run(SERIES)

    def _write_run(self, stated: Iterable[str]) -> None:
        ends = {name: end for name in stated if (end := self._series[name].end) is not None}
        put_whole(self.path / RUN, seal(finite({**self._run, "ends": ends}), FORMAT))

    def _shortens(self, name: str) -> None:
        """A series is about to be written anew: until `run.json` is replaced again, it does not state its end."""
        if self._run:
            self._write_run(set(SERIES) - {name})

    def write_fault(self, text: str) -> None:
        """Keep the traceback of a fault in the monitor itself."""
        put_whole(self.path / FAULT, text.encode(errors="backslashreplace"))

    def close(self) -> None:
        """Flush every series to the disk and let go of the folder."""
        for file in self._series.values():
            with suppress(OSError):
                file.close()
        self._let_go()


def default_folder(script: str, now: float | None = None) -> Path:
    """`runs/<script>-<YYYYmmdd-HHMMSS>` under the working directory; a name that does not exist yet.

    Example:
        >>> default_folder("code/train.py", now=0.0).name.startswith("train-19")
        True
    """
    stamp = time.strftime("%Y%m%d-%H%M%S", time.localtime(now))
    stem = Path(script).name.removesuffix(".py") or "script"
    stem = os.fsencode(stem)[:LONGEST].decode(errors="ignore")  # file systems take 255 bytes
    path, n = Path("runs", f"{stem}-{stamp}").absolute(), 1
    while path.exists():
        n += 1
        path = path.with_name(f"{stem}-{stamp}-{n}")
    return path


def read_run(path: str | os.PathLike[str]) -> tuple[dict[str, Any], Tally]:
    """What a run folder holds: `run.json` and the folded records of `flow.jsonl`, with a note for each damaged line.

    Raises:
        RunFolderError: the folder is missing, is not a run folder of bptt, or one of its documents is damaged.
    """
    run = open_run(path)
    tally = run.tally()
    for sentence in run.damage:
        name, _, clause = sentence.partition(": ")
        if name == FINDINGS and "cannot be read" not in clause:
            raise RunFolderError(
                f"{run.path / FINDINGS} is damaged ({clause}); delete it to see the page without findings"
            )
        tally.notes.append({"subject": name, "reason": clause})
    return run.run, tally
