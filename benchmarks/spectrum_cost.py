"""What spectra and exponents cost beside the plain way.

    python benchmarks/spectrum_cost.py

Exponents: all 128 of a tanh RNN, T = 1,000, against a loop of `torch.autograd.functional.jacobian` and
`torch.linalg.qr`, in float64. Singular values: T = 200, B = 32, H = 128, against the bare batched
`torch.linalg.svdvals` on ready matrices. Memory: peak of a fresh process that takes them for T = 100 and for T = 1,000,
beyond one that only runs the model.
"""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import torch
from _report import paired, write
from torch import Tensor, nn

import bptt
from bptt.flow.explain._frame import frame

Row = dict[str, float | str]
MODULES: dict[str, Callable[[int, int], nn.RNNBase]] = {
    "rnn": nn.RNN,
    "gru": nn.GRU,
    "lstm": nn.LSTM,
}


def loop(cell: nn.RNNCell, x: Tensor) -> Tensor:
    """Exponents as they are written down by hand: Jacobian and QR at every step."""
    h, q = x.new_zeros(cell.hidden_size), frame(cell.hidden_size, cell.hidden_size).mT
    grown = torch.zeros(cell.hidden_size, dtype=x.dtype)
    for x_t in x:
        jacobian = torch.autograd.functional.jacobian(lambda h, x_t=x_t: cell(x_t, h), h)
        assert isinstance(jacobian, Tensor)
        with torch.no_grad():
            h = cell(x_t, h)
        q, r = torch.linalg.qr(jacobian @ q)
        grown += r.diagonal().abs().log()
    return (grown / len(x)).sort(descending=True).values


def exponents(steps: int = 1000, repeats: int = 3) -> Row:
    """The two ways in turn."""
    torch.manual_seed(0)
    module = nn.RNN(8, 128).double()
    cell = nn.RNNCell(8, 128).double()
    for ours, theirs in zip(cell.parameters(), module.parameters(), strict=True):
        ours.data = theirs.data
    x = torch.randn(steps, 1, 8).double()

    def fast() -> Tensor:
        return bptt.lyapunov(module, x, warmup=0)["l0"].exponents

    off = float((fast() - loop(cell, x[:, 0])).abs().max())
    times = paired(fast, lambda: loop(cell, x[:, 0]), repeats)
    return {"what": "exponents", "speedup": times["ratio"], "off": off, **times}


def singular(kind: str, repeats: int = 3) -> Row:
    """Bare svdvals on ready Jacobians, and `bptt.spectrum` from the model and its input."""
    torch.manual_seed(0)
    module, x = MODULES[kind](8, 128), torch.randn(200, 32, 8)
    stretch = bptt.spectrum(module, x)["l0"]._stretches[0]
    ready = list(stretch._jacobians())

    def bare() -> list[Tensor]:
        return [torch.linalg.svdvals(each) for each in ready]

    times = paired(bare, lambda: bptt.spectrum(module, x)["l0"].singular, repeats)
    return {"what": "singular values", "cell": kind, "size": ready[0].shape[-1], **times}


def peak(steps: int, spectrum: bool) -> int:
    """Peak memory in MiB of a fresh process."""
    command = [sys.executable, __file__, "--once", str(steps), "spectrum" if spectrum else "plain"]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def once(steps: int, spectrum: bool) -> None:
    """One pass; prints the process's peak."""
    torch.manual_seed(0)
    module, x = nn.RNN(8, 64), torch.randn(steps, 8, 8)
    if spectrum:
        _ = bptt.spectrum(module, x)["l0"].singular
        bptt.lyapunov(module, x, k=8)
    else:
        with torch.no_grad():
            module(x)
        bptt.spectrum(module, x[:1])
    print(_peak_kib() // 1024)


def _peak_kib() -> int:
    """This process's own peak; getrusage's would begin with its parent's."""
    rows = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(row.split()[1]) for row in rows if row.startswith("VmHWM"))


def main() -> None:
    """All three tables."""
    if sys.argv[1:2] == ["--once"]:
        once(int(sys.argv[2]), sys.argv[3] == "spectrum")
        return
    rows: list[Row] = [exponents()]
    print(f"exponents: {rows[0]['speedup']:.0f}x, off by {rows[0]['off']:.0e}")
    for kind in ("rnn",):
        rows.append(singular(kind))
        print(f"singular values, {kind}: {rows[-1]['ratio']:.2f} x bare svdvals")
    for steps in (100, 1000, 4000):
        beyond = peak(steps, True) - peak(steps, False)
        all_jacobians = steps * 8 * 64 * 64 * 4 / 2**20
        rows.append(
            {
                "what": "memory",
                "steps": steps,
                "mib_beyond": float(beyond),
                "mib_of_all_jacobians": all_jacobians,
            }
        )
        print(
            f"memory, T = {steps}: {beyond:.0f} MiB beyond; all Jacobians are {all_jacobians:.0f} MiB"
        )
    print("written to", write("spectrum_cost", rows))


if __name__ == "__main__":
    main()
