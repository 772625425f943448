"""Run folders: damaged blindly, changed under fitting checksums, or made up; read, and shown on every page."""

import io
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from bptt.doctor import Logbook, Run, RunFolder, RunFolderError, open_run
from bptt.doctor._series import Update
from bptt.doctor._tally import finite
from bptt.report import compared, console, show, summary, table
from bptt.report.page._page import page
from fuzz.draw import Draw
from fuzz.edits import blind, body, change, linked, sealed
from made_runs import a_run, repair

SERIES = ("flow.jsonl", "spectra.jsonl", "updates.jsonl")
DOCUMENTS = ("run.json", "findings.json")
FILES = (*DOCUMENTS, *SERIES)
PARTS = ("records", "spectra", "updates", "findings", "notes")
Content = dict[str, bytes]


def written(path: Path, *, finished: bool) -> Content:
    """The files of a run that ended or was killed, small, with one of everything that a folder can hold."""
    made = a_run(sites=2, updates=9, probes=2, rows=3, hidden=4)
    log = Logbook(RunFolder(path), script="train.py", argv=["--lr", "0.1"])
    log.begin()
    log.tally.verdict = [each | {"consequences": made.findings} for each in made.findings]
    log.saw([Update(n, 1.0 / n, float(n), 1.0, 0.5, 1e-3) for n in range(1, 4)])
    for record, spectra in zip(made.records, made.spectra, strict=False):
        log.add_spectra(_short(spectra))
        log.add(_short(record) | {"notes": [{"subject": "l0", "reason": "1 of 2"}]}, 9, 0.1)
    if finished:
        log.end("finished", 0)
    log.release()
    content = {name: (path / name).read_bytes() for name in FILES}
    if finished:
        run = json.loads(content["run.json"])
        run["repairs"] = [repair("l0", 3), repair("l0", 5, outcome="undone", back_to=2)]
        content["run.json"] = sealed(run)
    return content


def _short(value: Any) -> Any:
    """With two points of every curve."""
    if isinstance(value, dict):
        return {key: _short(each) for key, each in value.items()}
    return value[:2] if isinstance(value, list) else value


def older(content: Content) -> Content:
    """The same as format 1 wrote it: plain JSON, no checksums; and no series but the probes'."""
    found = {}
    for name in DOCUMENTS:
        told = json.loads(content[name])
        for key in ("format", "writer", "sha256", "ends", "model"):
            told.pop(key, None)
        found[name] = json.dumps({"version": 1, **told}).encode()
    rows = [json.loads(row) for row in content["flow.jsonl"].splitlines()]
    for row in rows:
        del row["after"], row["crc32"]
    return found | {"flow.jsonl": b"".join(json.dumps(row).encode() + b"\n" for row in rows)}


