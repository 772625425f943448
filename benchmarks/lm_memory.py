"""Memory of a long training, and of one on a text that is larger than it may use.

    OMP_NUM_THREADS=1 python benchmarks/lm_memory.py --updates 10000
    OMP_NUM_THREADS=1 python benchmarks/lm_memory.py --updates 200 --gigabytes 2

The resident memory of the process is read at a tenth of the updates and at the end, and after the text was encoded;
`beyond` is the most it ever had less what it had before, model and optimizer taken off. Rows of the other run stay.
"""

import argparse
import json
import resource
import tempfile
from pathlib import Path
from typing import Any

from _report import RESULTS, write

from bptt.lm import Config, addresses, train
from bptt.lm._module import Training


def resident() -> float:
    """MiB that this process holds now."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return int(next(line for line in lines if line.startswith("VmRSS")).split()[1]) / 1024


def measured(config: Config, folder: Path) -> dict[str, Any]:
    seen: dict[int, float] = {}
    step, before = Training.optimizer_step, resident()
    weights = [0]

    def looked(training: Training, *args: Any, **kwargs: Any) -> None:
        step(training, *args, **kwargs)
        update = training.global_step
        weights[0] = sum(p.numel() for p in training.parameters())
        if update % max(config.updates // 10, 1) == 0:
            seen[update] = round(resident(), 1)

    Training.optimizer_step = looked  # type: ignore[method-assign]
    try:
        train(config, folder, say=lambda line: None)
    finally:
        Training.optimizer_step = step
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    model = 4 * 4 * weights[0] / 2**20  # weights, gradients, two moments
    return {
        "updates": config.updates,
        "before": round(before, 1),
        "resident": seen,
        "most": round(most, 1),
        "beyond": round(most - before - model, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--updates", type=int, default=10_000)
    parser.add_argument("--gigabytes", type=float, default=0.0)
    args = parser.parse_args()
    path = RESULTS / "lm_memory.json"
    rows = json.loads(path.read_text(encoding="utf-8"))["rows"] if path.exists() else {}
    with tempfile.TemporaryDirectory() as name:
        text, part = Path(name) / "text.txt", "".join(addresses()[0]).encode()
        with text.open("wb") as file:
            for _ in range(max(1, round(args.gigabytes * 2**30 / len(part)))):
                file.write(part if args.gigabytes else part[:300_000])
        size = text.stat().st_size
        config = Config(
            files=(str(text),),
            hidden=64,
            batch=16,
            length=32,
            updates=args.updates,
            validate_every=max(args.updates // 5, 1),
            validation_tokens=20_000,
        )
        found = measured(config, Path(name) / "run") | {"bytes": size}
    rows["large" if args.gigabytes else "long"] = found
    print(found)
    write("lm_memory", rows)


if __name__ == "__main__":
    main()
