"""A run folder as it is read: every document and series of it, and a sentence for each part that is damaged.

Format 2 carries checksums (see `bptt._files`): what does not fit its own is named and left out, never taken as good.
Folders of format 1, which had none, are read as far as they are JSON of the right shape. A newer format is refused.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any

from bptt._errors import BpttError
from bptt._files import DamagedFileError, read_regular, unlink, unseal
from bptt.doctor import _shapes
from bptt.doctor._tally import Record, Tally

FORMAT = 2
"""Of the run folders that are written."""
FLOW, FINDINGS, RUN, FAULT = "flow.jsonl", "findings.json", "run.json", "fault.txt"
SPECTRA, UPDATES = "spectra.jsonl", "updates.jsonl"
SERIES = (FLOW, SPECTRA, UPDATES)
RUN_BEFORE = frozenset((
    "version", "program", "script", "argv", "options", "state", "started", "versions", "exit_code", "sentence",
    "updates", "probes", "seconds", "spent", "overhead", "fault", "repairs",
))  # fmt: skip
"""Keys of `run.json` in format 1; and of `findings.json`:"""
FINDINGS_BEFORE = frozenset(("version", "script", "sites", "findings", "notes"))


class RunFolderError(BpttError):
    """A run folder that cannot be made, or that belongs to something else."""


@dataclass(frozen=True)
class Run:
    """What a run folder holds.

    Attributes:
        path: the folder.
        run: `run.json`.
        records: of `flow.jsonl`, one a probe.
        spectra: of `spectra.jsonl`.
        updates: of `updates.jsonl`: loss, gradient norm, clipping and step sizes, one entry an update or several.
        findings: of `findings.json`.
        notes: what could not be measured, as `{"subject", "reason"}`.
        damage: a sentence for each part that is damaged and left out; it begins with the file's name.

    Example:
        >>> import tempfile
        >>> from bptt.doctor import Logbook, RunFolder
        >>> with tempfile.TemporaryDirectory() as parent:
        ...     log = Logbook(RunFolder(Path(parent) / "a"), script="train.py")
        ...     log.begin()
        ...     log.add({"update": 1, "sites": {"l0": {"horizon": 11}}, "notes": []}, updates=1, spent=0.0)
        ...     log.end("finished", exit_code=0)
        ...     log.release()
        ...     run = open_run(Path(parent) / "a")
        >>> run.run["script"], run.records[0]["sites"]["l0"]["horizon"], run.damage
        ('train.py', 11, [])
    """

    path: Path
    run: dict[str, Any]
    records: list[Record] = field(default_factory=list)
    spectra: list[dict[str, Any]] = field(default_factory=list)
    updates: list[dict[str, Any]] = field(default_factory=list)
    findings: list[dict[str, Any]] = field(default_factory=list)
    notes: list[dict[str, str]] = field(default_factory=list)
    damage: list[str] = field(default_factory=list)

    def tally(self) -> Tally:
        """The records folded, with the findings, as the run itself held them at its end."""
        tally = Tally()
        for record in self.records:
            tally.add(record)
        tally.verdict = self.findings
        return tally


def open_run(path: str | PathLike[str]) -> Run:
    """Read a run folder, finished or not. The run may still be writing to it.

    Of a damaged file the good part is used, and `Run.damage` says what was left out.

    Args:
        path: the folder.

    Raises:
        RunFolderError: it is missing, no run folder of bptt, of a newer format, or its `run.json` is damaged, which
            says what all the rest is.
    """
    path = Path(path)
    run = _read_run_json(path)
    found = _read_all(path, run)
    if any(END in sentence for sentence in found.damage):
        # A run that goes on may have shortened a file between the two looks.
        again = _read_run_json(path)
        found = _read_all(path, again) if again != run else found
    return found


END = "its end is missing"


def _read_run_json(path: Path) -> dict[str, Any]:
    try:
        data = read_regular(path / RUN)
    except OSError as error:
        raise RunFolderError(
            f"{path} is not a run folder of bptt ({RUN}: {error.strerror or error}); "
            "give the folder that `bptt run` named"
        ) from None
    try:
        run = unseal(data, FORMAT, RUN_BEFORE)
    except DamagedFileError as error:
        raise RunFolderError(f"{path / RUN} cannot be used: {error}") from None
    if run.get("program") != "bptt":
        raise RunFolderError(f"{path} is not a run folder of bptt: {RUN} is of another program")
    if (field := _shapes.misshapen(run)) is not None:
        raise RunFolderError(
            f"{path / RUN} cannot be used: it is damaged: its {field!r} is of another type than bptt writes"
        )
    return run


def _read_all(path: Path, run: dict[str, Any]) -> Run:
    found = Run(path, run)
    checked = "version" not in run
    ends: Mapping[str, Any] = run.get("ends") or {}
    for name, into, fits in (
        (FLOW, found.records, _shapes.PROBE),
        (SPECTRA, found.spectra, _shapes.SPECTRA),
        (UPDATES, found.updates, _shapes.UPDATE),
    ):
        read = _linked if checked else _plain
        into += read(path / name, ends.get(name), fits, found.damage)
    document = _findings(path / FINDINGS, run, found.damage)
    found.findings[:] = document.get("findings", [])
    notes = document.get("notes") if document else found.tally().notes
    told = [note for each in found.spectra for note in each.get("notes") or ()]
    found.notes[:] = [*(notes or []), *told]
    return found


Fits = Callable[[Any], bool]


def _linked(path: Path, end: Any, fits: Fits, damage: list[str]) -> list[dict[str, Any]]:
    """The good lines of a series of format 2."""
    data = _bytes(path, damage, needed=end is not None)
    if data is None:
        return []
    lines = unlink(data)
    damage += [f"{path.name}: {clause}" for clause in lines.damage]
    if end is not None and end not in lines.crcs:
        damage.append(f"{path.name}: {END}")
    return _shaped(path.name, lines.records, fits, damage)


def _plain(path: Path, end: Any, fits: Fits, damage: list[str]) -> list[dict[str, Any]]:
    """The lines of a series of format 1 that are JSON; only a killed run's last one may be cut short."""
    rows = (_bytes(path, damage, needed=path.name == FLOW) or b"").split(b"\n")
    found = []
    for n, row in enumerate(rows, 1):
        if n == len(rows) and not row:
            break
        try:
            found.append(json.loads(row))
        except (ValueError, RecursionError):
            what = "cut short" if n == len(rows) else "damaged, it is not JSON,"
            damage.append(f"{path.name}: line {n} is {what} and left out")
    return _shaped(path.name, found, fits, damage)


