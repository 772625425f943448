"""Runs the suite's scripts under `bptt run`, compares what is found with the manifest, prints the confusion table.

    python tests/suite/runner.py [--only VG101,none] [--budget 0.02] [--processes 2] [--json FILE] [--write]

`--write` brings docs/suite.md and benchmarks/results/suite.json up to date. Each script runs in a process of its own,
forked from one that has imported torch already: a hundred imports would take longer than a hundred trainings.
"""

import argparse
import io
import json
import os
import signal
import sys
import tempfile
import time
import tomllib
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

SUITE = Path(__file__).resolve().parent
ROOT = SUITE.parents[1]
LIMIT = 120  # seconds for one script
LOUD = ("error", "warning")  # severities that a healthy script must not get


@dataclass(frozen=True)
class Case:
    """One script: what it is about, and whether it has that fault."""

    about: str
    name: str
    faulty: bool

    @property
    def path(self) -> Path:
        return SUITE / "scripts" / self.about.lower() / f"{self.name}.py"

    @property
    def expected(self) -> str:
        """The code that must be found; empty for a healthy script."""
        return self.about if self.faulty else ""

    def __str__(self) -> str:
        return f"{self.about.lower()}/{self.name}"


@dataclass(frozen=True)
class Row:
    """What `bptt run` said of one script: codes and severities of the findings, and of those folded under them."""

    script: str
    about: str
    faulty: bool
    findings: list[tuple[str, str]]
    folded: list[tuple[str, str]]
    exit: int
    seconds: float
    trouble: str = ""

    @staticmethod
    def of(content: dict[str, Any]) -> "Row":
        """Back from JSON, which knows no tuples."""
        pairs = {key: [tuple(pair) for pair in content[key]] for key in ("findings", "folded")}
        return Row(**{**content, **pairs})

    @property
    def found(self) -> bool:
        """The fault has a finding of its own under its code."""
        return self.about in [code for code, _ in self.findings]

    @property
    def false_alarms(self) -> list[str]:
        """Codes of errors and warnings."""
        return [code for code, severity in self.findings if severity in LOUD]

    @property
    def right(self) -> bool:
        """As the manifest says."""
        return not self.trouble and (self.found if self.faulty else not self.false_alarms)

    @property
    def said(self) -> str:
        """The column of the confusion table: the expected code if it is among the findings, else the first one."""
        if self.faulty and self.found:
            return self.about
        codes = [code for code, _ in self.findings] if self.faulty else self.false_alarms
        return codes[0] if codes else "none"


def cases(only: Sequence[str] = ()) -> list[Case]:
    """The manifest's scripts, or those about some codes."""
    manifest = tomllib.loads((SUITE / "manifest.toml").read_text(encoding="utf-8"))
    return [
        Case(about, name, faulty=kind == "faulty")
        for about, kinds in manifest.items()
        if not only or about in only
        for kind in ("faulty", "healthy")
        for name in kinds[kind]
    ]


def forked(
    jobs: Sequence[Case], work: Callable[[Case], Any], processes: int = 2
) -> Iterator[tuple[Case, Any]]:
    """`work(job)` for each job in a process of its own, a few at a time; what it returns must be JSON-able.

    A job that dies or takes too long has the result None.
    """
    warm_up()
    waiting, running = list(jobs), dict[int, tuple[Case, int]]()
    while waiting or running:
        while waiting and len(running) < processes:
            case = waiting.pop(0)
            kept = os.memfd_create(case.name)
            child = os.fork()
            if child == 0:
                _child(case, work, kept)
            running[child] = (case, kept)
        child, _ = os.wait()
        case, kept = running.pop(child)
        os.lseek(kept, 0, os.SEEK_SET)
        with os.fdopen(kept, "rb") as file:
            content = file.read()
        yield case, json.loads(content) if content else None


def warm_up() -> None:
    """Import once what nearly every script imports; start no thread, a fork would lose it."""
    import torch
    import torch._dynamo  # the first optimizer of a process imports it
    import torch.utils.data

    import bptt.cli._run
    import bptt.doctor._monitor
    import bptt.report  # noqa: F401

    torch.set_num_threads(1)


