"""Figure 4 of Arjovsky, Shah & Bengio (2016): the gradient `∂C/∂h_t` by step, at the start and after 100 updates.

    nice -n 15 python benchmarks/figure4.py    # some minutes of one core; then the picture
    python benchmarks/figure4.py --picture     # docs/pictures/figure4.svg again, from the results

The adding problem with the paper's optimizer, batch and way to draw weights. Norms are of each sequence's own loss:
`bptt.measure` gives them for `∂(mean loss)/∂h_t`, so they are multiplied by the number of sequences. The geometric mean
goes over sequences and seeds, and a curve's `rate` is the least-squares slope of its logarithm, by step towards the
past.
"""

import argparse
import json
import math
from collections.abc import Callable
from typing import Any

import torch
from _pictures import COLOURS, PICTURES, drawing
from _report import RESULTS, write
from _urnn import UnitaryRNN
from torch import nn

import bptt
from bptt.remedies import forget_bias, identity_relu, orthogonal
from bptt.tasks import Learner, Task, adding

LENGTH, UNITS, BATCH, UPDATES, SEEDS = 200, 128, 20, 100, 3
MEASURED = 100
"""Sequences of the evaluation set that are measured."""
POINTS = (0, UPDATES)


def glorot(model: nn.Module) -> None:
    """Weights uniform up to `sqrt(6 / (in + out))`, gate by gate; biases 0: how the paper's code draws them."""
    for name, parameter in model.named_parameters():
        if "bias" in name:
            nn.init.zeros_(parameter)
        else:
            for block in parameter.detach().split(UNITS):
                nn.init.xavier_uniform_(block)


def plain(cell: str) -> Callable[[Task], nn.Module]:
    """A layer of torch.nn's kind with the paper's weights."""

    def made(task: Task) -> nn.Module:
        model = Learner(cell, task, UNITS)
        glorot(model)
        return model

    return made


def identity(task: Task) -> nn.Module:
    """The IRNN; the input weights are as wide as everybody's, as in the paper's code."""
    model = plain("rnn")(task)
    identity_relu(model)
    nn.init.xavier_uniform_(model.get_parameter("rnn.weight_ih_l0"))
    return model


def keeping(task: Task) -> nn.Module:
    """An LSTM whose forget gate starts with a bias of 1, as in the paper's code."""
    model = plain("lstm")(task)
    forget_bias(model, value=1.0)
    return model


def rotating(task: Task) -> nn.Module:
    """A tanh RNN whose recurrent matrix starts orthogonal."""
    model = plain("rnn")(task)
    orthogonal(model)
    return model


MODELS: dict[str, Callable[[Task], nn.Module]] = {
    "tanh RNN": plain("rnn"),
    "IRNN": identity,
    "LSTM, forget bias 1": keeping,
    "LSTM, forget bias 0": plain("lstm"),
    "orthogonal tanh RNN": rotating,
    "uRNN": lambda task: UnitaryRNN(task.inputs, UNITS, task.outputs),
}
UNCLIPPED = ("uRNN",)
"""The others have every gradient clipped at ±1, as in the paper."""


def norms(model: nn.Module, task: Task, seed: int) -> list[float]:
    """`log ‖∂C/∂h_t‖` for t = 1 … T, the mean over sequences."""
    x, target = next(task.evaluation(MEASURED, seed=seed))
    flow = bptt.measure(model, (x, 1), loss=lambda output: task.score.loss(output, target))
    assert len(flow.sites) == 1, flow.summary()
    return (MEASURED * flow[flow.sites[0]].grad_h).double().log().mean(1).tolist()


def trained(name: str, seed: int) -> dict[int, list[float]]:
    """The curve at the start, and after the updates."""
    task = adding(length=LENGTH)
    torch.manual_seed(seed)
    model = MODELS[name](task)
    optimizer = torch.optim.RMSprop(model.parameters(), lr=1e-3, alpha=0.9)
    curves = {0: norms(model, task, seed)}
    for n in range(UPDATES):
        x, target = task.batch(n, size=BATCH, seed=seed)
        optimizer.zero_grad()
        task.score.loss(model(x, 1), target).backward()
        if name not in UNCLIPPED:
            nn.utils.clip_grad_value_(model.parameters(), 1.0)
        optimizer.step()
    return curves | {UPDATES: norms(model, task, seed)}


def row(name: str) -> dict[str, Any]:
    """One model: its two curves as logarithms to base 10, and what they amount to."""
    runs = [trained(name, seed) for seed in range(SEEDS)]
    found: dict[str, Any] = {"model": name}
    for update in POINTS:
        logs = torch.tensor([run[update] for run in runs], dtype=torch.float64).mean(0)
        found[str(update)] = summary(logs)
    return found


def summary(logs: torch.Tensor) -> dict[str, Any]:
    """The slope by step towards the past, what of the last step's norm is left at the first, and the curve."""
    back = torch.arange(len(logs), dtype=torch.float64).flip(0)
    back -= back.mean()
    finite = bool(logs.isfinite().all())
    return {
        "factor": math.exp(float((back * logs).sum() / back.square().sum())) if finite else None,
        "left": math.exp(float(logs[0] - logs[-1])) if finite else None,
        "log10": [round(v / math.log(10), 4) if math.isfinite(v) else None for v in logs.tolist()],
    }


def picture(rows: list[dict[str, Any]]) -> None:
    """docs/pictures/figure4.svg: two panels, one axis."""
    with drawing(PICTURES / "figure4.svg", rows, 2, (9, 3.6)) as panels:
        for panel, update in zip(panels, POINTS, strict=True):
            for colour, each in zip(COLOURS, rows, strict=False):
                curve = [math.nan if v is None else 10**v for v in each[str(update)]["log10"]]
                panel.semilogy(range(1, 1 + len(curve)), curve, color=colour, label=each["model"])
            panel.set_title("at the start" if update == 0 else f"after {update} updates")
            panel.set_xlabel("step t")
        panels[0].set_ylabel("‖∂C/∂h_t‖")
        panels[0].legend(fontsize=8, loc="lower right")


def main() -> None:
    """Measure unless only the picture was asked for."""
    parser = argparse.ArgumentParser(description="gradient norms by step, Arjovsky et al.'s fig. 4")
    parser.add_argument("--picture", action="store_true", help="draw what is there")
    if not parser.parse_args().picture:
        torch.set_num_threads(1)
        rows = []
        for name in MODELS:
            rows.append(row(name))
            print(
                name, *({k: v for k, v in rows[-1][str(u)].items() if k != "log10"} for u in POINTS)
            )
        write("figure4", rows)
    picture(json.loads((RESULTS / "figure4.json").read_text(encoding="utf-8"))["rows"])


if __name__ == "__main__":
    main()
