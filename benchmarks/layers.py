"""Speed of bptt.nn's layers against torch.nn's: every cell of the grid, losses included.

    python benchmarks/layers.py [--threads 2] [--seconds 1] [--patience 300] [TABLE ...]

Tables: padded, packed, no_grad, tokens, step_gradients, grad_clip, bf16, contention; all unless named. Each writes
results/layers_TABLE.json. Forward and backward with all gradients, float32, ours and torch's in turn; results are
compared before anything is timed. Rows that other programs disturbed are measured again; each tells what share of the
processors they took.
"""

import argparse
import os
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import asdict
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import torch
from _report import paired, write

from bptt.kernels import Clip, isa
from bptt.nn._bench import (
    LAYERS,
    MODES,
    Case,
    Speed,
    cases,
    compare,
    geometric_mean,
    product_peak,
)

HIDDEN = (64, 128, 256, 512, 1024)
BATCH = (1, 8, 32, 128)
CLIP = Clip("norm", 1.0)
CALM = 0.1
"""Share of the processors that others may take beside a measurement."""


def others() -> float:
    """Share of the processors' time that went to anything in the last fifth of a second; this process slept."""

    def ticks() -> tuple[int, int]:
        numbers = [int(n) for n in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
        return sum(numbers), numbers[3] + numbers[4]

    try:
        all_before, idle_before = ticks()
        time.sleep(0.2)
        all_after, idle_after = ticks()
    except OSError:
        return 0.0
    return 1 - (idle_after - idle_before) / max(1, all_after - all_before)


def calm(
    cases: Iterable[Any], measure: Callable[[Any], Any], patience: float
) -> list[tuple[Any, float]]:
    """Measure each case while other programs rest, as far as that can be had.

    A case that was disturbed goes back to the end of the queue, for `patience` seconds in all; the least disturbed
    measurement stays. Returns it with the share of the processors that others took just before or after.
    """
    found: dict[Any, tuple[Any, float]] = {}
    queue, until = deque(cases), time.monotonic() + patience
    order = list(queue)
    while queue:
        case, before = queue.popleft(), others()
        if before > CALM and time.monotonic() < until:
            queue.appendleft(case)
            continue
        if before > CALM and case in found:
            continue
        result, busy = measure(case), max(before, others())
        if case not in found or busy < found[case][1]:
            found[case] = (result, round(busy, 2))
            print(
                *asdict(case).values(),
                *(f"{v:.2f}" for v in numbers(result)),
                found[case][1],
                flush=True,
            )
        if found[case][1] > CALM and time.monotonic() < until:
            queue.append(case)
    return [found[case] for case in order]


def numbers(result: Any) -> list[float]:
    values = result.values() if isinstance(result, dict) else asdict(result).values()
    return [v for v in values if isinstance(v, float)]


def row(speed: Speed, peak: float, busy: float) -> dict[str, Any]:
    return {
        **asdict(speed.case),
        "steps": speed.case.steps,
        "torch_us": round(speed.torch_us, 2),
        "ours_us": round(speed.ours_us, 2),
        "ratio": round(speed.ratio, 3),
        "share_of_peak": round(speed.gflops / peak, 3),
        "others": busy,
    }


def grid(of: Iterable[Case], seconds: float, patience: float) -> dict[str, Any]:
    found = calm(of, lambda case: compare(case, seconds=seconds), patience)
    peak = product_peak()
    rows = [row(speed, peak, busy) for speed, busy in found]
    means = {
        name: {
            "geometric_mean": round(geometric_mean(r["ratio"] for r in mine), 2),
            "lowest": min(r["ratio"] for r in mine),
        }
        for name in LAYERS
        if (mine := [r for r in rows if r["layer"] == name])
    }
    print(means)
    return {"isa": isa(), "product_peak_gflops": round(peak), "summary": means, "rows": rows}


def extra(option: str, seconds: float, patience: float) -> list[dict[str, Any]]:
    """Our layer with an option against itself without."""

    def measure(case: Case) -> dict[str, float]:
        # One layer with the option set and unset in turn: two layers' weights lie elsewhere in memory, which alone is
        # worth up to a tenth of the time.
        ours, _, options, _ = LAYERS[case.layer]
        layer: Any = ours(case.hidden, case.hidden, **options)
        x, dy = torch.randn(2, case.steps, case.batch, case.hidden)

        def update(on: bool) -> None:
            if option == "grad_clip":
                layer.grad_clip = CLIP if on else None
            elif option == "bf16":
                layer.bf16 = on
            else:
                layer.read_gradients((lambda *what: None) if on else None)
            layer.zero_grad()
            layer(x)[0].backward(dy)

        repeats = int(seconds * 2e11 / (case.flops_a_step * case.steps))
        return paired(lambda: update(False), lambda: update(True), max(9, min(repeats, 301)))

    sizes = ((512, 32), (1024, 32)) if option == "bf16" else product((64, 256, 512), (1, 32))
    of = [Case(name, H, B) for name, (H, B) in product(LAYERS, sizes)]
    found = calm(of, measure, patience)
    return [
        {"layer": c.layer, "hidden": c.hidden, "batch": c.batch, **result, "others": busy}
        for c, (result, busy) in zip(of, found, strict=True)
    ]


def contention(seconds: float, patience: float) -> list[dict[str, Any]]:
    """Two processes that train at once on the same processors, against one alone.

    Of a whole update, in which torch makes the loss and adds gradients up, and of the layer's own part of it: torch's
    operators wait for their threads too, whosever the layer is.
    """
    rows = []
    for name, H, B in [("RNN", 256, 32), ("GRU", 256, 8), ("LSTM", 256, 32), ("LSTM", 128, 1)]:
        for library in ("bptt", "torch"):
            alone, both = (_longest(count, library, name, H, B, seconds) for count in (1, 2))
            rows.append(
                {
                    "layer": name,
                    "hidden": H,
                    "batch": B,
                    "library": library,
                    "slow_down": both[0] / alone[0],
                    "slow_down_of_the_layer": both[1] / alone[1],
                }
            )
            print(rows[-1], flush=True)
    return rows


def _longest(count: int, library: str, name: str, H: int, B: int, seconds: float) -> list[float]:
    """Milliseconds of an update and of the layer's part, of the slowest of `count` processes at once."""
    command = [sys.executable, __file__, "--one", library, name, str(H), str(B), str(3 * seconds)]
    running = [
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ})
        for _ in range(count)
    ]
    told = [process.communicate()[0].split() for process in running]
    return [max(map(float, part)) for part in zip(*told, strict=True)]


