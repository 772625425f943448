"""A newcomer's path, timed: a fresh virtual environment, `pip install`, and the first report on a script of one's own.

    python benchmarks/newcomer.py [WHEEL]    # without one, it is built first, and that is timed apart

The two commands are those that the documentation tells a newcomer: `pip install`, then `bptt run train.py`. Where pip
takes its packages from, and whether it has them already, is the machine's own. Versions are those of `constraints.txt`:
an open range takes a build of torch of several GB.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
import venv
import zipfile
from pathlib import Path

import _report

ROOT = Path(__file__).resolve().parents[1]

# Somebody's first script: plain PyTorch, and no thought of bptt.
SCRIPT = """import torch
from torch import nn

torch.manual_seed(0)
model = nn.LSTM(2, 32, batch_first=True)
readout = nn.Linear(32, 1)
optimizer = torch.optim.Adam([*model.parameters(), *readout.parameters()], lr=1e-3)
for update in range(200):
    x = torch.rand(16, 100, 2)
    target = x[:, 0, :1]
    output, _ = model(x)
    loss = nn.functional.mse_loss(readout(output[:, -1]), target)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
print(loss.item())
"""


def timed(*command: str | Path, cwd: Path) -> float:
    """Seconds that a command took; a failure ends it all."""
    began = time.perf_counter()
    done = subprocess.run(
        list(map(str, command)), cwd=cwd, env=plain(), capture_output=True, text=True
    )
    if done.returncode:
        sys.exit(f"{command} exited with {done.returncode}:\n{done.stdout}{done.stderr}")
    return time.perf_counter() - began


def plain() -> dict[str, str]:
    """The environment without what this process's own virtual environment put into it."""
    ours = ("VIRTUAL_ENV", "PYTHONPATH", "PYTHONHOME")
    return {name: value for name, value in os.environ.items() if name not in ours}


def walked(wheel: Path, folder: Path) -> dict[str, float | bool]:
    """The path, step by step, in seconds."""
    began = time.perf_counter()
    venv.create(folder / "venv", with_pip=True)
    made = time.perf_counter() - began
    (folder / "train.py").write_text(SCRIPT, encoding="utf-8")
    bin = folder / "venv" / ("Scripts" if os.name == "nt" else "bin")
    constraints = ROOT / "constraints.txt"
    install = timed(bin / "python", "-m", "pip", "install", "-c", constraints, wheel, cwd=folder)
    run = timed(bin / "bptt", "run", "--out", "first", "train.py", cwd=folder)
    report = folder / "first" / "report.html"
    if not report.is_file():
        sys.exit(f"there is no {report.name} after the run")
    return {
        "venv_s": round(made, 1),
        "install_s": round(install, 1),
        "run_s": round(run, 1),
        "two_commands_s": round(install + run, 1),
        "under_five_minutes": install + run < 300,
        "report_kib": report.stat().st_size // 1024,
    }


def built(folder: Path) -> tuple[Path, float]:
    """A wheel of this copy with the native part, and the seconds that it took."""
    command = (sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", ROOT)
    seconds = timed(*command, cwd=folder)
    (wheel,) = folder.glob("*.whl")
    return wheel, seconds


def main() -> None:
    """Parse, walk, write."""
    parser = argparse.ArgumentParser()
    parser.add_argument("wheel", type=Path, nargs="?", help="as `pip wheel --no-deps .` builds it")
    told = parser.parse_args().wheel
    if told is not None and (told.suffix != ".whl" or not told.is_file()):
        sys.exit(f"{told} is no wheel; build one with `pip wheel --no-deps .`, or leave it out")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        wheel, seconds = (told.resolve(), None) if told is not None else built(folder)
        with zipfile.ZipFile(wheel) as archive:
            native = any(each.endswith((".so", ".dylib", ".dll")) for each in archive.namelist())
        found = walked(wheel, folder)
    apart = None if seconds is None else round(seconds, 1)
    rows = {**found, "wheel_s": apart, "native": native, "load": round(os.getloadavg()[0], 2)}
    sys.argv[1:] = [wheel.name] if told is not None else []  # a path would be this machine's own
    _report.write("newcomer", rows)
    print(rows)


if __name__ == "__main__":
    main()
