"""Fuzz what reads files, folders and options, and the layers; count what was tried and found.

    python benchmarks/fuzz/run.py [--cases 100000] [--seed 0] [--add] [--plain] TARGET …

Targets are those of tests/fuzz/targets.py. With atheris installed (`pip install 'bptt[fuzz]'`) readers are fuzzed
coverage-guided, from a corpus that is kept under build/fuzz/python; without it, with --plain, and for the layers, whose
branches are not Python's, from seeded random bytes. A case fails on any exception but those that the target expects,
and where it takes longer than a second of processor time. Every failure is printed with its input in hexadecimal and
the traceback, each place once, and fuzzing goes on. Writes results/fuzz.json, a row a target, keeping the rows of
other targets; exit status 1 if anything was found.
"""

import argparse
import importlib
import importlib.util
import json
import os
import random
import re
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "benchmarks")]
LONGEST = 1.0
"""Seconds of processor time that a case may take."""
LENGTHS = (4, 8, 16, 40, 100)
OFTEN = 20_000
"""Cases after which the row is written."""
COVERED = re.compile(r"cov: (\d+) ft: (\d+) corp: (\d+)")
Case = Callable[[bytes], None]


class Counted:
    """A target that counts its cases and keeps what it finds, a place in the code once."""

    def __init__(self, case: Case) -> None:
        self.case, self.cases, self.slowest = case, 0, 0.0
        self.findings: dict[str, dict[str, Any]] = {}

    def __call__(self, data: bytes) -> None:
        """One case."""
        self.cases += 1
        began = time.process_time()
        try:
            self.case(data)
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # a panic of compiled code is no Exception
            self._found(data, error)
        seconds = time.process_time() - began
        self.slowest = max(self.slowest, seconds)
        if seconds > LONGEST:
            self._found(data, TimeoutError(f"{seconds:.1f} s of processor time"))

    def _found(self, data: bytes, error: BaseException) -> None:
        frames = traceback.extract_tb(error.__traceback__)
        ours = [each for each in frames if each.filename.startswith(str(ROOT / "src"))] or frames
        at = f"{Path(ours[-1].filename).name}:{ours[-1].lineno}" if ours else "slow"
        key = f"{type(error).__name__} at {at}"
        if key not in self.findings:
            self.findings[key] = {
                "what": key,
                "said": str(error)[:300],
                "input": data.hex(),
                "times": 0,
            }
            print(f"found: {key}, by {data.hex()}", file=sys.stderr)
            traceback.print_exception(error, limit=-6)
        self.findings[key]["times"] += 1

    def row(self, seconds: float) -> dict[str, Any]:
        """What came of it."""
        return {
            "cases": self.cases,
            "seconds": round(seconds, 1),
            "slowest_case_s": round(self.slowest, 4),
            "findings": list(self.findings.values()),
        }


def plain(counted: Counted, cases: int, seed: int, told: Callable[[], None]) -> None:
    """Random bytes from a seed; what came of it is told now and then, so that a long run may be stopped."""
    draw = random.Random(seed)
    for n in range(1, cases + 1):
        counted(draw.randbytes(draw.choice(LENGTHS)))
        if n % OFTEN == 0 or n == cases:
            told()


def guided(name: str, counted: Counted, cases: int, seed: int, into: Path) -> None:
    """With atheris, which never returns: the row is written to a file, and the process ends."""
    atheris = importlib.import_module("atheris")
    corpus = ROOT / "build" / "fuzz" / "python" / name
    corpus.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()

    def case(data: bytes) -> None:
        counted(data)
        if counted.cases % OFTEN == 0 or counted.cases >= cases:
            into.write_text(json.dumps(counted.row(time.monotonic() - began)), encoding="utf-8")
        if counted.cases >= cases:
            sys.stderr.flush()
            os._exit(0)

    options = [
        f"-seed={seed + 1}",
        "-max_len=400",
        "-len_control=0",
        "-timeout=60",
        "-rss_limit_mb=0",
    ]
    atheris.Setup([sys.argv[0], *options, str(corpus)], case)
    atheris.Fuzz()


def inside(name: str, cases: int, seed: int, into: Path) -> None:
    """What the process that is fuzzed does: the imports are instrumented, then the target is made."""
    atheris = importlib.import_module("atheris")
    with atheris.instrument_imports(include=["bptt", "fuzz"]):
        make = importlib.import_module("fuzz.targets").TARGETS[name]
        with scratch() as folder:
            case = make(Path(folder))
    with scratch() as folder:
        del case
        guided(name, Counted(make(Path(folder))), cases, seed, into)


