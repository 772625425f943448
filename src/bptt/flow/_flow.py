"""What was measured: `Site`, one layer and direction of one recurrent module, and `Flow`, all of them."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from bptt._errors import BpttError
from bptt.flow.explain._attribution import Attribution, attribution
from bptt.flow.explain._theory import Theory
from bptt.flow.walk._statistics import Statistics


@dataclass(frozen=True)
class Note:
    """Something that could not be measured, or only in part, and why."""

    subject: str
    reason: str

    def __str__(self) -> str:
        return f"{self.subject}: {self.reason}"


@dataclass(eq=False)
class Site:
    """The gradient flow through one site. T steps, B samples; steps of the input's own time.

    Several calls in one update (micro-batches, a module used twice) stand side by side as samples; calls that hand
    their state on (a loop over a cell) stand end to end as steps. Past a sample's end all norms are 0.

    Attributes:
        name: as in the state dict, `encoder.rnn.l0_reverse`.
        kind: the cell, or `"own"` for a cell of the user's.
        lengths: `[B]` steps of each sample.
        grad_h: `[T, B]` norms of the total gradient `dL/dh_t`.
        grad_c: the same of `dL/dc_t` for an LSTM, else None.
        grad_state: `[T, B]` norms of the costate, the gradient handed from step to step.
        grad_direct: `[T, B]` norms of the part of `dL/dh_t` that enters at step t from above; None if not known.
        log_credit: `[T]` natural logarithm of the credit curve; NaN at lags that no anchor measures; None if unknown.
        unreached: share of input steps that no loss term reaches with credit at or above the threshold.
        reverse: whether the recurrence runs from the last step to the first.
        cuts: calls that received a state without its gradient (a detach).
        dh: `[T, B, H]` the total gradient itself, only with `keep="full"`; `dc` likewise.
        log_factors: `[F, T-1]` what `attribution` names.
        w_hh: the recurrent weights, only of cells without gates.
        statistics: of states and gates; not kept in files.
    """

    name: str
    kind: str
    lengths: Tensor
    grad_h: Tensor
    grad_c: Tensor | None
    grad_state: Tensor
    grad_direct: Tensor | None
    log_credit: Tensor | None
    unreached: float | None
    threshold: float = 1e-3
    reverse: bool = False
    cuts: int = 0
    dh: Tensor | None = None
    dc: Tensor | None = None
    log_factors: Tensor | None = None
    w_hh: Tensor | None = None
    statistics: Statistics | None = None

    @property
    def attribution(self) -> Attribution | None:
        """The split of each step's gain into weights, slope and gates; None for a cell of the user's own."""
        return None if self.log_factors is None else attribution(self.kind, self.log_factors)

    @property
    def theory(self) -> Theory | None:
        """What the eigenvalues and singular values of `W_hh` say about the credit curve; None for gated cells."""
        return None if self.w_hh is None else Theory.of(self.w_hh, self.steps)

    @property
    def steps(self) -> int:
        """T, the longest sample's number of steps."""
        return len(self.grad_h)

    @property
    def batch(self) -> int:
        """B, the number of samples."""
        return self.grad_h.shape[1]

    @property
    def credit(self) -> Tensor | None:
        """`[T]` the credit curve by lag; `credit[0]` is 1."""
        return None if self.log_credit is None else self.log_credit.exp()

    @property
    def lags(self) -> int:
        """The largest lag that was measured."""
        if self.log_credit is None:
            return 0
        return max(int((~self.log_credit.isnan()).sum()) - 1, 0)

    @property
    def horizon(self) -> int | None:
        """The gradient horizon at the flow's threshold; None if the credit was not measured."""
        return self.horizon_at(self.threshold)

    def horizon_at(self, threshold: float) -> int | None:
        """The largest lag up to which the credit stays at or above `threshold`.

        Args:
            threshold: what is left of the gradient, above 0 and at most 1.
        """
        if not 0 < threshold <= 1:
            raise BpttError(f"threshold={threshold}: expected a number above 0 and at most 1")
        if self.log_credit is None or self.log_credit[0].isnan():
            return None
        measured = self.log_credit[: self.lags + 1]
        # A credit of exactly the threshold counts as above it; the logarithm's rounding must not decide.
        below = (measured < math.log(threshold) - 1e-12).nonzero()
        return int(below[0]) - 1 if len(below) else self.lags

    @property
    def rate(self) -> float | None:
        """Least-squares slope of the log credit curve, per step: below 0 vanishing, above 0 exploding."""
        if self.log_credit is None:
            return None
        measured = self.log_credit[: self.lags + 1]
        infinite = measured.isinf().nonzero()
        measured = measured[: int(infinite[0])] if len(infinite) else measured
        if len(measured) < 2:
            return None
        lag = torch.arange(len(measured), dtype=torch.float64)
        lag -= lag.mean()
        return float((lag * measured).sum() / (lag * lag).sum())

    def discarded(self, length: int) -> float | None:
        """Share of the credit curve's mass at lags of `length` and more, which truncated BPTT throws away.

        Args:
            length: K, the number of steps that the gradient is let through, at least 1.

        Returns:
            Between 0 and 1; None if the credit was not measured, or overflowed, where no share can be taken.
        """
        if not isinstance(length, int) or length < 1:
            raise BpttError(
                f"length={length}: expected a truncation length, a whole number of steps of at least 1"
            )
        if self.log_credit is None or self.log_credit[0].isnan():
            return None
        measured = self.log_credit[: self.lags + 1]
        if measured.max() == math.inf:
            return None
        mass = (measured - measured.max()).exp()
        return float(mass[length:].sum() / mass.sum())

    def plot(self, ax: Any = None, *, what: str = "credit") -> Any:
        """Draw this site; see `Flow.plot`.

        Example:
            >>> import bptt
            >>> from matplotlib.figure import Figure
            >>> net, x = torch.nn.GRU(2, 8), torch.randn(20, 1, 2)
            >>> site = bptt.measure(net, x, loss=lambda y: y[0][-1].sum())["l0"]
            >>> site.plot(Figure().add_subplot(), what="gradient").get_xlabel()
            'step t'
        """
        from bptt.flow.picture._sites import plot

        return plot([self], what, ax)

    def _repr_html_(self) -> str:
        from bptt.flow.picture._page import of_flow

        return of_flow(Flow({self.name: self}, threshold=self.threshold))

    def reach(self) -> str:
        """The horizon in words: `"11 of 784 steps"`, `"all 784 steps"`."""
        horizon = self.horizon
        if horizon is None:
            return "not measured"
        if self.steps == 1:
            return "1 step only"
        if self.lags == 0:
            return f"0 steps: the loss enters at the first of {self.steps}"
        before = f"{self.lags + 1} steps"
        reached = f"all {before}" if horizon == self.lags else f"{horizon} of {before}"
        return (
            reached
            if self.lags + 1 == self.steps
            else f"{reached} up to the last loss, of {self.steps}"
        )


