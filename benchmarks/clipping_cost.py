"""What clipping costs, as a share of an update.

    python benchmarks/clipping_cost.py [--seconds 20]

A character model (embedding, LSTM, read-out of every step) is trained with Adam, in two sizes. `call`: one call of the
clipper on the update's gradients, fresh ones each time, with a threshold that clips every one of them, against torch's
`clip_grad_norm_` on the same, in turn; its share of the update is the fastest call over the fastest update, what other
programs disturb least.
`steps`: forward and backward of the layer alone that clips inside the backward recurrence, against itself without.
`hook`: whole updates with the clipper attached against updates without, in turn. Both have two ratios, the median over
pairs and that of the fastest runs; beside other programs the latter is the steadier.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from _report import write
from torch import Tensor, nn

import bptt.nn
from bptt.remedies import AGC, AutoClip, ClipNorm, Clipper, ClipValue, Method, ZClip

SIZES = {"small": (64, 8, 50), "large": (256, 32, 100)}
"""H, B, T."""
SYMBOLS = 96
METHODS: dict[str, Callable[[], Method]] = {
    "clip_norm": lambda: ClipNorm(1e-4),
    "clip_norm, nothing to clip": lambda: ClipNorm(1e9),
    "clip_value": lambda: ClipValue(1e-6),
    "agc": lambda: AGC(1e-4),
    "autoclip": lambda: AutoClip(10.0),
    "zclip": lambda: ZClip(z=1e-3),
}
HISTORY = 10_000
"""Norms that an adaptive method has seen before."""


class Model(nn.Module):
    """The next character."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(SYMBOLS, hidden)
        self.rnn = nn.LSTM(hidden, hidden)
        self.readout = nn.Linear(hidden, SYMBOLS)

    def loss(self, text: Tensor) -> Tensor:
        """`text` `[T + 1, B]`."""
        logits = self.readout(self.rnn(self.embedding(text[:-1]))[0])
        return nn.functional.cross_entropy(logits.flatten(0, 1), text[1:].flatten())


class Training:
    """One model, its optimizer and a batch."""

    def __init__(self, size: str) -> None:
        torch.manual_seed(0)
        hidden, batch, steps = SIZES[size]
        self.model = Model(hidden)
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=1e-9)
        self.text = torch.randint(SYMBOLS, (steps + 1, batch))

    def update(self) -> None:
        """Clear, forward, backward, step."""
        self.optimizer.zero_grad()
        self.model.loss(self.text).backward()
        self.optimizer.step()


def clipper_of(name: str) -> Clipper:
    """With a history, where it has one."""
    clipper = Clipper(METHODS[name]())
    clipper.observe(1e-3 * n for n in range(1, HISTORY + 1))
    return clipper


def seconds(run: Callable[[], Any]) -> float:
    """Of one call."""
    began = time.perf_counter()
    run()
    return time.perf_counter() - began


def call(size: str, name: str, limit: float) -> dict[str, Any]:
    """The clipper's own time beside torch's global norm, and as a share of the update."""
    training, clipper = Training(size), clipper_of(name)
    training.update()
    parameters = list(training.model.parameters())
    fresh = [p.grad.clone() for p in parameters if p.grad is not None]
    grads = [p.grad for p in parameters if p.grad is not None]
    # Larger than all of the history, so that every call has something to clip.
    torch._foreach_mul_(fresh, 1e3)  # type: ignore[attr-defined]

    def torchs() -> None:
        nn.utils.clip_grad_norm_(training.model.parameters(), 1e-4)

    def ours() -> None:
        clipper.clip(training.model.parameters())

    times: list[tuple[float, float]] = []
    updates: list[float] = []
    until = time.monotonic() + limit
    while len(times) < 30 or time.monotonic() < until:
        if len(times) % 10 == 0:
            updates.append(seconds(training.update))
        pair = []
        for run in (torchs, ours) if len(times) % 2 else (ours, torchs):
            for parameter, grad, value in zip(parameters, grads, fresh, strict=True):
                parameter.grad = grad.copy_(value)
            pair.append(seconds(run))
        times.append((pair[0], pair[1]) if len(times) % 2 else (pair[1], pair[0]))
    assert clipper.clipped >= len(times) - 1 or "nothing" in name, clipper
    update, theirs, own = (min(each) for each in (updates, *zip(*times, strict=True)))
    return {
        "what": "call",
        "size": size,
        "method": name,
        "update_ms": 1e3 * update,
        "torch_norm_us": 1e6 * theirs,
        "ours_us": 1e6 * own,
        "ratio_to_torch_norm": statistics.median(b / a for a, b in times),
        "ratio_of_fastest": own / theirs,
        "share_of_update": own / update,
        "calls": len(times),
    }


