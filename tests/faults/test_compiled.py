"""A script that compiles: the same graphs, compiled as often, the same weights, and no error for a break of ours.

In processes of their own: Dynamo cannot follow the checks that the tests put around every function.
"""

import subprocess
import sys
from pathlib import Path

from bptt.doctor import open_run

SCRIPT = """
import hashlib, torch
from torch import nn
from torch._dynamo.utils import counters

class Steps(nn.Module):
    def __init__(self):
        super().__init__()
        self.cell, self.out = nn.GRUCell(2, 4), nn.Linear(4, 1)
    def forward(self, x):
        h = x.new_zeros(len(x), 4)
        for t in range(x.shape[1]):
            h = self.cell(x[:, t], h.detach() if t == 2 else h)
        return self.out(h)

def trained(model, forward):
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    @torch.compile(backend="eager")
    def step():
        optimizer.step()
    for _ in range(12):
        x = torch.randn(3, 6, 2)
        optimizer.zero_grad()
        (forward(x) - x[:, 0, :1]).square().mean().backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        step()
    print(hashlib.sha256(b"".join(p.detach().numpy().tobytes() for p in model.parameters())).hexdigest())

torch.manual_seed(0)
torch.set_num_threads(1)
for way in ("function", "module", "in place", "after a reset"):
    model = Steps()
    if way == "after a reset":
        torch._dynamo.reset()
    if way == "in place":
        model.compile(backend="aot_eager", fullgraph=True)
        trained(model, model)
    else:
        given = model.forward if way == "function" else model
        trained(model, torch.compile(given, backend="aot_eager", fullgraph=True))
print(counters["frames"]["total"] >= 8, dict(counters["graph_break"]), dict(counters["recompile_limit"]))
"""


def test_what_is_compiled_is_compiled_as_without_us(tmp_path: Path) -> None:
    script, ends = tmp_path / "train.py", []
    script.write_text(SCRIPT, encoding="utf-8")
    for run in ([], ["-m", "bptt", "run", "--budget", "10", "--out", str(tmp_path / "out")]):
        command = [sys.executable, *run, str(script)]
        ends.append(subprocess.run(command, capture_output=True, text=True, cwd=tmp_path))
    plain, ours = ends
    assert (ours.returncode, ours.stdout) == (plain.returncode, plain.stdout), ours.stderr
    assert plain.returncode == 0, plain.stderr
    for word in ("UserWarning", "recompile_limit", "a fault of bptt"):
        assert word not in ours.stderr
    assert "it is compiled" in str(open_run(tmp_path / "out").notes)
