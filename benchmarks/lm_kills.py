"""Killed twenty times at random moments: does the training end as the one that was left alone?

    OMP_NUM_THREADS=1 python benchmarks/lm_kills.py --kills 20

Weights, optimizer, carried states and validations are compared bit by bit. The same, with three kills, is a test.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from _report import write

from bptt.lm import Config, addresses

PROGRAM = Path(__file__).parent.parent / "tests" / "lm" / "trainings.py"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--cell", default="lstm")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        text = Path(name) / "text.txt"
        text.write_text("".join(addresses()[0])[:200_000], encoding="utf-8")
        config = Config(
            files=(str(text),),
            cell=args.cell,
            layers=2,
            hidden=64,
            dropout=0.1,
            weight_drop=0.0 if args.cell == "relu-rnn" else 0.1,
            batch=8,
            length=32,
            updates=60 * args.kills,
            validate_every=50,
            validation_tokens=2000,
            save_every=7,
        )
        told = {"config": config.to_json(), "folder": name, "kills": args.kills, "seed": args.seed}
        began = time.perf_counter()
        ran = subprocess.run(
            [sys.executable, str(PROGRAM)], input=json.dumps(told), capture_output=True, text=True
        )
    if ran.returncode:
        raise SystemExit(ran.stderr)
    found = json.loads(ran.stdout) | {"cell": args.cell, "updates": config.updates}
    found["seconds"] = round(time.perf_counter() - began, 1)
    print(found)
    write("lm_kills", found)
    raise SystemExit(0 if all(found["same"].values()) else 1)


if __name__ == "__main__":
    main()