@dataclass(eq=False)
class Flow:
    """The gradient flow of one update: its sites, and notes on what could not be measured."""

    by_name: dict[str, Site] = field(default_factory=dict)
    notes: list[Note] = field(default_factory=list)
    threshold: float = 1e-3

    @property
    def sites(self) -> list[str]:
        """Names of the sites, in the model's order."""
        return list(self.by_name)

    def __getitem__(self, name: str) -> Site:
        if name not in self.by_name:
            raise BpttError(f"no site {name!r}; the sites are {', '.join(self.sites) or 'none'}")
        return self.by_name[name]

    def __iter__(self) -> Iterator[Site]:
        return iter(self.by_name.values())

    def __len__(self) -> int:
        return len(self.by_name)

    def __repr__(self) -> str:
        inside = ", ".join(f"{site.name}: {site.reach()}" for site in self)
        return f"Flow({inside or 'nothing measured'})"

    def plot(self, ax: Any = None, *, what: str = "credit", site: str | None = None) -> Any:
        """Draw the sites into one picture, by matplotlib.

        | `what` | shows |
        |---|---|
        | `credit` | the credit curve by lag, a mark at the horizon, the threshold as a dotted line |
        | `gradient` | norms of `dL/dh_t`, of `dL/dc_t` and of the direct gradient by step, means over samples |
        | `attribution` | what weights, slope and gates add to the log gain of each step; of one site |

        Args:
            ax: the axes to draw on; None makes new ones with `pyplot`. A second flow on the same axes goes beside the
                first, in other hues, dashes and marks.
            what: the picture.
            site: the name of one site; None draws all.

        Returns:
            The axes.

        Raises:
            BpttError: matplotlib is not installed, no such picture or site, or nothing was measured that it could show.

        Example:
            >>> import bptt
            >>> from matplotlib.figure import Figure
            >>> net, x = torch.nn.GRU(2, 8), torch.randn(20, 1, 2)
            >>> flow = bptt.measure(net, x, loss=lambda y: y[0][-1].sum())
            >>> axes = flow.plot(Figure().add_subplot())
            >>> len(axes.get_lines()[0].get_ydata()), axes.get_yscale()
            (20, 'log')
        """
        from bptt.flow.picture._sites import plot

        return plot(list(self) if site is None else [self[site]], what, ax)

    def _repr_html_(self) -> str:
        from bptt.flow.picture._page import of_flow

        return of_flow(self)

    def summary(self) -> str:
        """One line a site, in plain text, and the notes."""
        from bptt.flow._text import summary

        return summary(self)

    def digest(self) -> dict[str, Any]:
        """The main numbers as a small JSON-able dictionary; a credit curve is thinned to at most 64 lags."""
        from bptt.flow._text import digest

        return digest(self)

    def to_dict(self) -> dict[str, Any]:
        """Everything as JSON-able numbers, lists and strings; `save` writes it, `bptt.load_flow` reads it back."""
        from bptt.flow._files import to_dict

        return to_dict(self)

    def save(self, path: Any) -> None:
        """Write the flow to a JSON file, whole or not at all; `bptt.load_flow` reads it."""
        from bptt.flow._files import save

        save(self, path)
