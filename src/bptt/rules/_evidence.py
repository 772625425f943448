"""What rules read: numbers that the sentinels and the probes of one run left behind, and nothing else.

| part | from | how often |
|---|---|---|
| `Updates` | sentinels | one entry an update, every update |
| `Look` | a probe of one site | at milestones (updates 1, 3, 10, 30, …), and in between as the budget allows |
| `Weights` | sentinels | one a recurrent module's layer, summed over all updates |
| `Incident` | sentinels | the first non-finite value of a run |

A rule that looks at sites judges `Evidence.judged`: the looks at milestones, which a run has whatever its budget is.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from bptt.rules._updates import Updates as Updates

NAN = math.nan


@dataclass(frozen=True, eq=False)
class Look:
    """One probe of one site. T steps, B samples, K lags.

    Attributes:
        site: name of the site.
        update: number of the update that was probed, from 1.
        milestone: whether every run has a probe at this update.
        kind: `rnn_tanh`, `rnn_relu`, `gru`, `lstm`, `own`.
        steps: T; a loop over a cell counts its calls.
        batch: B.
        lags: the largest lag that was measured; 0 if none was.
        threshold: credit below it counts as not reached.
        horizon: the gradient horizon, None if credit was not measured.
        rate: slope of the log credit per step.
        unreached: share of the input steps that no loss term reaches.
        log_credit: `[lags + 1]` natural logarithm of the credit by lag; -inf where nothing is left.
        bearing: share of the counted steps at which loss enters (1 for a loss at every step, 1/T for the last).
        bearing_samples: share of the batch's samples at which loss enters at any step.
        cuts: calls of this update that received the state's values without its gradient.
        calls: calls of the module that were laid end to end or cut apart in this update.
        carried: the first call's state holds the values that an earlier update left: truncated backpropagation.
        zeros: share of the steps before the last loss-bearing one where the gradient is exactly zero.
        smallest: the smallest norm above zero of the gradient along the recurrence.
        precision: precision of the run: `float32`, `float16`, `bfloat16`, `float64`.
        largest: the largest norm of the gradient along the recurrence.
        saturated: share of the tanh states (of an LSTM: of tanh(c)) beyond ±0.99, over units, steps, samples; None
            without a tanh.
        saturated_units: share of units beyond ±0.99 at nine of ten steps and samples.
        shut: by gate (i, f, o; r, z), the share of units below 0.01 at nine of ten steps and samples.
        open: likewise above 0.99.
        extreme: by gate, the share of values beyond either end, over units, steps and samples.
        gate_means: mean of each gate.
        dead: share of ReLU units that are zero at every step of every sample; None without a ReLU.
        dead_units: their numbers.
        padding: share of the steps that look like padding: the same input vector at the ends of samples of different
            lengths.
        padding_loss: share of the direct gradient (sum of norms) that enters at such steps.
        lengths_known: the input was packed, or the lengths were told.
        loader_batches: batch sizes of the process's data loaders; a recurrence of that many *steps* is suspicious.
        loss_rows: rows of the loss's target, where known, and where a row does not hold the whole batch.
        shifted: where the targets are the inputs moved by one: the size of the axis along which they are, then the
            size of the other one.
        quiet: steps before these that the same module made without recording gradients.
        taker: the module that this one's state was handed to without its gradient, if it gets none on any way.
        behind: of the rows that follow the ends of packed sequences once they are padded, the share that gets a
            gradient of its own.
        reverse: whether the recurrence runs from the last step to the first.
    """

    site: str
    update: int
    milestone: bool
    kind: str
    steps: int
    batch: int
    lags: int = 0
    threshold: float = 1e-3
    horizon: int | None = None
    rate: float | None = None
    unreached: float | None = None
    log_credit: tuple[float, ...] = ()
    bearing: float | None = None
    bearing_samples: float | None = None
    cuts: int = 0
    calls: int = 1
    carried: bool = False
    zeros: float = 0.0
    smallest: float = NAN
    largest: float = NAN
    precision: str = "float32"
    saturated: float | None = None
    saturated_units: float | None = None
    shut: dict[str, float] = field(default_factory=dict)
    open: dict[str, float] = field(default_factory=dict)
    extreme: dict[str, float] = field(default_factory=dict)
    gate_means: dict[str, float] = field(default_factory=dict)
    dead: float | None = None
    dead_units: frozenset[int] = frozenset()
    padding: float = 0.0
    padding_loss: float = 0.0
    lengths_known: bool = False
    loader_batches: frozenset[int] = frozenset()
    loss_rows: int | None = None
    shifted: tuple[int, int] | None = None
    quiet: int = 0
    taker: str = ""
    behind: float = 0.0
    reverse: bool = False

    @property
    def growth(self) -> float:
        """The largest credit at any lag, as a natural logarithm: 0 where nothing grows."""
        return max((c for c in self.log_credit if not math.isnan(c)), default=0.0)


@dataclass(eq=False)
class Weights:
    """The recurrent weights of one module (all layers), over the whole run.

    Attributes:
        site: name of the module's first site.
        trains: `requires_grad` of its `weight_hh`.
        owned: an optimizer that stepped owns its `weight_hh` (True in a loop by hand if they changed).
        steps: updates in which its module was called and its owner, or any optimizer, stepped.
        with_grad: updates with a gradient above zero on `weight_hh`.
        moved: updates in which `weight_hh` changed.
        other_moved: updates in which any other weight of the run changed.
        eval_only: it was only ever called without gradient recording (an encoder that is frozen on purpose).
    """

    site: str
    trains: bool = True
    owned: bool = False
    steps: int = 0
    with_grad: int = 0
    moved: int = 0
    other_moved: int = 0
    eval_only: bool = False


@dataclass(frozen=True)
class Incident:
    """The first non-finite value.

    Attributes:
        where: `input` (the data), `forward` (a state, a gate or the loss), `backward` (a gradient).
        update: number of the update.
        site: name of the site, or `loss` or `weights` if it is none.
        what: `nan`, `inf`, or both.
        step, sample, unit: where the first one is, None if not known.
        gate: the gate or part of the cell (`i`, `f`, `g`, `o`, `r`, `z`, `n`, `h`, `c`), None if not known.
        share: share of that site's values that are not finite at that step.
        size: the largest finite state (forward) or gradient (backward) before it.
        kept: file in the run folder that `bptt replay` reads, None without a run folder.
        outside: the values that came into the site were not finite already: the cause lies elsewhere.
    """

    where: Literal["input", "forward", "backward"]
    update: int
    site: str
    what: str = "nan"
    step: int | None = None
    sample: int | None = None
    unit: int | None = None
    gate: str | None = None
    share: float | None = None
    size: float | None = None
    kept: str | None = None
    outside: bool = False


@dataclass(eq=False)
class Evidence:
    """All that is known of a run.

    Attributes:
        looks: by site, in the order of updates.
        updates: one entry an update.
        weights: by module.
        incident: the first non-finite value, None if there was none.
        lag: the lag that the user says the task needs, in steps.
        finished: whether the run is over.
        single: one batch before training (`bptt.diagnose`): there are no updates.

    Example:
        >>> evidence = Evidence({"l0": [Look("l0", 1, True, "gru", 50, 4, lags=49, horizon=13)]})
        >>> [look.horizon for look in evidence.judged("l0")]
        [13]
    """

    looks: dict[str, list[Look]] = field(default_factory=dict)
    updates: Updates = field(default_factory=Updates)
    weights: dict[str, Weights] = field(default_factory=dict)
    incident: Incident | None = None
    lag: int | None = None
    finished: bool = False
    single: bool = False

    @property
    def sites(self) -> list[str]:
        """Names of the sites that were measured."""
        return list(self.looks)

    def judged(self, site: str) -> list[Look]:
        """The looks at milestones: the same whatever the budget."""
        return [look for look in self.looks.get(site, ()) if look.milestone]

    def each(self) -> Iterator[tuple[str, list[Look]]]:
        """Every site that has a look at a milestone, with those looks."""
        for site in self.looks:
            if judged := self.judged(site):
                yield site, judged
