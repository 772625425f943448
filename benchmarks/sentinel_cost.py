"""What the monitor adds to an update, all rules on, for updates of about 2, 7, 20 and 60 ms.

    python benchmarks/sentinel_cost.py [BUDGET [SECONDS]]

One process, one monitor: blocks of updates are watched and not watched in turn (`pause`, `resume`), and each watched
block is divided by the mean of the plain ones beside it. The median of these ratios is what an ordinary stretch of the
run costs; the quotient of the sums has every probe in it, those at milestones, too. Seconds are the processor's, which
a busy machine disturbs less than the clock's; the clock's stand beside them.
"""

import itertools
import math
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import torch
from _report import write
from torch import Tensor, nn

from bptt.doctor import Monitor

SIZES = {2: (64, 8, 64), 7: (64, 24, 128), 20: (128, 32, 128), 60: (256, 48, 128)}
"""Milliseconds, nearly: steps, samples, hidden units."""
LETTERS = 64


class Reader(nn.Module):
    """Embedding, LSTM, read-out: the next letter."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.embed = nn.Embedding(LETTERS, 32)
        self.rnn = nn.LSTM(32, hidden, batch_first=True)
        self.out = nn.Linear(hidden, LETTERS)

    def forward(self, text: Tensor) -> Tensor:
        """Scores of the next letter at every step."""
        return self.out(self.rnn(self.embed(text))[0])


def training(steps: int, samples: int, hidden: int) -> tuple[nn.Module, Any, Callable[[], None]]:
    """The model, its optimizer, and one update."""
    model = Reader(hidden)
    optimizer, loss = torch.optim.Adam(model.parameters()), nn.CrossEntropyLoss()
    text = torch.randint(LETTERS, (samples, steps + 1))

    def update() -> None:
        optimizer.zero_grad()
        loss(model(text[:, :-1]).flatten(0, 1), text[:, 1:].flatten()).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()

    return model, optimizer, update


def measure(sizes: tuple[int, int, int], budget: float, seconds: float) -> dict[str, Any]:
    """Blocks in turn until so many seconds of the processor's are over, half of them watched."""
    model, optimizer, update = training(*sizes)
    for _ in range(20):
        update()
    began = time.process_time()
    for _ in range(20):
        update()
    length = max(8, math.ceil(20 * 0.25 / (time.process_time() - began)))

    def block() -> tuple[float, float]:
        wall, cpu = time.perf_counter(), time.process_time()
        for _ in range(length):
            update()
        return time.process_time() - cpu, time.perf_counter() - wall

    plain, watched = [block()], []
    with Monitor(model, optimizer, budget=budget) as monitor:
        monitor.pause()
        while sum(cpu for cpu, _ in plain + watched) < seconds:
            monitor.resume()
            watched.append(block())
            monitor.pause()
            plain.append(block())
        updates, probes, says = monitor.updates, monitor.flows_count, monitor.share
        stride = monitor.case.sentinel.stride
    if monitor.fault is not None:
        raise RuntimeError(monitor.fault)
    row: dict[str, Any] = {"updates": updates, "probes": probes, "stride": stride, "says": says}
    for n, clock in enumerate(("cpu", "wall")):
        beside = [(a[n] + b[n]) / 2 for a, b in itertools.pairwise(plain)]
        ratios = [each[n] / there for each, there in zip(watched, beside, strict=True)]
        row[clock] = {
            "update_ms": 1e3 * statistics.median(each[n] for each in plain) / length,
            "ordinary": statistics.median(ratios) - 1,
            "whole": sum(each[n] for each in watched) / sum(beside) - 1,
        }
    return row


def main() -> None:
    """Every size, one line each."""
    budget = float(sys.argv[1]) if len(sys.argv) > 1 else 0.02
    seconds = float(sys.argv[2]) if len(sys.argv) > 2 else 60.0
    torch.set_num_threads(1)
    torch.manual_seed(0)
    rows = {}
    for name, sizes in SIZES.items():
        row = rows[f"{name} ms"] = measure(sizes, budget, seconds)
        cpu, wall = row["cpu"], row["wall"]
        print(
            f"{cpu['update_ms']:5.1f} ms: ordinary {cpu['ordinary']:6.2%} (clock {wall['ordinary']:6.2%}), "
            f"whole {cpu['whole']:6.2%} (clock {wall['whole']:6.2%}); the monitor says {row['says']:.2%}; "
            f"{row['updates']} updates, {row['probes']} probes, every {row['stride']}th looked at whole",
            flush=True,
        )
    print("written to", write("sentinel_cost", {"budget": budget, "sizes": rows}))


if __name__ == "__main__":
    main()