class Folders:
    """A folder on a disk in memory, changed by each case and read."""

    def __init__(self, scratch: Path) -> None:
        self.path = scratch / "run"
        finished = written(scratch / "finished", finished=True)
        killed = written(scratch / "killed", finished=False)
        self.bases = (finished, killed, older(finished))
        self.path.mkdir()
        self.there: Content = {}
        self.wholes = [self.read(base) for base in self.bases]
        assert [run.damage for run in self.wholes] == [[], [], []]

    def put(self, content: Content) -> None:
        """The folder with this content; only what differs is written."""
        for name in self.there.keys() - content.keys():
            (self.path / name).unlink()
        for name, data in content.items():
            if self.there.get(name) != data:
                (self.path / name).write_bytes(data)
        self.there = dict(content)

    def read(self, content: Content) -> Run:
        """What the reader makes of it."""
        self.put(content)
        return open_run(self.path)

    def changed(self, draw: Draw) -> tuple[int, Content, bool]:
        """A base's number, its changed content, and whether the change was blind, so that checksums must tell it."""
        which = draw.below(len(self.bases))
        content, unseen = dict(self.bases[which]), which < 2
        for _ in range(1 + draw.below(3)):
            name = draw.choice(sorted(content))
            kind = draw.below(8)
            if kind == 0:
                del content[name]
            elif kind < 4:
                content[name] = blind(content[name], draw)
            else:
                content[name] = _within(name, content[name], draw, older=which == 2)
                unseen = False
            if not content:
                break
        return which, content, unseen

    def case(self, data: bytes) -> None:
        """Refused with a sentence, or read; what no checksum fits is never taken as good; and what is read lasts."""
        draw = Draw(data)
        which, content, unseen = self.changed(draw)
        try:
            found = self.read(content)
        except RunFolderError as refused:
            error = str(refused)
            if not error.startswith(str(self.path)):
                raise AssertionError(f"refused without its name: {error}") from None
            return
        if unseen:
            _is_part(found, self.wholes[which], killed=which == 1)
        found.tally()
        if draw.chance(8):
            self.lasts(found)

    def lasts(self, found: Run) -> None:
        """Written again and read again it is the same; NaN, which is not written, aside."""
        found = replace(found, **{name: finite(getattr(found, name)) for name in ("run", *PARTS)})
        series = (found.records, found.spectra, found.updates)
        again = {
            name: linked(list(map(body, rows))) for name, rows in zip(SERIES, series, strict=True)
        }
        kept = {key: value for key, value in found.run.items() if key not in ("ends", "version")}
        again["run.json"] = sealed({"format": 2, "writer": "bptt", **kept})
        of_spectra = sum(len(each.get("notes") or ()) for each in found.spectra)
        notes = found.notes[: len(found.notes) - of_spectra]
        told = {"findings": found.findings, "notes": notes}
        again["findings.json"] = sealed({"format": 2, "writer": "bptt", **told})
        twice = self.read(again)
        assert not twice.damage, twice.damage
        for name in PARTS:
            assert _unlinked(getattr(twice, name)) == _unlinked(getattr(found, name)), name

    def shown(self, data: bytes) -> None:
        """Whatever is read is shown, on a terminal, on a page, in a comparison."""
        try:
            found = self.read(self.changed(Draw(data))[1])
        except RunFolderError:
            return
        out = console(io.StringIO())
        show(found.run, found.tally(), out, str(self.path))
        for text in (page(found), json.dumps(told := summary(found, alive=False))):
            text.encode("utf-8", "replace")
        table(compared([told, told]), ["a", "b"], out)

    def close(self) -> None:
        """Take the folder away."""
        shutil.rmtree(self.path.parent, ignore_errors=True)


def _within(name: str, data: bytes, draw: Draw, *, older: bool) -> bytes:
    """A change to the content, with checksums that fit it again."""
    if name in DOCUMENTS:
        try:
            told = json.loads(data)
        except (ValueError, RecursionError):
            return data
        for _ in range(1 + draw.below(2)):
            change(told, draw)
        return sealed(told) if isinstance(told, dict) and not older else json.dumps(told).encode()
    rows = data.splitlines()
    if draw.chance(8):  # a line that is no JSON at all, under a checksum that fits it
        n = draw.below(len(rows) + 1)
        bodies = [row.rpartition(b',"after"')[0] for row in rows]
        bodies[n:n] = [b"{" + draw.choice((draw.take(9), b'"a":' + b"[" * 3000, b'"a":"\xff"'))]
        return b"\n".join(bodies) if older else linked(bodies)
    try:
        records = [json.loads(row) for row in rows]
    except (ValueError, RecursionError):
        return data
    for _ in range(1 + draw.below(2)):
        change(records, draw)
    if older:
        return b"".join(json.dumps(each).encode() + b"\n" for each in records)
    return linked([body(each) for each in records])


def _is_part(found: Run, whole: Run, *, killed: bool) -> None:
    """Nothing that was not written; and where something is missing, a sentence says so."""
    assert found.run == whole.run
    assert found.findings in (whole.findings, [])
    early = killed and not (found.path / "findings.json").exists()
    lost = found.findings != whole.findings and not early
    for name in ("records", "spectra", "updates"):
        mine, theirs = getattr(found, name), getattr(whole, name)
        assert all(each in theirs for each in mine), f"{name} that nobody wrote"
        # What a killed run wrote behind its last run.json is not vouched for: it was killed a little earlier, then.
        lost |= mine != theirs and not (killed and mine == theirs[: len(mine)])
    assert found.damage or not lost, "something is missing and nothing says so"


def _unlinked(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Without the checksums that a plain reader, of format 1, takes for content."""
    return [{k: v for k, v in each.items() if k not in ("after", "crc32")} for each in entries]


def reader(scratch: Path) -> Callable[[bytes], None]:
    """The target that reads folders."""
    return Folders(scratch).case


def pages(scratch: Path) -> Callable[[bytes], None]:
    """The target that shows them."""
    return Folders(scratch).shown
