"""What `bptt run` adds to a whole training script: paired runs of examples/char_lm.py with and without it.

    python benchmarks/run_cost.py [PAIRS]

The fixed start-up is measured the same way with a run of a single update.
"""

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from _report import write

SCRIPT = Path(__file__).parent.parent / "examples" / "char_lm.py"


def seconds(*command: str) -> float:
    """Wall time of a process."""
    began = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - began


def pair(options: list[str]) -> tuple[float, float]:
    """Plain, then under `bptt run`, at the default budget."""
    with tempfile.TemporaryDirectory() as folder:
        plain = seconds(sys.executable, str(SCRIPT), *options)
        out = str(Path(folder) / "run")
        watched = seconds(sys.executable, "-m", "bptt", "run", "--out", out, str(SCRIPT), *options)
    return plain, watched


def main() -> None:
    """Start-up first, then the whole script."""
    pairs = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    starts = [pair(["--updates", "1"]) for _ in range(pairs)]
    start_up = statistics.median(b - a for a, b in starts)
    runs = [pair([]) for _ in range(pairs)]
    beyond = statistics.median((b - a - start_up) / a for a, b in runs)
    print(f"fixed start-up {start_up:.2f} s; beyond it {100 * beyond:.1f} % of the script's time")
    rows = {
        "start_up_s": start_up,
        "beyond_start_up": beyond,
        "runs_s": runs,
        "one_update_s": starts,
    }
    print("written to", write("run_cost", rows))


if __name__ == "__main__":
    main()
