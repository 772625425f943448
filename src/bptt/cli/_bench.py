"""`bptt bench`: the speed table against torch.nn, measured here and now."""

import json
import os
import platform
import sys
from collections.abc import Iterable
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any, NoReturn

import torch
from rich.console import Console
from rich.live import Live
from rich.table import Table

import bptt
from bptt._errors import BpttError
from bptt._files import put_out
from bptt.kernels import available, isa
from bptt.nn._bench import LAYERS, MODES, Speed, cases, compare, geometric_mean, product_peak
from bptt.report import console

COLUMNS = ("layer", "hidden", "batch", "torch µs/step", "bptt µs/step", "times faster", "of peak")


def bench(
    layers: Iterable[str],
    hidden: Iterable[int],
    batch: Iterable[int],
    *,
    mode: str,
    threads: int | None,
    seconds: float,
    json_file: Path | None,
) -> None:
    """Print the table, and write it to `json_file`.

    Exits with 1 where the layers' numbers differ from torch's, with 2 if the options cannot be used.
    """
    names = [_one_of(LAYERS, word, "--layer") for word in layers]
    mode = _one_of(MODES, mode, "--mode")
    grid = list(cases(names or LAYERS, _positive(hidden, "--hidden"), _positive(batch, "--batch"), mode))  # fmt: skip
    if not seconds >= 0:
        _leave(f"--seconds is {seconds}; expected 0 or more.", 2)
    if json_file is not None and not json_file.absolute().parent.is_dir():
        _leave(f"--json is {json_file}, but its folder does not exist. Make it first.", 2)
    if threads is not None:
        torch.set_num_threads(_positive([threads], "--threads")[0])
    torch.manual_seed(0)
    out = console(sys.stdout)
    speeds, peak = _measured(grid, seconds, out)
    out.print(_summary(speeds))
    if json_file is not None:
        content = {**_machine(), "mode": mode, "rows": [_row(speed, peak) for speed in speeds]}
        try:
            put_out(json_file, (json.dumps(content, indent=1) + "\n").encode())
        except OSError as error:
            _leave(f"{json_file} could not be written: {error.strerror or error}", 2)


def _measured(grid: list[Any], seconds: float, out: Console) -> tuple[list[Speed], float]:
    """Each row as it comes on a terminal; elsewhere the table when it is whole."""
    machine = _machine()
    engine = f"bptt on {machine['isa']}" if available() else "bptt without its compiled recurrence"
    out.print(
        f"{machine['processor']} · {machine['threads']} threads · torch {torch.__version__} · {engine}",
        soft_wrap=True,
    )
    table, speeds, peak = _table(grid[0].mode), [], product_peak()
    with Live(table, console=out) if out.is_terminal else nullcontext():
        for case in grid:
            try:
                speed = compare(case, seconds=seconds)
            except BpttError as error:
                _leave(str(error), 1)
            speeds.append(speed)
            table.add_row(*_words(speed, peak))
    if not out.is_terminal:
        out.print(table)
    return speeds, peak


def _table(mode: str) -> Table:
    what = "forward alone" if mode == "no grad" else f"forward and backward, {mode}"
    table = Table(*COLUMNS[:1], title=f"{what}, float32", title_justify="left", box=None)
    for name in COLUMNS[1:]:
        table.add_column(name, justify="right")
    return table


def _words(speed: Speed, peak: float) -> tuple[str, ...]:
    case = speed.case
    return (
        case.layer,
        str(case.hidden),
        str(case.batch),
        f"{speed.torch_us:.1f}",
        f"{speed.ours_us:.1f}",
        f"{speed.ratio:.2f}×",
        f"{speed.gflops / peak:.0%}",
    )


def _summary(speeds: list[Speed]) -> str:
    """One line a layer: the geometric mean, and the worst."""
    lines = []
    for name in dict.fromkeys(speed.case.layer for speed in speeds):
        ratios = [speed.ratio for speed in speeds if speed.case.layer == name]
        lines.append(
            f"{name}: {geometric_mean(ratios):.2f}× in the geometric mean, {min(ratios):.2f}× at worst"
        )
    return "\n".join(lines)


def _row(speed: Speed, peak: float) -> dict[str, Any]:
    return {
        **asdict(speed.case),
        "steps": speed.case.steps,
        "torch_us": round(speed.torch_us, 2),
        "ours_us": round(speed.ours_us, 2),
        "ratio": round(speed.ratio, 3),
        "share_of_peak": round(speed.gflops / peak, 3),
    }


def _machine() -> dict[str, Any]:
    """What the numbers depend on."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "isa": isa() if available() else None,
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "bptt": bptt.__version__,
        },
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    named = (line.split(": ")[1] for line in lines if line.startswith("model name"))
    return next(named, platform.processor() or platform.machine())


def _one_of(known: Iterable[str], word: str, option: str) -> str:
    """The name meant by `word`: case does not matter, and a hyphen stands for a blank."""
    names = {name.lower().replace(" ", "-"): name for name in known}
    found = names.get(word.lower().replace(" ", "-"))
    if found is None:
        _leave(f"{option} is {word!r}; expected {', '.join(names)}.", 2)
    return found


def _positive(numbers: Iterable[int], option: str) -> list[int]:
    found = list(numbers)
    if any(number < 1 for number in found):
        _leave(f"{option} is {min(found)}; expected 1 or more.", 2)
    return found


def _leave(sentence: str, code: int) -> NoReturn:
    print(f"bptt: {sentence}", file=sys.stderr)
    raise SystemExit(code)