def _bytes(path: Path, damage: list[str], *, needed: bool) -> bytes | None:
    try:
        return read_regular(path)
    except OSError as error:
        if needed or not isinstance(error, FileNotFoundError):
            damage.append(f"{path.name}: cannot be read ({error.strerror or error})")
        return None


def _shaped(name: str, found: list[Any], fits: Fits, damage: list[str]) -> list[dict[str, Any]]:
    good = [each for each in found if fits(each)]
    if len(good) < len(found):
        damage.append(f"{name}: {len(found) - len(good)} lines have another shape and are left out")
    return good


def _findings(path: Path, run: dict[str, Any], damage: list[str]) -> dict[str, Any]:
    """`findings.json`, which a run that was killed early may not have written; {} where it is damaged."""
    data = _bytes(path, damage, needed=run.get("state") not in ("new", "running"))
    if data is None:
        return {}
    try:
        content = unseal(data, FORMAT, FINDINGS_BEFORE if "version" in run else ())
    except DamagedFileError as error:
        damage.append(f"{path.name}: {error}; its findings are left out")
        return {}
    listed = content.get("findings")
    fits = isinstance(listed, list) and all(map(_shapes.FINDING, listed))
    if not fits or not _shapes.NOTES(content.get("notes")):
        damage.append(f"{path.name}: it is damaged: its findings are not a list of findings")
        return {}
    return content
