"""Repair: each faulty script of tests/suite as it is, as its healthy twin, under `bptt run --fix`, and at a tenth of
its learning rate.

A run's final loss is the median over its last fifth of backward passes. A script counts as repaired if its final loss
under --fix is at most a tenth above its twin's; likewise for the baseline. The scripts make 20 to 150 updates, of which
a repair takes some before it is in place: the second count holds the run against its twin stopped so much earlier. What
is not repaired is listed with what to do by hand.

Published for comparison: AUTOTRAINER (ICSE 2021) says of itself that it repaired 414 of 422 faulty models, 98.42 %, at
1.14 times the training's time more on average, by rebuilding and training from scratch; of its recurrent models on two
texts 4 of 8 with vanishing gradients and 6 of 6 with exploding ones. It counts a problem that no longer shows as
repaired; here the loss has to be the twin's.

    python benchmarks/repair.py [--only op501/adam_at_one,...] [--again]

Runs that `results/repair.json` holds already are kept; `--again` makes them anew.
"""

import argparse
import json
import math
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from _report import RESULTS, write
from _twins import INCOMPARABLE, TWINS, comparable, mended

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "suite"))
from runner import (  # noqa: E402  # pyright: ignore[reportMissingImports]  the suite's own way to run its scripts
    SUITE,
    forked,
    quietly,
)

KINDS = ("faulty", "twin", "fix", "tenth")
WITHIN = 1.1


@dataclass(frozen=True)
class Job:
    """One script in one of its four ways."""

    script: str
    kind: str

    @property
    def name(self) -> str:
        """For the runner."""
        return f"{self.script.replace('/', '-')}-{self.kind}"

    def run(self) -> dict[str, Any]:
        """In a process of its own."""
        text = (SUITE / "scripts" / f"{self.script}.py").read_text(encoding="utf-8")
        losses = Losses()
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"{Path(self.script).name}.py"
            path.write_text(mended(self.script, text) if self.kind == "twin" else text)
            if self.kind == "tenth":
                slow_down()
            began = time.process_time()  # other work of the machine does not count
            code = quietly(self._call(path, Path(folder) / "run"), Path(folder) / "log")
            seconds = time.process_time() - began
            repairs, left = [], []
            if self.kind == "fix":
                repairs = json.loads((Path(folder) / "run" / "run.json").read_text())["repairs"]
                found = json.loads((Path(folder) / "run" / "findings.json").read_text())["findings"]
                left = [{"code": f["code"], "message": f["message"]} for f in found]
        return {
            "script": self.script,
            "kind": self.kind,
            "final": losses.final,
            "losses": [float(f"{loss:.5g}") for loss in losses.values]
            if self.kind == "twin"
            else [],
            "exit": code,
            "seconds": round(seconds, 3),
            "repairs": repairs,
            "left": left,
        }

    def _call(self, path: Path, out: Path) -> Callable[[], object]:
        if self.kind == "fix":
            from bptt.cli import main

            return lambda: main(["run", "--fix", "--out", str(out), str(path)])
        from bptt.cli._script import Script

        return Script(str(path), []).run


class Losses:
    """Every value that `backward` is called on."""

    def __init__(self) -> None:
        from bptt.flow.record._announce import listen

        self.values: list[float] = []
        listen(self.heard)

    def heard(self, roots: list[Any]) -> None:
        """A pass begins; those of a module that is looked at by itself are none of the script's."""
        from bptt.doctor._first_calls import FirstCalls

        if FirstCalls.looking:
            return
        self.values += [
            float(r.value) for r in roots if r.value is not None and r.value.numel() == 1
        ]

    @property
    def final(self) -> float | None:
        """The median of the last fifth; None if that is not finite, or if there was none."""
        return final(self.values)


