"""Several processes of one training: one writes, all agree, nobody waits for the dead."""

import json
import os
import subprocess
import sys
import textwrap
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch.distributed as dist

from bptt.doctor import read_run
from bptt.doctor._peers import Peers
from bptt.doctor._verdict import together
from bptt.rules import Finding

pytestmark = pytest.mark.skipif(not dist.is_available(), reason="torch without torch.distributed")

SCRIPT = """
import os, sys
import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

rank, ways = int(os.environ["RANK"]), sys.argv[2:]
dist.init_process_group("gloo", init_method=f"file://{sys.argv[1]}", rank=rank, world_size=2)
torch.manual_seed(0)
model = nn.GRU(2, 8)
parallel = DistributedDataParallel(model)
optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
torch.manual_seed(rank)


def train():
    for update in range(1, 8):
        x = torch.randn(20, 3, 2)
        if update == 5 and rank == 1 and "bad" in ways:
            x[7, 1, 0] = float("nan")
        if update == 6 and rank == 1 and "dies" in ways:
            os._exit(3)
        if update == 6 and "dies" in ways:
            return  # what a launcher would end
        optimizer.zero_grad()
        parallel(x)[0][-1].square().mean().backward()
        optimizer.step()
"""

WATCHED = """
from bptt.doctor import Monitor, _peers

_peers.WAIT = 60.0 if "dies" not in ways else 1.0
with Monitor(out=sys.argv[1] + ".run") as monitor:
    train()
assert monitor.fault is None, monitor.fault
print([(f.code, f.evidence.get("processes"), [c.code for c in f.consequences]) for f in monitor.findings])
print(monitor.log.folder, [note["subject"] for note in monitor.tally.notes])
dist.destroy_process_group()
"""


def both(
    tmp_path: Path, text: str, *ways: str, under: tuple[str, ...] = ()
) -> list[tuple[int, str, str]]:
    """Exit code and output of two processes that run the script side by side."""
    script = tmp_path / "script.py"
    script.write_text(textwrap.dedent(text))
    env = {**os.environ, "WORLD_SIZE": "2", "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    command = [sys.executable, *under, str(script), str(tmp_path / "meet"), *ways]
    running = [
        subprocess.Popen(
            command,
            env={**env, "RANK": str(rank)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=tmp_path,
        )
        for rank in range(2)
    ]
    said = [each.communicate(timeout=200) for each in running]
    return [(each.returncode, *words) for each, words in zip(running, said, strict=True)]


def test_what_one_process_sees_all_say_and_one_writes(tmp_path: Path) -> None:
    first, second = both(tmp_path, SCRIPT + WATCHED, "bad")
    assert first[0] == 0, first[2]
    assert second[0] == 0, second[2]
    # The first process saw gradients that were not finite; the second one knows where they came from.
    assert first[1].splitlines()[0] == second[1].splitlines()[0]
    assert first[1].startswith("[('NF603', [1], ['NF602'])]\n")
    run, tally = read_run(tmp_path / "meet.run")
    assert run["updates"] == 7
    assert tally.verdict[0]["code"] == "NF603"
    assert tally.verdict[0]["evidence"]["processes"] == [1]
    assert "None []" in second[1]


def test_a_process_that_dies_is_not_waited_for(tmp_path: Path) -> None:
    began = time.monotonic()
    first, second = both(tmp_path, SCRIPT + WATCHED, "dies")
    assert second[0] == 3
    assert "['process 1']" in first[1], first
    assert time.monotonic() - began < 120
    assert read_run(tmp_path / "meet.run")[0]["updates"] == 5


def test_under_bptt_run_one_speaks(tmp_path: Path) -> None:
    under = ("-m", "bptt", "run", "--out", "run")
    first, second = both(tmp_path, SCRIPT + "train()\n", "bad", under=under)
    assert (first[0], second[0]) == (0, 0), (first, second)
    assert "NF603" in first[2]
    assert second[2] == ""
    content = json.loads((tmp_path / "run" / "findings.json").read_text())
    assert [each["code"] for each in content["findings"]] == ["NF603"]


def found(code: str, site: str = "", update: int = 1, **more: object) -> Finding:
    return Finding(code, code.lower(), site, "error", "words", {"n": 1}, update, **more)  # type: ignore[arg-type]


def test_a_cause_that_another_process_saw_takes_the_findings_under_it() -> None:
    symptom, cause = found("NF602", "rnn.l0", 5), found("NF603", "input", 5)
    one, other = together({0: [symptom], 1: [cause]}, 2), together({1: [cause], 0: [symptom]}, 2)
    assert one == other
    assert [each.code for each in one] == ["NF603"]
    assert [each.code for each in one[0].consequences] == ["NF602"]
    assert one[0].evidence == {"n": 1, "processes": [1]}


def test_what_all_see_is_said_once_and_the_worst_of_it() -> None:
    mild = replace(found("VG101", "l0"), severity="advice")
    (only,) = together({0: [mild], 1: [found("VG101", "l0")]}, 2)
    assert (only.severity, only.evidence) == ("error", {"n": 1})


def test_a_store_that_is_gone_leaves_a_process_with_its_own_verdict(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Gone:
        def set(self, key: str, text: str) -> None:
            raise RuntimeError("connection reset")

        def check(self, keys: list[str]) -> bool:
            raise RuntimeError("connection reset")

    monkeypatch.setattr("bptt.doctor._peers.WAIT", 0.05)
    for rank in range(2):
        peers = Peers(Gone(), rank, 2)
        assert peers.share([found("VG101")]) != []
        assert [each.code for each in peers.settle([found("VG101")])] == ["VG101"]
        assert peers.missing == [1 - rank]
