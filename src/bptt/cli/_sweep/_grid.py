"""The points of a sweep, and what is done at each: a measurement of reach, or a training on a task."""

import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

import bptt
from bptt._errors import BpttError
from bptt.cli._task import _variant, parsed
from bptt.remedies import spectral_radius
from bptt.tasks import CELLS, TaskError, entry, train

INPUTS, BATCH = 8, 16
NONE = "none"
"""The remedy that is none: weights as torch draws them."""

_AND = re.compile(r"\+(?![^(]*\))")
"""A plus sign outside parentheses."""


@dataclass(frozen=True)
class Point:
    """One cell of the grid.

    Attributes:
        cell: a name of `bptt.tasks.CELLS`.
        remedy: `none`, `chrono`, or several as `orthogonal+forget_bias(value=1)`.
        seed: of weights and data.
        hidden: units H, None for the task's own.
        radius: spectral radius that every recurrent matrix is scaled to, None to leave it.
        lags: steps back at which credit is read; empty where a task is trained.
        task: its name, None where reach is measured.
        length: of the task, as `--length` of `bptt task`.
        updates: after how many to give up, None for the task's own.
    """

    cell: str
    remedy: str = NONE
    seed: int = 0
    hidden: int | None = None
    radius: float | None = None
    lags: tuple[int, ...] = ()
    task: str | None = None
    length: str | None = None
    updates: int | None = None

    @property
    def key(self) -> str:
        """Its own name in a file of results: what was said, in one order."""
        told = {name: value for name, value in vars(self).items() if value not in (None, ())}
        return json.dumps(told, sort_keys=True)

    def __str__(self) -> str:
        words = [self.task or "reach", self.cell, self.remedy]
        words += [] if self.radius is None else [f"radius {self.radius:g}"]
        return f"{' · '.join(words)} · seed {self.seed}"


def steps_of(remedy: str) -> Iterator[tuple[Any, dict[str, Any]]]:
    """The remedies of a point, in turn, with their arguments.

    Raises:
        BpttError: there is no such remedy, or its arguments cannot be read.

    Example:
        >>> [(row.name, args) for row, args in steps_of("orthogonal+forget_bias(value=1)")]
        [('orthogonal', {}), ('forget_bias', {'value': 1})]
    """
    for word in _AND.split(remedy):
        if word != NONE:
            yield parsed(word)


def apply(point: Point, model: nn.Module, optimizer: Any, lag: int) -> None:
    """The point's remedies; lag and seed where they take one and were not told; then the radius."""
    for row, args in steps_of(point.remedy):
        known = {"lag": lag, "seed": point.seed}
        row.apply(model, optimizer, **({k: known[k] for k in known if k in row.arguments} | args))
    if point.radius is not None:
        spectral_radius(model, radius=point.radius)


def evaluated(point: Point) -> dict[str, Any]:
    """What comes of a point, for a line of JSON. The same on every engine: one thread, generators of its own.

    A point that makes no sense, such as chrono on a simple RNN, has `refused` with the reason, and is finished too.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.random.fork_rng(devices=[]):
            return trained(point) if point.task else measured(point)
    except BpttError as refused:
        return {"refused": str(refused)}
    finally:
        torch.set_num_threads(threads)


def measured(point: Point) -> dict[str, Any]:
    """Reach of a fresh layer: inputs N(0, 1), a random linear loss of the last state, float64; `T = largest lag + 1`.

    `log10_left` is the logarithm of the credit curve at each lag: of the share of a gradient that is still there.
    Where a state overflowed on its way, `horizon` is None. No training, a second a point.
    """
    T = max(point.lags) + 1
    torch.manual_seed(point.seed)
    layer = CELLS[point.cell](INPUTS, point.hidden or 64).double()
    apply(point, layer, None, max(point.lags))
    x = torch.randn(T, BATCH, INPUTS, dtype=torch.float64)
    reader = torch.randn(layer.hidden_size, dtype=torch.float64)
    finite: list[Tensor] = []

    def loss(out: tuple[Tensor, Any]) -> Tensor:
        finite.append(out[0].isfinite().all())
        return (out[0][-1] @ reader).mean()

    flow = bptt.measure(layer, x, loss=loss)
    if not finite[0]:
        return {"horizon": None, "rate": None, "log10_left": [None] * len(point.lags)}
    site = flow["l0"]
    if site.log_credit is None:
        raise BpttError(f"no credit was measured: {'; '.join(map(str, flow.notes))}")
    logs = [float(site.log_credit[lag]) / math.log(10) for lag in point.lags]
    return {
        "horizon": site.horizon,
        "rate": site.rate,
        # The infinite logarithm of a gradient that became exactly 0 is no JSON.
        "log10_left": [round(v, 6) if math.isfinite(v) else None for v in logs],
    }


def trained(point: Point) -> dict[str, Any]:
    """A training on the point's task, as `bptt task` does it at its small size."""
    if point.task is None:
        raise TaskError("a point without a task cannot be trained; expected the name of one")
    row = entry(point.task)
    variant = _variant(row, point.length, point.cell, point.updates, paper=False)
    if point.hidden is not None:
        variant = replace(variant, hidden=point.hidden)
    task = row.make(**variant.task)
    run = train(
        task,
        variant,
        seed=point.seed,
        remedy=lambda model, optimizer: apply(point, model, optimizer, task.lag),
    )
    found = run.to_dict()
    last = found["curve"][-1] if found["curve"] else None
    return {
        "solved": found["solved"],
        "diverged": found["diverged"],
        "updates": last[0] if last else None,
        "loss": last[2] if last else None,
        "errors": last[3] if last else None,
        "chance": found["chance"],
        "seconds": found["seconds"],
    }
