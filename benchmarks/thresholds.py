"""The statistic that each rule judges by, over the suite's faulty and healthy runs: what its threshold was chosen from.

    python benchmarks/thresholds.py

For each rule with a threshold: its statistic on the scripts that have this fault, on healthy ones, and the threshold
between them. The statistic is the rule's own: its check runs with the threshold taken away, and the number is read from
the finding's evidence. A run in which the rule has nothing to judge (no clipping, no ReLU) has no value. NF601 to
NF603, TR401, OP502 and LA701 judge by what is there or not; they have no threshold to choose.
"""

import math
import statistics
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from _report import write

ROOT = Path(__file__).resolve().parent.parent
Numbers = dict[str, float]


@dataclass(frozen=True)
class Statistic:
    """One rule's number: the option that is its threshold, options that take it away, and where the number stands."""

    code: str
    name: str
    option: str
    away: Numbers
    keys: tuple[str, ...]
    at_least: bool = True
    scale: float = 1.0

    def read(self, evidence: Any) -> list[float]:
        """The number at each site, or of the run."""
        from bptt.rules import rule

        this = rule(self.code)
        found = this.check(evidence, {**this.options, **self.away})
        numbers = [[finding.evidence[key] for key in self.keys] for finding in found]
        # Two keys are a ratio: horizon over steps.
        known = [n for n in numbers if all(isinstance(each, int | float) for each in n)]
        values = [n[0] / n[1] if len(n) == 2 else n[0] for n in known]
        return [float(v) * self.scale for v in values if math.isfinite(v)]

    @property
    def threshold(self) -> float:
        """The rule's own, in the units of the statistic."""
        from bptt.rules import rule

        value = float(rule(self.code).options[self.option])
        return math.log(value) if self.option == "growth" else value


STATISTICS = (
    Statistic("VG101", "share of input steps unreached", "share", {"share": -1}, ("unreached",)),
    Statistic(
        "VG102",
        "horizon / steps, loss at every step",
        "share",
        {"share": 1e9, "growth": math.inf},
        ("horizon", "steps"),
        at_least=False,
    ),
    Statistic("VG103", "share of gradients exactly zero", "share", {"share": 0}, ("zeros",)),
    Statistic("EG201", "log of the credit's growth", "growth", {"growth": 1}, ("log_growth",)),
    Statistic(
        "EG202",
        "highest spike, in units of `factor`",
        "single",
        {"many": 1, "factor": 1e-6, "whole": 5e-7},
        ("highest",),
        scale=1e-7,
    ),
    Statistic(
        "EG203", "share of updates clipped hard", "share", {"share": 0, "updates": 1}, ("share",)
    ),
    Statistic(
        "SA301",
        "share of tanh states beyond 0.99",
        "share",
        {"share": 0, "cell": 0},
        ("saturated",),
    ),
    Statistic(
        "SA302", "share of a gate's units stuck", "share", {"share": 0, "extreme": 2}, ("share",)
    ),
    Statistic("SA303", "share of ReLU units dead", "some", {"some": 0}, ("share",)),
    Statistic("TR402", "share of the credit discarded", "share", {"share": -1}, ("discarded",)),
    Statistic(
        "TR403", "share of the gradient on padding", "share", {"share": 0}, ("padding_loss",)
    ),
    Statistic(
        "OP501",
        "sustained update / weight",
        "ratio",
        {"ratio": 1e-12, "single": 1e-12},
        ("sustained",),
    ),
    Statistic(
        "OP503",
        "share of updates with old gradients",
        "share",
        {"share": 0, "updates": 1},
        ("carried", "updates"),
    ),
)


def measure(case: Any) -> Any:
    """One script under a monitor; every statistic of it."""
    from bptt.cli._script import Script
    from bptt.doctor import Monitor
    from suite.runner import quietly

    monitor = Monitor()
    script = Script(str(case.path), [])
    monitor.start()
    with tempfile.TemporaryDirectory() as folder:
        code = quietly(script.run, Path(folder) / "log")
    monitor.stop()
    if code or monitor.fault:
        raise RuntimeError(f"{case}: exit code {code}; {monitor.fault}")
    evidence = monitor.case.evidence
    incident = "" if evidence.incident is None else evidence.incident.where
    values = {each.code: each.read(evidence) for each in STATISTICS}
    return {"values": values, "incident": incident}


def summary(each: Statistic, faulty: list[float], healthy: list[float]) -> dict[str, Any]:
    """Minimum, median, maximum on both sides, and the margins."""
    sign = 1 if each.at_least else -1
    weakest = min(faulty, key=lambda v: sign * v, default=math.nan)
    worst = max(healthy, key=lambda v: sign * v, default=math.nan)
    return {
        "code": each.code,
        "statistic": each.name,
        "threshold": each.threshold,
        "fault_if": "at least" if each.at_least else "at most",
        "faulty": _spread(faulty),
        "healthy": _spread(healthy),
        "weakest_fault": weakest,
        "worst_healthy": worst,
    }


def _spread(values: list[float]) -> dict[str, float]:
    if not values:
        return {"count": 0}
    return {
        "count": len(values),
        "min": min(values),
        "median": statistics.median(values),
        "max": max(values),
    }


def main() -> None:
    """Run the suite once, print a line for each rule, write all values."""
    sys.path.insert(0, str(ROOT / "tests"))
    from suite.runner import cases, forked

    chosen = cases()
    results = {str(case): result for case, result in forked(chosen, measure)}
    rows: list[dict[str, Any]] = []
    for each in STATISTICS:
        # A script counts with its most suspicious site.
        pick = max if each.at_least else min
        values = {
            str(case): pick(results[str(case)]["values"][each.code])
            for case in chosen
            if results[str(case)] and results[str(case)]["values"][each.code]
        }
        faulty = [v for c in chosen if c.faulty and c.about == each.code for v in _of(values, c)]
        healthy = [v for c in chosen if not c.faulty for v in _of(values, c)]
        row = summary(each, faulty, healthy)
        rows.append({**row, "values": {k: float(f"{v:.4g}") for k, v in values.items()}})
        print(
            f"{each.code} {each.name:42s} fault {row['fault_if']} {each.threshold:<8.3g} "
            f"weakest fault {row['weakest_fault']:<10.3g} worst healthy {row['worst_healthy']:.3g}"
        )
    incidents = {k: r["incident"] for k, r in results.items() if r and r["incident"]}
    lost = [k for k, r in results.items() if r is None]
    print("written to", write("thresholds", {"rules": rows, "incidents": incidents, "lost": lost}))


def _of(values: Numbers, case: Any) -> list[float]:
    return [values[str(case)]] if str(case) in values else []


if __name__ == "__main__":
    main()
