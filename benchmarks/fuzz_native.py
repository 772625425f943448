"""Fuzz the native core with libFuzzer, on each instruction set, and count what was tried and found.

    python benchmarks/fuzz_native.py [--cases 25000] [--build build/fuzz]

Builds csrc with -DBPTT_FUZZ=ON where that is not done yet (clang++ must be on the path) and runs the target that many
times on each instruction set that this processor has, under the address and undefined-behaviour sanitizers, from one
corpus that grows from set to set. Every case is held against the formulas in double and against itself on one thread;
csrc/fuzz/fuzz_core.cpp tells what is held. Writes results/fuzz_native.json; exit status 1 if anything was found.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from _report import write

ROOT = Path(__file__).resolve().parent.parent
ISAS = ("baseline", "avx2", "avx512", "avx512bf16")
STATISTIC = re.compile(r"^stat::(\w+):\s+(\d+)$", re.MULTILINE)
COVERED = re.compile(r"cov: (\d+) ft: (\d+) corp: (\d+)")


def build(folder: Path) -> Path:
    """The target; compiled where it is not there."""
    configure = ["cmake", "-S", ROOT / "csrc", "-B", folder, "-G", "Ninja", "-DBPTT_FUZZ=ON"]
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    for command in (
        [*configure, "-DCMAKE_CXX_COMPILER=clang++"],
        ["cmake", "--build", folder, "--target", "fuzz_core"],
    ):
        subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL)
    return folder / "fuzz_core"


def fuzz(target: Path, isa: str, cases: int) -> dict[str, Any]:
    """One instruction set: how many cases ran, what they reached, what was found."""
    corpus = target.parent / "corpus"
    corpus.mkdir(exist_ok=True)
    options = [f"-runs={cases}", "-max_len=300", "-len_control=0", "-timeout=60", "-seed=1"]
    ran = subprocess.run(
        [target, *options, "-print_final_stats=1", f"-artifact_prefix={target.parent}/", corpus],
        env={**os.environ, "BPTT_ISA": isa},
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    found = {name: int(value) for name, value in STATISTIC.findall(ran.stderr)}
    reached = COVERED.findall(ran.stderr)
    row = {
        "isa": isa,
        "cases": found.get("number_of_executed_units", 0),
        "edges_reached": int(reached[-1][0]) if reached else 0,
        "inputs_kept": int(reached[-1][2]) if reached else 0,
        "findings": int(ran.returncode != 0),
    }
    if ran.returncode:
        print(ran.stderr[-3000:], file=sys.stderr)
    return row


def processor_has(target: Path, isa: str) -> bool:
    """Whether the core runs on this instruction set here."""
    environment = {**os.environ, "BPTT_ISA": isa}
    command = [target, "-runs=1", f"-artifact_prefix={target.parent}/"]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    return "is not to be had" not in ran.stderr


def main() -> int:
    """Fuzz, print a row for each instruction set, write them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=25_000, help="on each instruction set")
    parser.add_argument("--build", type=Path, default=ROOT / "build" / "fuzz")
    options = parser.parse_args()
    if shutil.which("clang++") is None:
        print(
            "nothing was fuzzed: libFuzzer is clang's, and clang++ is not on the path",
            file=sys.stderr,
        )
        return 0
    target, rows = build(options.build), []
    for isa in ISAS:
        if processor_has(target, isa):
            rows.append(fuzz(target, isa, options.cases))
            print(rows[-1], flush=True)
    total = {key: sum(row[key] for row in rows) for key in ("cases", "findings")}
    print(total, write("fuzz_native", {"sanitizers": "address, undefined", **total, "sets": rows}))
    return int(total["findings"] > 0)


if __name__ == "__main__":
    sys.exit(main())
