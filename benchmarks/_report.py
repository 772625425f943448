"""What every benchmark shares: paired timing, and a result file that says where its numbers come from."""

import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

import bptt

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"


def paired(plain: Callable[[], Any], other: Callable[[], Any], repeats: int) -> dict[str, float]:
    """Time two functions in turn; medians in milliseconds, and the median of the ratios other/plain pair by pair."""
    plain()
    other()
    times: list[tuple[float, float]] = []
    for _ in range(repeats):
        times.append((_seconds(plain), _seconds(other)))
    return {
        "plain_ms": 1e3 * statistics.median(a for a, _ in times),
        "other_ms": 1e3 * statistics.median(b for _, b in times),
        "ratio": statistics.median(b / a for a, b in times),
        "ratio_low": min(b / a for a, b in times),
        "ratio_high": max(b / a for a, b in times),
    }


def _seconds(run: Callable[[], Any]) -> float:
    began = time.perf_counter()
    run()
    return time.perf_counter() - began


def processor() -> str:
    """The processor's own name, where the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(": ")[1] for line in lines if line.startswith("model name")), "")


def write(name: str, rows: Any) -> Path:
    """`results/NAME.json` with the rows, the machine, the versions and the command."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    script = Path(sys.argv[0]).resolve().relative_to(ROOT)
    content = {
        "command": " ".join(["python", str(script), *sys.argv[1:]]),
        "date": time.strftime("%Y-%m-%d"),
        "processor": processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "bptt": bptt.__version__,
        },
        "rows": rows,
    }
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    return path
