"""`prescribe`: every fitting remedy tried on a copy of the model, on the user's batch, and ranked by what it does."""

import copy
import inspect
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from bptt._errors import BpttError
from bptt.doctor._diagnose import Diagnosis, diagnose
from bptt.doctor._prescription import Prescription, for_finding
from bptt.flow import Flow, measure
from bptt.flow._probe import _call
from bptt.remedies import Change, Remedy, RemedyError, Target
from bptt.remedies import table as remedies
from bptt.rules import Finding

Loss = Callable[[Any], Tensor]
EXPLODES = math.log(1e3)
"""Log growth of the credit from which on a reach is worth nothing: EG201's threshold."""
AT_ONCE = ("initialisation", "structure")
"""Kinds of remedies that the first gradient shows."""
IN_TIME = ("clipping", "regularisers")
"""Kinds that show in the loss after some updates."""


@dataclass(frozen=True, eq=False)
class Trial:
    """One remedy on a copy.

    Attributes:
        prescription: the remedy with its arguments; None for the model as it is.
        horizon, lags: of the site that reaches least, by share of its lags.
        rate: of that site, per step.
        growth: natural logarithm of the largest credit at any site.
        loss: on the batch, after the updates that were asked for; None without.
        said: what it did.
        refused: why it could not be tried; `""` if it was.
    """

    prescription: Prescription | None
    horizon: int | None = None
    lags: int = 0
    rate: float | None = None
    growth: float = 0.0
    loss: float | None = None
    said: tuple[str, ...] = ()
    refused: str = ""

    @property
    def name(self) -> str:
        """The remedy as it would be called."""
        return "as it is" if self.prescription is None else str(self.prescription)

    def apply(self, model: nn.Module, optimizer: Optimizer | None = None) -> Change:
        """Apply it to the model itself; prints the lines that make it permanent.

        Raises:
            RemedyError: it does not fit, or this is the model as it is.
        """
        if self.prescription is None:
            raise RemedyError("this row is the model as it is: there is nothing to apply")
        return self.prescription.apply(model, optimizer)


@dataclass(frozen=True, eq=False)
class Prescribed:
    """What was tried, the best first.

    Attributes:
        rows: the trials that went through, ranked; one of them is the model as it is.
        refused: those that did not, with the reason.
        diagnosis: what the rules said before; None if nothing could be measured.
        need: the lag that counts as far enough.
    """

    rows: tuple[Trial, ...]
    refused: tuple[Trial, ...]
    diagnosis: Diagnosis | None
    need: int

    @property
    def best(self) -> Trial | None:
        """The first row, None if nothing is better than the model as it is."""
        return self.rows[0] if self.rows and self.rows[0].prescription is not None else None

    def __str__(self) -> str:
        head = ("remedy", "reaches", "per step", "loss")
        asked = any(row.loss is not None for row in self.rows)
        cells = [head, *(_cells(row) for row in self.rows)]
        shown = range(4 if asked else 3)
        widths = [max(len(row[n]) for row in cells) for n in shown]
        lines = ["  ".join(row[n].ljust(widths[n]) for n in shown).rstrip() for row in cells]
        return "\n".join(lines)

    def __rich__(self) -> Any:
        from rich.table import Table

        table = Table("remedy", "reaches", "per step", "loss", box=None)
        for row in self.rows:
            table.add_row(*_cells(row), style="bold" if row is self.best else "")
        return table


def _cells(row: Trial) -> tuple[str, str, str, str]:
    reach = "?" if row.horizon is None else f"{row.horizon + 1} of {row.lags + 1} steps"
    if row.horizon is not None and row.horizon >= row.lags:
        reach = f"all {row.lags + 1} steps"
    rate = "?" if row.rate is None else f"×{math.exp(min(row.rate, 99.0)):.3g}"
    loss = "" if row.loss is None else f"{row.loss:.4g}"
    return row.name, reach, rate, loss


def prescribe(
    model: nn.Module,
    x: Any,
    *,
    loss: Loss,
    optimizer: Optimizer | None = None,
    lag: int | None = None,
    updates: int = 0,
    threshold: float = 1e-3,
    only: Sequence[str] = (),
) -> Prescribed:
    """Try every fitting remedy on a copy of the model and rank them by the same measurement that `diagnose` makes.

    A trial is better if its worst site reaches a larger share of the lag that is needed; among those within a tenth of
    each other, if the loss after `updates` updates is smaller, where that was asked for; then, if its credit stays
    nearer to 1 from step to step. What makes the credit grow a thousandfold comes last. Repairs of the loop are tried
    where a finding names them, clipping and regularisers where updates are asked for. The model, its gradients, the
    optimizer and torch's random numbers are afterwards what they were.

    Args:
        model: as for `bptt.measure`; likewise `x` and `loss`.
        optimizer: its copy trains the copies; without one, Adam at 0.001.
        lag: steps back that the task needs; all of them if None.
        updates: how many to train each copy on the batch; 0 to look at the first gradient only.
        threshold: credit below it counts as not reached.
        only: names of remedies to try; all that fit if empty.

    Raises:
        BpttError: a negative number of updates, a lag below 1, an unknown remedy.
        NoRecurrenceError: the model called no recurrent module; likewise NoGradientError.

    Example:
        >>> _ = torch.manual_seed(0)
        >>> model, x = nn.LSTM(4, 16), torch.randn(100, 2, 4)
        >>> found = prescribe(model, x, loss=lambda out: out[0][-1].sum(), only=["chrono", "forget_bias"])
        >>> found.best.prescription.remedy
        'forget_bias'
    """
    if updates < 0 or updates != int(updates):
        raise BpttError(f"updates is {updates}, expected a whole number, 0 or more")
    for name in only:
        if name not in remedies():
            raise RemedyError(f"there is no remedy {name!r}; there are {', '.join(remedies())}")
    diagnosis = diagnose(model, x, loss=loss, lag=lag, threshold=threshold)
    bench = _Bench(model, x, loss, optimizer, updates, threshold)
    as_it_is = bench.trial(None, diagnosis.flow)
    need = lag or max((site.lags for site in diagnosis.flow), default=1)
    trials = [
        bench.attempt(each)
        for each in _candidates(model, optimizer, diagnosis.findings, need, updates)
        if not only or each.remedy in only
    ]
    done = [as_it_is, *(each for each in trials if not each.refused)]
    ranked = sorted(done, key=lambda each: rank(each, need), reverse=True)
    return Prescribed(tuple(ranked), tuple(t for t in trials if t.refused), diagnosis, need)


