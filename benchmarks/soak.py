"""An hour of training with the monitor on: is memory flat, are files bounded, is the overhead within its budget?

    OMP_NUM_THREADS=1 python benchmarks/soak.py --minutes 60

A character-sized GRU trains as fast as it can under a `Monitor` with its own defaults. Resident memory, the sizes of
files and the monitor's share of the time are read sixty times on the way; the first tenth is for warming up.
"""

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from _report import write
from torch import nn

from bptt.doctor import Monitor, open_run

LOOKS = 60


def resident() -> float:
    """MiB that this process holds now."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return int(next(line for line in lines if line.startswith("VmRSS")).split()[1]) / 1024


def sizes(folder: Path) -> dict[str, int]:
    return {each.name: each.stat().st_size for each in sorted(folder.iterdir()) if each.is_file()}


def soaked(seconds: float, folder: Path) -> dict[str, Any]:
    """Train for so long; what was read on the way."""
    torch.manual_seed(0)
    model = nn.ModuleDict({"rnn": nn.GRU(16, 64), "out": nn.Linear(64, 16)})
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    seen: list[dict[str, float]] = []
    largest: dict[str, int] = {}
    began = time.monotonic()
    with Monitor(model, optimizer, out=folder) as monitor:
        while (passed := time.monotonic() - began) < seconds:
            x = torch.randn(32, 8, 16)
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


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--minutes", type=float, default=60.0)
    minutes = parser.parse_args().minutes
    with tempfile.TemporaryDirectory() as name:
        found = soaked(60 * minutes, Path(name) / "run")
    print({key: value for key, value in found.items() if key != "looks"})
    write("soak", found)
    well = (
        found["fault"] is None and not found["damage"] and found["share"] <= 1.1 * found["budget"]
    )
    flat = found["growth_mib"] < 8 and sum(found["largest_bytes"].values()) < 12e6
    raise SystemExit(0 if well and flat else 1)


if __name__ == "__main__":
    main()
