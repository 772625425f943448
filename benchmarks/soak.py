"""An hour of training with the monitor on: is memory flat, are files bounded, is the overhead within its budget?

    OMP_NUM_THREADS=1 python benchmarks/soak.py --minutes 60 [--only ordinary]

Two GRUs, each for so long under a `Monitor` with its own defaults: one with updates of an ordinary length, and a tiny
one that makes as many updates as it can. Resident memory, the sizes of files and the monitor's share of the time are
read sixty times on the way; the first tenth is for warming up. The tiny one's updates are shorter than those that the
budget is promised for (`benchmarks/sentinel_cost.py`), so that its share is told, and not judged.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from _report import RESULTS, write
from torch import nn

from bptt.doctor import Monitor, open_run

LOOKS = 60
SIZES = {"ordinary": (64, 32, 128), "tiny": (32, 8, 64)}
"""Steps, samples, hidden units."""


def resident() -> float:
    """MiB that this process holds now."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return int(next(line for line in lines if line.startswith("VmRSS")).split()[1]) / 1024


def sizes(folder: Path) -> dict[str, int]:
    return {each.name: each.stat().st_size for each in sorted(folder.iterdir()) if each.is_file()}


def soaked(size: tuple[int, int, int], seconds: float, folder: Path) -> dict[str, Any]:
    """Train for so long; what was read on the way."""
    steps, samples, hidden = size
    torch.manual_seed(0)
    model = nn.ModuleDict({"rnn": nn.GRU(16, hidden), "out": nn.Linear(hidden, 16)})
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    seen: list[dict[str, float]] = []
    largest: dict[str, int] = {}
    began = time.monotonic()
    with Monitor(model, optimizer, out=folder) as monitor:
        while (passed := time.monotonic() - began) < seconds:
            x = torch.randn(steps, samples, 16)
            optimizer.zero_grad()
            (model["out"](model["rnn"](x)[0]) - x.roll(1, 0)).square().mean().backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            if passed >= seconds * len(seen) / LOOKS:
                now = sizes(folder)
                largest = {name: max(size, largest.get(name, 0)) for name, size in now.items()}
                seen.append(
                    {
                        "seconds": round(passed, 1),
                        "updates": monitor.updates,
                        "resident_mib": round(resident(), 1),
                        "folder_bytes": sum(now.values()),
                        "share": round(monitor.share, 5),
                    }
                )
    late = [each["resident_mib"] for each in seen[LOOKS // 10 :]]
    return {
        "minutes": round((time.monotonic() - began) / 60, 1),
        "updates": monitor.updates,
        "probes": monitor.flows_count,
        "budget": 0.02,
        "share": round(monitor.share, 5),
        "resident_mib": [min(late), max(late)],
        "growth_mib": round(late[-1] - late[0], 1),
        "largest_bytes": largest,
        "fault": monitor.fault,
        "damage": open_run(folder).damage,
        "looks": seen,
    }


def well(size: str, found: dict[str, Any]) -> bool:
    """Whether memory stayed flat, files small, and the share within the budget."""
    whole = found["fault"] is None and not found["damage"]
    flat = found["growth_mib"] < 8 and sum(found["largest_bytes"].values()) < 12e6
    return whole and flat and (size == "tiny" or found["share"] <= 1.1 * found["budget"])


def main() -> None:
    """Each size in turn; rows of those that are not run again stay."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--only", choices=SIZES)
    told = parser.parse_args()
    path = RESULTS / "soak.json"
    rows = json.loads(path.read_text(encoding="utf-8"))["rows"] if path.exists() else {}
    for size in [told.only] if told.only else SIZES:
        with tempfile.TemporaryDirectory() as name:
            rows[size] = soaked(SIZES[size], 60 * told.minutes, Path(name) / "run")
        print(size, {key: value for key, value in rows[size].items() if key != "looks"}, flush=True)
        write("soak", {each: rows[each] for each in SIZES if each in rows})
    raise SystemExit(0 if all(well(size, rows[size]) for size in rows) else 1)


if __name__ == "__main__":
    main()
