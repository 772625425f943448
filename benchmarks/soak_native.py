"""Memory over very many calls of small layers: each cell, with and without clipping and step gradients.

    python benchmarks/soak_native.py [--calls 100000]

A call is a forward and a backward pass, or a forward pass alone. Resident memory is read ten times on the way; after
the first tenth, in which scratch grows to its size, it should stay. Writes results/soak_native.json.
"""

import argparse
import itertools
import resource
from pathlib import Path
from typing import Any

import torch
from _report import write

from bptt.nn import GRU, LSTM, RNN

OPTIONS: tuple[dict[str, Any], ...] = ({}, {"grad_clip": 0.1}, {"grad_clip": ("norm", 0.1)})


def resident() -> int:
    """KiB of this process in memory."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize() // 1024


def calls(count: int) -> None:
    """About `count` calls, shared out evenly."""
    kinds = list(itertools.product((RNN, GRU, LSTM), OPTIONS, (False, True)))
    for kind, options, watched in kinds:
        layer = kind(8, 8, backend="native", **options)
        if watched:
            layer.read_gradients(lambda *what: None)
        x = torch.randn(5, 3, 8)
        for _ in range(-(-count // (2 * len(kinds)))):
            layer.zero_grad()
            layer(x)[0].sum().backward()
            with torch.no_grad():
                layer(x)


def main() -> None:
    """Ten readings, printed and written."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=100_000)
    count = parser.parse_args().calls
    torch.manual_seed(0)
    read = []
    for _ in range(10):
        calls(count // 10)
        read.append(resident())
        print(read[-1], "KiB", flush=True)
    grown = read[-1] - read[0]
    print(f"{grown} KiB more after the first tenth")
    write("soak_native", {"calls": count, "resident_kib": read, "grown_kib": grown})


if __name__ == "__main__":
    main()
