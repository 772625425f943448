"""What one probed update costs: time against a plain update, and memory of a long probe beyond the model's own.

    python benchmarks/probe_cost.py

Time: embedding of 100 symbols, one recurrent layer, a linear read-out at every step, Adam; T = 128, B = 32, H = 256
    as in examples/char_lm.py, and a last-step loss. Memory: T = 10,000, B = 8, H = 256, the peak of a fresh process
    with the probe less that of one without.
"""

import resource
import subprocess
import sys
from collections.abc import Callable

import torch
from _report import paired, write
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

import bptt
from bptt.flow import Recorder

CELLS: dict[str, Callable[[int, int], nn.Module]] = {
    "rnn": nn.RNN,
    "gru": nn.GRU,
    "lstm": nn.LSTM,
}


class Model(nn.Module):
    """Embedding, recurrence, read-out."""

    def __init__(self, cell: str, hidden: int) -> None:
        super().__init__()
        self.embedding, self.rnn = nn.Embedding(100, 64), CELLS[cell](64, hidden)
        self.readout = nn.Linear(hidden, 100)

    def forward(self, ids: Tensor, every: bool) -> Tensor:
        y, _ = self.rnn(self.embedding(ids))
        return self.readout(y if every else y[-1:])


def time_of(cell: str, every: bool, repeats: int = 15) -> dict[str, float | str]:
    """Plain and probed updates in turn."""
    torch.manual_seed(0)
    model = Model(cell, 256)
    optimizer = torch.optim.Adam(model.parameters())
    ids = torch.randint(0, 100, (128, 32))

    def update() -> None:
        optimizer.zero_grad()
        scores = model(ids, every)
        cross_entropy(scores.flatten(0, 1), (ids if every else ids[-1:]).flatten()).backward()
        optimizer.step()

    recorder = Recorder(model, attribute=False)  # as `bptt run` and the monitor probe

    def probed() -> None:
        recorder.start()
        optimizer.zero_grad()
        scores = model(ids, every)
        cross_entropy(scores.flatten(0, 1), (ids if every else ids[-1:]).flatten()).backward()
        recorder.stop()
        recorder.harvest()
        optimizer.step()

    loss = "every step" if every else "last step"
    return {"cell": cell, "loss": loss, **paired(update, probed, repeats)}


def peak(cell: str, probe: bool) -> int:
    """Peak memory in MiB of a fresh process that makes one long pass."""
    command = [sys.executable, __file__, "--once", cell, "probe" if probe else "plain"]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def once(cell: str, probe: bool) -> None:
    """One pass of T = 10,000; prints the process's peak."""
    torch.manual_seed(0)
    rnn, x = CELLS[cell](64, 256), torch.randn(10_000, 8, 64)
    if probe:
        with bptt.probe(rnn):
            rnn(x)[0].pow(2).sum().backward()
    else:
        rnn(x)[0].pow(2).sum().backward()
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)


def main() -> None:
    """Both tables."""
    if sys.argv[1:2] == ["--once"]:
        once(sys.argv[2], sys.argv[3] == "probe")
        return
    rows: list[dict[str, float | str]] = [
        time_of(cell, every) for cell in CELLS for every in (True, False)
    ]
    for row in rows:
        print(f"{row['cell']:5} loss at {row['loss']:10}: probed / plain update {row['ratio']:.2f}")
    for cell in CELLS:
        plain, probed = peak(cell, False), peak(cell, True)
        print(
            f"{cell:5} T = 10,000: {plain} MiB plain, {probed} MiB probed, {probed - plain} beyond"
        )
        rows.append({"cell": cell, "plain_mib": plain, "probed_mib": probed})
    print("written to", write("probe_cost", rows))


if __name__ == "__main__":
    main()
