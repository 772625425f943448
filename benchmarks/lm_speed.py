"""bptt train against the same network in plain torch.nn under the same trainer, and what the trainer itself takes.

    OMP_NUM_THREADS=2 python benchmarks/lm_speed.py --cell lstm --hidden 512 --batch 32

Both networks begin with the same weights and read the same chunks of the State of the Union; the loss after the last
update has to agree before anything is reported. Runs take turns, so that a slow minute meets both. `own` is the share
of an update outside forward, backward, clipping and the optimizer's step: Lightning's loop, the stream, callbacks. The
monitor is off in the comparison; `monitored` is the ratio with it on.
"""

import argparse
import os
import statistics
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from _report import write

from bptt.lm import Config, addresses, train
from bptt.lm._model import LanguageModel
from bptt.lm._module import Training

WARM = 5
"""Updates before the clock is read."""


class Clock:
    """Seconds of each update, and of the part of it that is the network's own."""

    def __init__(self) -> None:
        self.ends: list[float] = []
        self.inside: list[float] = []
        self.loss = 0.0
        self._step = Training.optimizer_step

    def __enter__(self) -> "Clock":
        step = self._step

        def timed(training: Training, *args: Any, **kwargs: Any) -> None:
            began = time.perf_counter()
            step(training, *args, **kwargs)
            self.ends.append(time.perf_counter())
            self.inside.append(self.ends[-1] - began)
            self.loss = training.progress.losses[0]

        Training.optimizer_step = timed  # type: ignore[method-assign]
        return self

    def __exit__(self, *error: object) -> None:
        Training.optimizer_step = self._step

    @property
    def update(self) -> float:
        """Median seconds of an update."""
        return statistics.median(
            b - a for a, b in zip(self.ends[WARM:-1], self.ends[WARM + 1 :], strict=True)
        )

    @property
    def own(self) -> float:
        """Share of the time that is not the network's."""
        whole = self.ends[-1] - self.ends[WARM]
        return 1 - sum(self.inside[WARM + 1 :]) / whole


def timed(config: Config, folder: Path) -> Clock:
    with Clock() as clock:
        train(config, folder / f"{config.backend}{time.monotonic_ns()}", say=lambda line: None)
    return clock


def compare(config: Config, folder: Path, rounds: int) -> dict[str, Any]:
    plain_config = replace(config, backend="torch")
    watched = replace(config, budget=0.02)
    ours, plain, monitored = [], [], []
    for _ in range(rounds):
        plain.append(timed(plain_config, folder))
        ours.append(timed(config, folder))
        monitored.append(timed(watched, folder))
    losses = [clocks[0].loss / config.updates for clocks in (ours, plain)]
    if abs(losses[0] - losses[1]) > 0.02:
        raise SystemExit(f"the networks differ: {losses[0]} and {losses[1]} bits per symbol")
    tokens = config.batch * config.length
    return {
        "cell": config.cell,
        "hidden": config.hidden,
        "batch": config.batch,
        "length": config.length,
        "weights": sum(p.numel() for p in LanguageModel(config, 100).parameters()),
        "tokens_per_second": round(tokens / min(clock.update for clock in ours)),
        "torch_tokens_per_second": round(tokens / min(clock.update for clock in plain)),
        "ratio": statistics.median(a.update / b.update for a, b in zip(plain, ours, strict=True)),
        "monitored": statistics.median(
            (b.ends[-1] - b.ends[0]) / (a.ends[-1] - a.ends[0])
            for a, b in zip(ours, monitored, strict=True)
        ),
        "own": statistics.median(clock.own for clock in ours),
        "bits_after": losses,
        "load": round(os.getloadavg()[0], 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--cell", action="append", choices=["rnn", "relu-rnn", "gru", "lstm"])
    parser.add_argument("--hidden", type=int, default=512)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--length", type=int, default=100)
    parser.add_argument("--updates", type=int, default=30)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as name:
        text = Path(name) / "text.txt"
        text.write_text("".join(addresses()[0])[:1_000_000], encoding="utf-8")
        for cell in args.cell or ["lstm"]:
            config = Config(
                files=(str(text),),
                cell=cell,
                hidden=args.hidden,
                batch=args.batch,
                length=args.length,
                updates=args.updates,
                validate_every=10**6,
                save_every=10**6,
                validation_tokens=1000,
                budget=-1.0,
            )
            rows.append(compare(config, Path(name), args.rounds))
            print(rows[-1], flush=True)
    print(f"{torch.get_num_threads()} threads · {write('lm_speed', rows)}")


if __name__ == "__main__":
    main()