def hook(size: str, name: str, repeats: int) -> dict[str, Any]:
    """Whole updates."""
    plain, clipped = Training(size), Training(size)
    with clipper_of(name).attach(clipped.optimizer):
        times = pairs(plain.update, clipped.update, repeats)
    return {"what": "hook", "size": size, "method": name, **times}


def pairs(plain: Callable[[], Any], other: Callable[[], Any], repeats: int) -> dict[str, float]:
    """Two functions in turn."""
    plain()
    other()
    times = [(seconds(plain), seconds(other)) for _ in range(repeats)]
    first, second = (min(each) for each in zip(*times, strict=True))
    return {
        "plain_ms": 1e3 * first,
        "ratio": statistics.median(b / a for a, b in times),
        "ratio_of_fastest": second / first,
    }


def steps(size: str, kind: str, cell: str, repeats: int) -> dict[str, Any]:
    """The layer alone, clipped at every step or not; a limit that clips every one, and one that clips none."""
    hidden, batch, length = SIZES[size]
    layer: Any = {"LSTM": bptt.nn.LSTM, "GRU": bptt.nn.GRU, "RNN": bptt.nn.RNN}[cell]
    torch.manual_seed(0)
    plain = layer(hidden, hidden)
    x, dy = torch.randn(2, length, batch, hidden)

    def run(one: Any) -> None:
        one.zero_grad()
        one(x)[0].backward(dy)

    row: dict[str, Any] = {"what": "steps", "size": size, "cell": cell, "kind": kind}
    for name, limit in (("never", 1e9), ("always", 1e-2)):
        clipped = layer(hidden, hidden, grad_clip=(kind, limit))
        clipped.load_state_dict(plain.state_dict())
        times = pairs(lambda: run(plain), lambda one=clipped: run(one), repeats)
        row[name], row[f"{name}_fastest"] = times["ratio"], times["ratio_of_fastest"]
        row[f"{name}_clipped"] = clipped.clipped_steps / (length * batch)
        row["plain_ms"] = times["plain_ms"]
    return row


def main() -> None:
    """All tables."""
    options = argparse.ArgumentParser(description="What clipping costs.")
    options.add_argument("--seconds", type=float, default=20.0, help="for each size's calls")
    limit = options.parse_args().seconds
    rows: list[dict[str, Any]] = []
    for size in SIZES:
        for name in METHODS:
            row = call(size, name, limit / len(METHODS))
            rows.append(row)
            print(
                f"{size} {name}: {row['ours_us']:.0f} us, {row['ratio_of_fastest']:.2f} x torch's norm "
                f"({row['ratio_to_torch_norm']:.2f} in pairs), "
                f"{row['share_of_update']:.2%} of an update of {row['update_ms']:.1f} ms",
                flush=True,
            )
    for size, kind in (("small", "value"), ("large", "value"), ("large", "norm")):
        for cell in ("LSTM", "GRU", "RNN"):
            row = steps(size, kind, cell, 15 if size == "large" else 101)
            rows.append(row)
            print(
                f"{size} {cell} steps by {kind}: never {row['never_fastest']:.3f} ({row['never']:.3f} in pairs), "
                f"always {row['always_fastest']:.3f} ({row['always']:.3f}) of "
                f"{row['plain_ms']:.1f} ms",
                flush=True,
            )
    for size, name in (("small", "agc"), ("small", "autoclip"), ("large", "agc")):
        row = hook(size, name, 15 if size == "large" else 101)
        rows.append(row)
        print(
            f"{size} {name} hooked: {row['ratio_of_fastest']:.3f} ({row['ratio']:.3f}) of {row['plain_ms']:.1f} ms",
            flush=True,
        )
    print("written to", write("clipping_cost", rows))


if __name__ == "__main__":
    main()
