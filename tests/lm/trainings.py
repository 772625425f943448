"""Trains in a forked child, so that it can be killed; started as a program of its own, since it must fork before any
thread of torch's is there. Reads a JSON on its standard input, prints one."""

import json
import os
import random
import shutil
import signal
import socket
import sys
import time
import traceback
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from bptt.lm import Config, train
from bptt.lm._keep import read_checkpoint


def child(config: Config, folder: Path, *, resume: bool) -> int:
    """Its process id; it exits with 0 if the training came to its end, else 9."""
    pid = os.fork()
    if pid == 0:
        code = 9
        try:
            train(config, folder, resume=resume, say=lambda line: None)
            code = 0
        except Exception:
            traceback.print_exc()
        finally:
            os._exit(code)
    return pid


def saved(folder: Path) -> int:
    """The update of the last checkpoint, 0 if there is none."""
    path = folder / "last.ckpt"
    return int(read_checkpoint(path)["global_step"]) if path.exists() else 0


def killed(config: Config, folder: Path, kills: int, seed: int) -> list[int]:
    """Train, kill at random moments after a new checkpoint is there, go on; the updates gone on from."""
    draw, at = random.Random(seed), list[int]()
    while len(at) < kills:
        before, began = saved(folder), time.monotonic()
        pid = child(config, folder, resume=before > 0)
        while saved(folder) <= before and time.monotonic() < began + 60:
            if os.waitpid(pid, os.WNOHANG)[0]:
                raise SystemExit("the training ended before it could be killed")
            time.sleep(0.002)
        time.sleep(draw.random() * 0.1)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        at.append(saved(folder))
    status = os.waitpid(child(config, folder, resume=True), 0)[1]
    if status:
        raise SystemExit(f"the last resumption ended with status {status}")
    return at


def same(one: Any, other: Any) -> bool:
    """Bit for bit, but for the clock."""
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        keys = (one.keys() | other.keys()) - {"seconds"}
        return all(same(one.get(key), other.get(key)) for key in keys)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


def several(
    config: Config, folder: Path, world: int, *, resume: bool, kill: bool = False
) -> list[int]:
    """Exit codes of `world` processes that train together; with `kill` the last one is, after a checkpoint."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = str(free.getsockname()[1])
    pids = []
    for rank in range(world):
        own = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": world, "LOCAL_WORLD_SIZE": world}
        os.environ |= {name: str(value) for name, value in own.items()}
        os.environ |= {"MASTER_ADDR": "localhost", "MASTER_PORT": port, "TORCHELASTIC_RUN_ID": "x"}
        pids.append(child(config, folder, resume=resume))
    for name in ("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "TORCHELASTIC_RUN_ID"):
        del os.environ[name]
    if kill:
        while not saved(folder):
            time.sleep(0.005)
        os.kill(pids[-1], signal.SIGKILL)
    return [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]


def apart(one: Path, other: Path) -> float:
    """The largest difference of weights and carried states."""
    a, b = (read_checkpoint(folder / "last.ckpt") for folder in (one, other))
    pairs = [(a["state_dict"][name], b["state_dict"][name]) for name in a["state_dict"]]
    pairs.append((a["bptt"]["lanes"], b["bptt"]["lanes"]))
    return max(float((x - y).abs().max()) for x, y in pairs)


def together(config: Config, more: Config, folder: Path) -> dict[str, Any]:
    """One process against two; from two to one and to three; one of two killed."""
    one, two, three, lost = (folder / name for name in ("one", "two", "three", "lost"))
    os.waitpid(child(config, one, resume=False), 0)
    found: dict[str, Any] = {"two": several(config, two, 2, resume=False), "apart": apart(one, two)}
    shutil.copytree(two, three)
    for each, world in ((one, 1), (two, 1), (three, 3)):
        several(more, each, world, resume=True)
    found |= {"to one": apart(one, two), "to three": apart(one, three), "updates": saved(three)}
    found["lost"] = several(replace(more, updates=10**6), lost, 2, resume=False, kill=True)
    found["saved"] = saved(lost)
    return found


def main() -> None:
    told = json.loads(sys.stdin.read())
    torch.set_num_threads(1)
    config, folder = Config.read(told["config"], "standard input"), Path(told["folder"])
    if told["kills"] == 0:
        print(json.dumps(together(config, replace(config, updates=told["more"]), folder)))
        return
    status = os.waitpid(child(config, folder / "whole", resume=False), 0)[1]
    assert status == 0, status
    at = killed(config, folder / "killed", told["kills"], told["seed"])
    whole, resumed = (read_checkpoint(folder / n / "last.ckpt") for n in ("whole", "killed"))
    parts = ("state_dict", "optimizer_states", "bptt", "global_step")
    print(
        json.dumps({"at": at, "same": {part: same(whole[part], resumed[part]) for part in parts}})
    )


if __name__ == "__main__":
    main()