def final(values: Sequence[float], late: int = 0) -> float | None:
    """The median of a run's last fifth, had it been stopped `late` passes earlier."""
    width = max(len(values) // 5, 1)
    last = values[: len(values) - late][-width:]
    if not last or not all(map(math.isfinite, last)):
        return None
    return statistics.median(last)


def spent(fix: dict[str, Any]) -> int:
    """Updates that did not count: those before the last repair that was kept, or those it went back behind."""
    kept = [each for each in fix.get("repairs", []) if each["outcome"] == "kept"]
    return max((each["update"] - (each["back_to"] or 0) for each in kept), default=0)


def slow_down() -> None:
    """The baseline that anyone would try: a tenth of every learning rate."""
    import torch

    add = torch.optim.Optimizer.add_param_group

    def added(self: torch.optim.Optimizer, group: dict[str, Any]) -> None:
        lr = group.get("lr", self.defaults.get("lr", 0.01))
        add(self, {**group, "lr": lr / 10})

    torch.optim.Optimizer.add_param_group = added  # type: ignore[method-assign]


def within(loss: float | None, twin: float | None) -> bool:
    """At most a tenth above."""
    return loss is not None and twin is not None and loss <= twin + (WITHIN - 1) * abs(twin)


def verdict(rows: dict[tuple[str, str], dict[str, Any]], script: str) -> dict[str, Any]:
    """The four losses of a script, and which of them come within a tenth of the twin's."""
    by_kind = {kind: rows.get((script, kind), {}).get("final") for kind in KINDS}
    twin = by_kind["twin"]
    fix = rows.get((script, "fix"), {})
    kept = [r["remedy"] for r in fix.get("repairs", []) if r["outcome"] == "kept"]
    same = {kind: comparable(script, kept if kind == "fix" else ()) for kind in KINDS}
    near = {kind: within(loss, twin) and same[kind] for kind, loss in by_kind.items()}
    stopped = final(rows.get((script, "twin"), {}).get("losses", []), spent(fix))
    level = near["fix"] or (within(by_kind["fix"], stopped) and same["fix"])
    plain = rows.get((script, "faulty"), {}).get("seconds", math.nan)
    return {
        "script": script,
        **by_kind,
        "repaired": near["fix"],
        "level": level,
        "spent": spent(fix),
        "already": near["faulty"],
        "by_tenth": near["tenth"],
        "cost": round(fix.get("seconds", math.nan) / plain, 2),
        "added": round(fix.get("seconds", math.nan) - plain, 2),
        "kept": [
            f"{r['code']} {r['remedy']}" for r in fix.get("repairs", []) if r["outcome"] == "kept"
        ],
        "by_hand": "" if near["fix"] else _by_hand(script, fix),
    }


def _by_hand(script: str, fix: dict[str, Any]) -> str:
    if script in INCOMPARABLE:
        return INCOMPARABLE[script][1]
    if left := fix.get("left", []):
        return f"{left[0]['code']}: {left[0]['message']}"
    twin = "as " + " ".join(" ".join(new.split()) for _, new in TWINS[script])[:120]
    kept = [each for each in fix.get("repairs", []) if each["outcome"] == "kept" and each["lines"]]
    if not kept:
        return f"mended {twin}"
    lines = "; ".join(kept[-1]["lines"])
    return (
        f"its finding is gone from update {kept[-1]['update']} on, its loss is not yet the twin's. "
        f"Write the cure into the script: {lines}. Mended here {twin}"
    )


def table(verdicts: Sequence[dict[str, Any]]) -> str:
    """The whole table and its totals."""
    lines = [f"{'script':32} {'faulty':>9} {'twin':>9} {'--fix':>9} {'lr/10':>9}  cost  kept"]
    for each in verdicts:
        cells = [f"{each[kind]:9.3g}" if each[kind] is not None else f"{'-':>9}" for kind in KINDS]
        mark = " " if each["repaired"] else "!"
        lines.append(
            f"{each['script']:31}{mark} {' '.join(cells)}  {each['cost']:4.1f}  {', '.join(each['kept'])}"
        )
    n = len(verdicts)
    for word, key in (
        ("repaired by --fix", "repaired"),
        ("repaired, the twin stopped as many updates earlier as the repair took", "level"),
        ("by a tenth of the learning rate", "by_tenth"),
        ("near the twin without anything", "already"),
    ):
        count = sum(each[key] for each in verdicts)
        lines.append(f"{word}: {count} of {n} ({count / n:.0%})")
    hurt = [each for each in verdicts if not each["already"]]
    count = sum(each["repaired"] for each in hurt)
    lines.append(
        f"of those whose loss the fault hurts: {count} of {len(hurt)} ({count / max(len(hurt), 1):.0%})"
    )
    costs = [each["cost"] for each in verdicts if math.isfinite(each["cost"])]
    added = [each["added"] for each in verdicts if math.isfinite(each["added"])]
    lines.append(
        f"processor time under --fix, median: {statistics.median(costs):.2f} times the plain script's, "
        f"which is {statistics.median(added):.1f} s more: imports, probes and the page of so short a run"
    )
    lines += ["", "not repaired, and what to do by hand:"]
    lines += [f"  {each['script']}: {each['by_hand']}" for each in verdicts if not each["repaired"]]
    return "\n".join(lines)


def main() -> None:
    """Run what is missing, print, write."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", default="", help="scripts, with commas between them")
    parser.add_argument("--again", action="store_true", help="make runs anew that are there")
    parser.add_argument("--kinds", default=",".join(KINDS))
    parser.add_argument("--processes", type=int, default=2)
    args = parser.parse_args()
    chosen = [name for name in TWINS if not args.only or name in args.only.split(",")]
    path = RESULTS / "repair.json"
    kept = json.loads(path.read_text())["rows"]["runs"] if path.exists() else []
    rows = {(row["script"], row["kind"]): row for row in kept}
    jobs = [
        Job(name, kind)
        for name in chosen
        for kind in args.kinds.split(",")
        if args.again or (name, kind) not in rows
    ]
    os.nice(10)
    for job, row in forked(jobs, Job.run, args.processes):
        empty = {
            "script": job.script,
            "kind": job.kind,
            "final": None,
            "exit": -1,
            "repairs": [],
            "left": [],
        }
        rows[job.script, job.kind] = row or {**empty, "seconds": math.nan}
        if row is None:
            print(f"{job.script} {job.kind}: died or took too long", file=sys.stderr)
    verdicts = [verdict(rows, name) for name in TWINS if (name, "fix") in rows]
    text = table(verdicts)
    write("repair", {"verdicts": verdicts, "runs": [rows[key] for key in sorted(rows)]})
    print(text)


if __name__ == "__main__":
    main()
