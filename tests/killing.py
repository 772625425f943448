"""Kills `bptt run` at random moments, and looks at what is left of its folder.

    python tests/killing.py KILLS SEED        # of each kind; prints {signal: [tried, what was lost, …]}

A program of its own: each run is a fork of this process, which has imported torch but called nothing of it. Dynamo,
which torch imports with the first optimizer, is there already: while that goes on a Ctrl-C can be lost in any program,
as in mpmath's bare `except:`.
"""

import contextlib
import importlib
import json
import os
import random
import signal
import sys
import tempfile
import time
from pathlib import Path

import torch

from bptt.cli import main
from bptt.doctor import RunFolder, open_run
from bptt.report.page import write_page

SCRIPT = """
import torch
torch.manual_seed(0)
model = torch.nn.LSTM(2, 8)
optimizer = torch.optim.Adam(model.parameters())
for update in range(100_000):
    optimizer.zero_grad()
    model(torch.randn(9, 2, 2))[0].square().mean().backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
"""
SIGNALS = ("SIGKILL", "SIGTERM", "SIGINT")


def begun(script: Path, folder: Path) -> int:
    """The id of a process that trains under `bptt run`."""
    pid = os.fork()
    if pid == 0:
        code = 1
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        try:
            sys.argv = ["bptt", "run", "--budget", "0.5", "--out", str(folder), str(script)]
            signal.signal(signal.SIGINT, signal.default_int_handler)
            with contextlib.suppress(SystemExit):
                main()
        except KeyboardInterrupt:
            code = 130
        finally:
            os._exit(code)
    return pid


def left(folder: Path, name: str, status: int) -> str | None:
    """What is wrong with the folder of a run that a signal ended; None if nothing is."""
    if not (folder / "run.json").exists():
        return None  # it had not begun
    if RunFolder.in_use(folder):
        return "the folder is still held"
    run = open_run(folder)
    if run.damage:
        return "; ".join(run.damage)
    updates = [each["update"] for each in run.records]
    if updates != sorted(set(updates)) or updates[:1] not in ([], [1]):
        return f"probes of updates {updates}"
    if name == "SIGINT" and (run.run["state"], os.waitstatus_to_exitcode(status)) != (
        "interrupted",
        130,
    ):
        return f"Ctrl-C left it {run.run['state']}, status {status}"
    write_page(folder)
    RunFolder(
        folder
    ).close()  # a second run takes the folder, and moves the first one's files aside
    aside = [
        each for each in (folder / "earlier").iterdir() if open_run(each).records == run.records
    ]
    return None if len(aside) == 1 else "a second run lost the first one's files"


def killed(name: str, kills: int, seed: int) -> list[str]:
    """Start, wait for up to a second, kill; what was lost, in words."""
    draw, lost = random.Random(f"{name} {seed}"), list[str]()
    with tempfile.TemporaryDirectory() as home:
        script = Path(home) / "train.py"
        script.write_text(SCRIPT, encoding="utf-8")
        for n in range(kills):
            folder = Path(home) / f"run{n}"
            pid = begun(script, folder)
            while name == "SIGINT" and not (folder / "run.json").exists():
                time.sleep(0.005)  # before the run has begun Python itself ends
            time.sleep(draw.random() ** 2)
            os.kill(pid, getattr(signal, name))
            status = os.waitpid(pid, 0)[1]
            try:
                what = left(folder, name, status)
            except Exception as error:
                what = f"{type(error).__name__}: {error}"
            lost += [] if what is None else [what]
    return lost


if __name__ == "__main__":
    torch.set_num_threads(1)
    importlib.import_module("torch._dynamo")
    kills, seed = map(int, sys.argv[1:])
    print(json.dumps({name: [kills, *killed(name, kills, seed)] for name in SIGNALS}))