def one(library: str, name: str, H: int, B: int, seconds: float) -> None:
    """Print the milliseconds of an update and of the layer's part, in this process; for `contention`."""
    ours, theirs, options, _ = LAYERS[name]
    layer = (ours if library == "bptt" else theirs)(H, H, **options)
    x, dy = torch.randn(100, B, H, requires_grad=True), torch.ones(100, B, H)
    wanted = [x, *layer.parameters()]

    def update() -> None:
        layer.zero_grad()
        layer(x)[0].sum().backward()

    def part() -> None:
        torch.autograd.grad(layer(x)[0], wanted, dy)

    once = paired(update, part, 3)["plain_ms"]
    times = paired(update, part, max(5, int(5e2 * seconds / once)))
    print(times["plain_ms"], times["other_ms"])


def tables() -> dict[str, Callable[[float, float], Any]]:
    whole = {mode: list(cases(LAYERS, HIDDEN, BATCH, mode)) for mode in MODES}
    whole["tokens"] = list(cases(LAYERS, (256, 512), (32,), "tokens"))
    grids = {mode.replace(" ", "_"): partial(grid, of) for mode, of in whole.items()}
    extras = {name: partial(extra, name) for name in ("step_gradients", "grad_clip", "bf16")}
    return {**grids, **extras, "contention": contention}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tables", nargs="*", metavar="TABLE", help=", ".join(tables()))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=1.0, help="about how long each row takes")
    parser.add_argument("--patience", type=float, default=300.0, help="seconds to wait for calm")
    parser.add_argument("--one", nargs=5, help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    if options.one:
        library, name, H, B, seconds = options.one
        one(library, name, int(H), int(B), float(seconds))
        return
    for table in options.tables or tables():
        print(table)
        write(f"layers_{table}", tables()[table](options.seconds, options.patience))


if __name__ == "__main__":
    main()