def rank(trial: Trial, need: int) -> tuple[float, ...]:
    """Larger is better: sane, share of the need that is reached, smaller loss, credit nearer to 1 a step, less done."""
    sane = trial.growth < EXPLODES and (trial.loss is None or math.isfinite(trial.loss))
    least = min(need, trial.lags) or 1
    share = 0.0 if trial.horizon is None else min(trial.horizon, least) / least
    loss = 0.0 if trial.loss is None else -trial.loss
    rate = -abs(trial.rate) if trial.rate is not None else -math.inf
    return (float(sane), round(share, 1), loss, round(rate, 3), float(trial.prescription is None))


class _Bench:
    """Copies of the model, each tried with one remedy."""

    def __init__(
        self,
        model: nn.Module,
        x: Any,
        loss: Loss,
        optimizer: Optimizer | None,
        updates: int,
        threshold: float,
    ) -> None:
        self.model, self.x, self.loss, self.optimizer = model, x, loss, optimizer
        self.updates, self.threshold = updates, threshold

    def attempt(self, prescription: Prescription) -> Trial:
        """A trial, or why there is none."""
        try:
            return self.trial(prescription)
        except Exception as error:
            # The model's own code may raise anything once shapes or kinds have changed; the reason is the row.
            return Trial(prescription, refused=f"{type(error).__name__}: {error}".splitlines()[0])

    def trial(self, prescription: Prescription | None, flow: Flow | None = None) -> Trial:
        """Copy, apply, measure, train, measure the loss."""
        with torch.random.fork_rng(), torch.enable_grad():
            model, optimizer = copied(self.model, self.optimizer)
            change = None
            if prescription is not None:
                change = prescription.apply(model, optimizer, say=None)
            try:
                if flow is None:
                    flow = measure(model, self.x, loss=self.loss, threshold=self.threshold)
                value = self._train(model, optimizer) if self.updates else None
                said = () if change is None else tuple(change.said)
            finally:
                if change is not None:
                    change.undo()  # some of what a remedy does reaches beyond the copy
        return summary(prescription, flow, value, said)

    def _train(self, model: nn.Module, optimizer: Optimizer | None) -> float:
        if optimizer is None:
            optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
        for _ in range(self.updates):
            optimizer.zero_grad()
            self.loss(_call(model, self.x)).backward()
            optimizer.step()
        with torch.no_grad():
            return float(self.loss(_call(model, self.x)))


def copied(model: nn.Module, optimizer: Optimizer | None) -> tuple[nn.Module, Optimizer | None]:
    """Both as one copy, so that the copied optimizer owns the copied parameters."""
    return copy.deepcopy((model, optimizer))


def summary(
    prescription: Prescription | None,
    flow: Flow,
    loss: float | None = None,
    said: tuple[str, ...] = (),
) -> Trial:
    """A flow as a row: its worst site, and the largest growth of any."""
    sites = [site for site in flow if site.horizon is not None and site.lags]
    if not sites:
        return Trial(prescription, loss=loss, said=said)
    worst = min(sites, key=lambda site: (site.horizon or 0) / site.lags)
    growth = max(
        float(site.log_credit.nan_to_num(-math.inf).max())
        for site in sites
        if site.log_credit is not None
    )
    return Trial(prescription, worst.horizon, worst.lags, worst.rate, growth, loss, said)


def _candidates(
    model: nn.Module,
    optimizer: Optimizer | None,
    findings: Sequence[Finding],
    need: int,
    updates: int,
) -> list[Prescription]:
    """What the findings name, then every other remedy that fits and whose effect this measurement can show."""
    named = [each for finding in findings for each in for_finding(finding)]
    facts: dict[str, Any] = {"lag": max(need, 2), "steps": need + 1}
    if optimizer is not None and "lr" in optimizer.param_groups[0]:
        facts["lr"] = float(optimizer.param_groups[0]["lr"]) / 10
    target = Target(model, () if optimizer is None else (optimizer,), facts=facts)
    found: dict[str, Prescription] = {}
    for each in named:
        args = complete(each.row, each.args, facts)
        if args is not None:
            found.setdefault(each.remedy, Prescription(each.remedy, args))
    for name, row in remedies().items():
        shows = row.kind in AT_ONCE or bool(updates and row.kind in IN_TIME)
        args = complete(row, {}, facts)
        if name not in found and shows and args is not None:
            found[name] = Prescription(name, args)
    return [each for each in found.values() if not each.row.fits(target)]


def complete(row: Remedy, args: dict[str, Any], facts: dict[str, Any]) -> dict[str, Any] | None:
    """The arguments, with those that have to be there taken from what is known; None if one is not known."""
    named = inspect.signature(row.function).parameters
    whole = dict(args)
    for name in row.arguments:
        if named[name].default is inspect.Parameter.empty and name not in whole:
            if name not in facts:
                return None
            whole[name] = facts[name]
    return whole