def _child(case: Case, work: Callable[[Case], Any], out: int) -> None:
    signal.alarm(LIMIT)
    code, errors = 1, os.dup(2)  # the job may send its output elsewhere
    try:
        content = json.dumps(work(case)).encode()
        os.write(out, content)
        code = 0
    except BaseException:
        os.write(errors, traceback.format_exc().encode())
    finally:
        os._exit(code)


def quietly(call: Callable[[], object], log: Path) -> int:
    """Call with both output streams in a file; the exit code that the process would have had."""
    with log.open("w", encoding="utf-8") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    sys.stdout = io.TextIOWrapper(os.fdopen(1, "wb", closefd=False), write_through=True)
    sys.stderr = io.TextIOWrapper(os.fdopen(2, "wb", closefd=False), write_through=True)
    try:
        call()
    except SystemExit as left:
        return left.code if isinstance(left.code, int) else int(left.code is not None)
    except Exception:
        traceback.print_exc()
        return 1
    return 0


def under_bptt(budget: float) -> Callable[[Case], Any]:
    """What the forked child does: `bptt run` on the script, and what findings.json says then."""

    def work(case: Case) -> Any:
        from bptt.cli import main

        with tempfile.TemporaryDirectory() as folder:
            out, log = Path(folder) / "run", Path(folder) / "log"
            command = ["run", "--budget", str(budget), "--out", str(out), str(case.path)]
            began = time.perf_counter()
            code = quietly(lambda: main(command), log)
            seconds = time.perf_counter() - began
            return asdict(read(case, out, log, code, seconds))

    return work


def read(case: Case, out: Path, log: Path, code: int, seconds: float) -> Row:
    """The row of a run whose folder is `out`."""
    findings: list[dict[str, Any]] = []
    trouble = "" if code == 0 else f"exit code {code}"
    try:
        findings = json.loads((out / "findings.json").read_text(encoding="utf-8"))["findings"]
        if json.loads((out / "run.json").read_text(encoding="utf-8")).get("fault"):
            trouble = "a fault of bptt's own"
    except (OSError, ValueError, KeyError) as error:
        trouble = f"no findings.json: {error!r}"
    if trouble:
        text = log.read_text(encoding="utf-8", errors="replace").strip()
        trouble = f"{trouble}; {text.splitlines()[-1] if text else 'no output'}"
    folded = [each for finding in findings for each in _below(finding)]
    return Row(
        script=str(case),
        about=case.about,
        faulty=case.faulty,
        findings=[(each["code"], each["severity"]) for each in findings],
        folded=[(each["code"], each["severity"]) for each in folded],
        exit=code,
        seconds=round(seconds, 2),
        trouble=trouble,
    )


def _below(finding: dict[str, Any]) -> list[dict[str, Any]]:
    children = finding.get("consequences", [])
    return [each for child in children for each in (child, *_below(child))]


def run(chosen: Sequence[Case], budget: float = 0.02, processes: int = 2) -> list[Row]:
    """All rows, in the manifest's order."""
    rows: dict[str, Row] = {}
    for case, result in forked(chosen, under_bptt(budget), processes):
        empty = Row(str(case), case.about, case.faulty, [], [], -1, 0.0, "died or took too long")
        rows[str(case)] = empty if result is None else Row.of(result)
    return [rows[str(case)] for case in chosen]


def main() -> None:
    """Run, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--only", default="", help="codes, separated by commas")
    parser.add_argument("--budget", type=float, default=0.02)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--json", type=Path, help="write the rows to this file")
    parser.add_argument("--write", action="store_true", help="docs/suite.md and the results file")
    args = parser.parse_args()
    chosen = cases([code for code in args.only.split(",") if code])
    rows = run(chosen, args.budget, args.processes)
    from page import confusion, summary, write  # beside this file: runs as a script only

    print(confusion(rows), "", summary(rows), sep="\n")
    if args.json:
        args.json.write_text(json.dumps([asdict(row) for row in rows], indent=1), encoding="utf-8")
    if args.write:
        write(ROOT, rows, args.budget)


if __name__ == "__main__":
    main()
