"""The run folder: what a run leaves on disk, complete after every probe.

| file | content | written |
|---|---|---|
| `flow.jsonl` | one line a probe | appended and flushed |
| `findings.json` | latest numbers of each site, findings, notes | replaced after each probe |
| `run.json` | script, arguments, versions, state, exit code, cost | replaced after each probe |
| `nonfinite.pt` | the update in which something stopped being finite, for `bptt replay` | only if there was one |
| `fault.txt` | the traceback of a fault in the monitor itself | only if there was one |

A killed process leaves everything up to its last probe. The folder is made private (0700): arguments of a script may
hold names and paths that are nobody else's business.
"""

import json
import os
import threading
import time
from pathlib import Path
from typing import IO, Any

from bptt._errors import BpttError
from bptt.doctor._tally import Record, Tally, finite

try:
    import fcntl
except ImportError:  # Windows has none; two runs into one folder are then not told apart
    fcntl = None

FLOW, FINDINGS, RUN, FAULT = "flow.jsonl", "findings.json", "run.json", "fault.txt"
KEPT = "nonfinite.pt"
OWN = (FLOW, FINDINGS, RUN, FAULT, KEPT)


class RunFolderError(BpttError):
    """A run folder that cannot be made, or that belongs to something else."""


class RunFolder:
    """Writes the results of one run into a folder.

    An empty or missing folder is taken as it is. In the folder of an earlier run, bptt's own files are moved to
    `earlier/<time of that run>/`; any other file stays untouched. A folder with other content is refused, and so is the
    folder of a run that still goes on.

    Args:
        path: the folder; made (0700) if missing.

    Raises:
        RunFolderError: the folder cannot be made or written, holds something else, or is in use.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as parent:
        ...     folder = RunFolder(Path(parent) / "a")
        ...     folder.write_run({"script": "train.py"})
        ...     folder.append({"update": 1, "sites": {"rnn.l0": {"horizon": 11}}, "notes": []})
        ...     folder.close()
        ...     read_run(folder.path)[1].sites["rnn.l0"]["horizon"]
        11
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path).absolute()
        try:
            self._claim()
            self._flow: IO[str] = (self.path / FLOW).open("a", encoding="utf-8")
        except OSError as error:
            reason = error.strerror or str(error)
            raise RunFolderError(
                f"cannot write to the run folder {self.path}: {reason}; name another one with --out DIR"
            ) from None
        if fcntl is not None:
            fcntl.flock(self._flow, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def _claim(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.mkdir(mode=0o700, exist_ok=True)
        if self.in_use(self.path):  # it may not have come to its first update yet
            raise RunFolderError(
                f"another run is writing to {self.path}; name another folder with --out DIR"
            )
        if (self.path / RUN).is_file():
            self._move_aside()
        elif any(self.path.iterdir()):
            raise RunFolderError(
                f"{self.path} is not empty and not a run folder of bptt; nothing was changed there; "
                "name another folder with --out DIR"
            )

    def _move_aside(self) -> None:
        stamp = time.strftime("%Y%m%d-%H%M%S", time.localtime((self.path / RUN).stat().st_mtime))
        aside, n = self.path / "earlier" / stamp, 1
        while aside.exists():
            n += 1
            aside = aside.with_name(f"{stamp}-{n}")
        aside.mkdir(parents=True)
        for name in OWN:
            if (self.path / name).exists():
                os.replace(self.path / name, aside / name)

    @staticmethod
    def in_use(path: str | os.PathLike[str]) -> bool:
        """Whether a live process holds the folder; its lock goes with it, however it ended."""
        if fcntl is None or not (Path(path) / FLOW).is_file():
            return False
        with open(Path(path) / FLOW, "rb") as flow:
            try:
                fcntl.flock(flow, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                return True
            fcntl.flock(flow, fcntl.LOCK_UN)
        return False

    def append(self, record: Record) -> None:
        """Add one probe's record to `flow.jsonl`."""
        self._flow.write(json.dumps(finite(record), allow_nan=False, separators=(",", ":")) + "\n")
        self._flow.flush()

    def write_findings(self, findings: dict[str, Any]) -> None:
        """Replace `findings.json`."""
        self._replace(FINDINGS, findings)

    def write_run(self, run: dict[str, Any]) -> None:
        """Replace `run.json`."""
        self._replace(RUN, run)

    def write_fault(self, text: str) -> None:
        """Keep the traceback of a fault in the monitor itself."""
        (self.path / FAULT).write_text(text, encoding="utf-8")

    def close(self) -> None:
        """Close `flow.jsonl` and let go of the folder."""
        self._flow.close()

    def _replace(self, name: str, content: dict[str, Any]) -> None:
        # Written aside, then moved: whoever reads while the run goes on finds the old file or the new one, never half.
        aside = self.path / f".{name}.{os.getpid()}.{threading.get_ident()}"
        aside.write_text(
            json.dumps(finite(content), allow_nan=False, indent=1) + "\n", encoding="utf-8"
        )
        os.replace(aside, self.path / name)


def default_folder(script: str, now: float | None = None) -> Path:
    """`runs/<script>-<YYYYmmdd-HHMMSS>` under the working directory; a name that does not exist yet.

    Example:
        >>> default_folder("code/train.py", now=0.0).name.startswith("train-19")
        True
    """
    stamp = time.strftime("%Y%m%d-%H%M%S", time.localtime(now))
    stem = Path(script).name.removesuffix(".py") or "script"
    path, n = Path("runs", f"{stem}-{stamp}").absolute(), 1
    while path.exists():
        n += 1
        path = path.with_name(f"{stem}-{stamp}-{n}")
    return path


def read_run(path: str | os.PathLike[str]) -> tuple[dict[str, Any], Tally]:
    """What a run folder holds: `run.json` and the folded records of `flow.jsonl`.

    Raises:
        RunFolderError: the folder is missing or is not a run folder of bptt.
    """
    path = Path(path)
    try:
        run = json.loads((path / RUN).read_text(encoding="utf-8"))
        lines = (path / FLOW).read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:
        raise RunFolderError(
            f"{path} is not a run folder of bptt ({error}); give the folder that `bptt run` named"
        ) from None
    tally = Tally()
    for n, line in enumerate(lines, 1):
        try:
            tally.add(json.loads(line))
        except ValueError:
            if n < len(lines):  # only a killed run's last line may be cut short
                raise RunFolderError(f"{path / FLOW}, line {n} is not JSON") from None
    tally.verdict = _verdict(path / FINDINGS)
    return run, tally


def _verdict(path: Path) -> list[dict[str, Any]]:
    """The findings of `findings.json`, which a run that was killed early may not have written."""
    if not path.is_file():
        return []
    try:
        findings = json.loads(path.read_text(encoding="utf-8"))["findings"]
        return [dict(each, code=str(each["code"])) for each in findings]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunFolderError(
            f"{path} is damaged ({type(error).__name__}: {error}); delete it to see the page without findings"
        ) from None
