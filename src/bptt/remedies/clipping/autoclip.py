"""AutoClip: the threshold is a percentile of the norms seen so far."""

from bisect import bisect_left, insort
from collections import deque
from collections.abc import Iterable
from typing import Any, ClassVar

import torch
from torch import nn
from torch.optim import Optimizer

from bptt.remedies._change import Change
from bptt.remedies._target import RemedyError
from bptt.remedies.clipping._install import fits_gradients as fits
from bptt.remedies.clipping._install import install
from bptt.remedies.clipping._method import Clipped, Method, by_norm

CURES = ("EG202", "EG203")

__all__ = ["CURES", "AutoClip", "autoclip", "fits"]


class AutoClip(Method):
    """Clips ‖g‖ at the `percentile`-th percentile of all norms seen, the present one among them; for a `Clipper`.

    Percentiles between two norms are interpolated linearly, as numpy has them. The norms are kept in order, so that an
    update costs a search and not a sort. With `window`, only the last so many count.

    >>> method = AutoClip(percentile=50)
    >>> [method.limit(norm) for norm in (4.0, 2.0, 9.0)]
    [4.0, 3.0, 4.0]
    """

    name: ClassVar[str] = "autoclip"
    whole: ClassVar[bool] = True

    def __init__(self, percentile: int | float = 10.0, window: int | None = None) -> None:
        if isinstance(percentile, bool) or not 0 < percentile <= 100:
            raise RemedyError(f"percentile is {percentile!r}, expected above 0, and 100 at most")
        if window is not None and not window >= 1:
            raise RemedyError(
                f"window is {window!r}, expected a number of updates, or None for all"
            )
        self.percentile, self.window = percentile, window
        self._set(())

    def __repr__(self) -> str:
        return f"AutoClip(percentile={self.percentile:g}, window={self.window})"

    def options(self) -> dict[str, Any]:
        """`percentile` and `window`."""
        return {"percentile": self.percentile, "window": self.window}

    def clip(self, held: list[Any], scale: float) -> Clipped:
        """At the percentile."""
        return by_norm(held, scale, self.limit)

    def limit(self, norm: float) -> float:
        """The threshold for an update of this norm, which enters the history first."""
        self.observe(norm)
        place = self.percentile / 100 * (len(self._sorted) - 1)
        low = int(place)
        if low + 1 >= len(self._sorted):
            return self._sorted[-1] if self._sorted else norm
        return self._sorted[low] + (place - low) * (self._sorted[low + 1] - self._sorted[low])

    def observe(self, norm: float) -> None:
        """Take a norm into the history. One of 0 says nothing of a scale, and would freeze all that follow."""
        if not norm > 0:
            return
        if self._history.maxlen == len(self._history):
            del self._sorted[bisect_left(self._sorted, self._history[0])]
        self._history.append(norm)
        insort(self._sorted, norm)

    def state(self) -> dict[str, Any]:
        """All norms, the oldest first."""
        return {"history": torch.tensor(list(self._history), dtype=torch.float64)}

    def load(self, state: dict[str, Any]) -> None:
        """Take the norms up again."""
        self._set(state["history"].tolist())

    def _set(self, norms: Iterable[float]) -> None:
        self._history = deque(norms, maxlen=self.window)
        self._sorted = sorted(self._history)


def autoclip(
    model: nn.Module,
    *,
    optimizer: Optimizer | None = None,
    site: str = "",
    percentile: int | float = 10.0,
    window: int | None = None,
    replace: bool = True,
) -> Change:
    """Clip each update's gradient at a percentile of the norms seen so far: a threshold that finds itself.

    `g ← g · min(1, η / ‖g‖)`, `η` the `percentile`-th percentile of `‖g_1‖ … ‖g_t‖`. A low one, as published, makes
    most steps equally long and follows training as norms fall; a high one cuts spikes alone.

    Args:
        model: its gradients are clipped inside each optimizer's step; the model itself is not changed.
        optimizer: the one that trains it; None for whichever will.
        site: for the record: all parameters count.
        percentile: above 0, 100 at most.
        window: how many of the last updates count; None for all.
        replace: put the script's own clipping of these parameters aside.

    Raises:
        RemedyError: a percentile or window out of its range, an optimizer of another model, a clipper of the whole
            gradient already at work; nothing was changed.

    Example:
        >>> model = nn.Linear(2, 2)
        >>> change = autoclip(model, percentile=50)
        >>> print(change)
        the gradient's norm is clipped at percentile 50 of those seen so far
        the script's own clip_grad_norm_ and clip_grad_value_ on these parameters are put aside
        >>> change.undo()

    Source: Seetharaman, Wichern, Pardo & Le Roux (2020), arXiv 2007.14469.
    """
    rest = f", window={window}" if window is not None else ""
    return install(
        AutoClip(percentile, window),
        model,
        optimizer,
        replace=replace,
        said=f"the gradient's norm is clipped at percentile {percentile:g} of those seen so far",
        lines=(
            "from bptt.remedies import AutoClip, Clipper",
            f"Clipper(AutoClip(percentile={percentile:g}{rest})).attach(optimizer)",
        ),
    )