def scratch() -> tempfile.TemporaryDirectory[str]:
    """A folder on a disk in memory, where there is one."""
    fast = Path("/dev/shm")
    return tempfile.TemporaryDirectory(dir=fast if fast.is_dir() else None)


def fuzz(
    name: str, cases: int, seed: int, *, by_coverage: bool, tell: Callable[[dict[str, Any]], None]
) -> dict[str, Any]:
    """The row of one target."""
    told: dict[str, Any] = {
        "target": name,
        "by": "coverage" if by_coverage else "seed",
        "seeds": [seed],
    }
    if not by_coverage:
        with scratch() as folder:
            counted = Counted(importlib.import_module("fuzz.targets").TARGETS[name](Path(folder)))
            began = time.monotonic()

            plain(
                counted,
                cases,
                seed,
                lambda: tell(told | counted.row(time.monotonic() - began)),
            )
            return told | counted.row(time.monotonic() - began)
    with scratch() as folder:
        into = Path(folder) / "row.json"
        command = [sys.executable, __file__, name, "--cases", str(cases), "--seed", str(seed)]
        # Its folders lie within ours, since it leaves without taking them away.
        environment = os.environ | {"TMPDIR": folder}
        ran = subprocess.run(
            [*command, "--into", into],
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
            check=False,
        )
        sys.stderr.write("".join(re.findall(r"^found: .*\n", ran.stderr, re.MULTILINE)))
        reached = COVERED.findall(ran.stderr)
        edges = (
            {"edges_reached": int(reached[-1][0]), "inputs_kept": int(reached[-1][2])}
            if reached
            else {}
        )
        if not into.exists():
            print(ran.stderr[-3000:], file=sys.stderr)
            crash = {"what": f"the process ended with {ran.returncode}", "said": ran.stderr[-300:]}
            return told | {"cases": 0, "findings": [crash]} | edges
        return told | json.loads(into.read_text(encoding="utf-8")) | edges


def rows() -> list[dict[str, Any]]:
    """Those of results/fuzz.json."""
    known = importlib.import_module("_report").RESULTS / "fuzz.json"
    return json.loads(known.read_text(encoding="utf-8"))["rows"] if known.exists() else []


def place(row: dict[str, Any]) -> tuple[str, str]:
    """What a row is one of."""
    return row["target"], row["by"]


def added(row: dict[str, Any], to: dict[str, Any] | None) -> dict[str, Any]:
    """Cases of another seed with those before them."""
    if to is None:
        return row
    return {
        **row,
        "seeds": [*to["seeds"], *row["seeds"]],
        "cases": to["cases"] + row["cases"],
        "seconds": round(to["seconds"] + row["seconds"], 1),
        "slowest_case_s": max(to["slowest_case_s"], row["slowest_case_s"]),
        "findings": [*to["findings"], *row["findings"]],
    }


def write(row: dict[str, Any]) -> None:
    """The row among those of results/fuzz.json, in the place of the one before it."""
    report = importlib.import_module("_report")
    report.write("fuzz", [*(each for each in rows() if place(each) != place(row)), row])


def has_atheris() -> bool:
    """Whether it is installed."""
    return importlib.util.find_spec("atheris") is not None


def main() -> int:
    """Fuzz, print a row for each target, write them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("targets", nargs="+", metavar="TARGET")
    parser.add_argument("--cases", type=int, default=100_000, help="of each target")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--plain", action="store_true", help="seeded bytes, no look at coverage")
    parser.add_argument(
        "--add", action="store_true", help="to the cases there, which had other seeds"
    )
    parser.add_argument("--into", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.into is not None:
        inside(options.targets[0], options.cases, options.seed, options.into)
    found = 0
    blind = importlib.import_module("fuzz.targets").BLIND
    for name in options.targets:
        by_coverage = has_atheris() and not options.plain and name not in blind
        kind = name, "coverage" if by_coverage else "seed"
        before = next((each for each in rows() if options.add and place(each) == kind), None)
        row = fuzz(
            name,
            options.cases,
            options.seed,
            by_coverage=by_coverage,
            tell=lambda row, before=before: write(added(row, before)),
        )
        write(added(row, before))
        found += len(row["findings"])
        print(
            {key: value for key, value in row.items() if key != "findings"},
            len(row["findings"]),
            "findings",
        )
    return int(found > 0)


if __name__ == "__main__":
    sys.exit(main())
