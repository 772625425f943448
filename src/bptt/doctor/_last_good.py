"""The last good state of a run: weights, optimizer states and random numbers, kept in memory to go back to.

Two snapshots are kept: the one before the first update, and the last that was taken while the loss was sane. A snapshot
costs one copy of the weights and of the optimizer's tensors; how many updates lie between two is chosen so that copying
takes a hundredth of the time.
"""

import math
import random
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import median
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from bptt.doctor._gauge import can_train

SHARE = 0.01
"""Of the run's time, for copying."""
SANE = 10.0
"""Times the loss of the first updates, beyond which a state is not kept."""
LOST = 100.0
"""Times that loss, beyond which a run counts as lost if it stays there."""
STAYS = 3
"""Updates that make staying there."""


@dataclass(eq=False)
class Snapshot:
    """One state. `update`: the number of updates that lay behind it."""

    update: int
    weights: list[tuple[Tensor, Tensor]]
    states: list[tuple[Optimizer, dict[Tensor, dict[str, Any]]]]
    streams: dict[str, Any]


class LastGood:
    """Takes snapshots as a run goes on, judges by its losses whether it is lost, and goes back.

    Example:
        >>> weight = torch.nn.Parameter(torch.ones(2))
        >>> optimizer = torch.optim.SGD([weight], lr=1.0)
        >>> kept = LastGood()
        >>> kept.before(optimizer, 1, loss=1.0)
        >>> weight.data.fill_(torch.nan)
        tensor([nan, nan])
        >>> kept.back(), weight.tolist()
        (0, [1.0, 1.0])
    """

    def __init__(self, share: float = SHARE) -> None:
        self.share = share
        self.first: Snapshot | None = None
        self.last: Snapshot | None = None
        self.losses: list[float] = []
        self.seconds = 0.0
        self._began = time.perf_counter()
        self._optimizers: list[Optimizer] = []

    def before(self, optimizer: Optimizer, update: int, loss: float) -> None:
        """An update is about to be made; `loss` is its own, nan if it is not known."""
        if all(each is not optimizer for each in self._optimizers):
            self._optimizers.append(optimizer)
            self.first = taken(self._optimizers, update - 1)
        self.losses.append(loss)
        if update > 1 and self._affords() and self._sane(loss):
            self.last = self._timed(update - 1)

    def renew(self, update: int) -> None:
        """The weights have been begun anew: what lies before is no state to go back to."""
        self.first, self.last = taken(self._optimizers, update), None

    @property
    def usual(self) -> float:
        """The largest loss of the first five updates; infinite if none is known."""
        known = [abs(loss) for loss in self.losses[:5] if math.isfinite(loss)]
        return max(known, default=math.inf)

    @property
    def lost(self) -> bool:
        """Whether the loss has left the range of the run's beginning and stays out of it."""
        recent = self.losses[-STAYS:]
        far = [math.isfinite(loss) and abs(loss) > LOST * (self.usual + 1e-3) for loss in recent]
        return len(far) == STAYS and all(far)

    @property
    def hurt(self) -> bool:
        """Whether the last losses known lie beyond what a state is kept at; a single one may be its batch's."""
        known = [abs(loss) for loss in self.losses[-STAYS:] if math.isfinite(loss)]
        return bool(known) and median(known) > SANE * (self.usual + 1e-3)

    def back(self, before: int | None = None) -> int | None:
        """Return to the last snapshot, or to the last one taken before update `before` began.

        Returns:
            The number of updates behind that state, None if there is no snapshot.
        """
        kept = [each for each in (self.last, self.first) if each is not None]
        if before is not None:
            kept = [each for each in kept if each.update < before] or kept[-1:]
        if not kept:
            return None
        restore(kept[0])
        self.last, self.losses = None, self.losses[:5]
        return kept[0].update

    def _sane(self, loss: float) -> bool:
        if not math.isfinite(loss) or abs(loss) > SANE * (self.usual + 1e-3):
            return False
        weights = [p for each in self._optimizers for p in _weights(each) if can_train(p)]
        norms = torch._foreach_norm(weights) if weights else []  # pyright: ignore[reportPrivateImportUsage]
        return all(bool(norm.isfinite()) for norm in norms)

    def _affords(self) -> bool:
        return self.seconds <= self.share * (time.perf_counter() - self._began)

    def _timed(self, update: int) -> Snapshot:
        began = time.perf_counter()
        snapshot = taken(self._optimizers, update)
        self.seconds += time.perf_counter() - began
        return snapshot


@torch.no_grad()
def taken(optimizers: Iterable[Optimizer], update: int) -> Snapshot:
    """Copies of everything that an update changes."""
    kept = list(optimizers)
    return Snapshot(
        update,
        [(p, p.detach().clone()) for each in kept for p in _weights(each)],
        [(each, {p: _copied(own) for p, own in each.state.items()}) for each in kept],
        streams(),
    )


@torch.no_grad()
def restore(snapshot: Snapshot) -> None:
    """Write a state back. Settings of groups, such as learning rates, stay: a cure may be among them."""
    for parameter, value in snapshot.weights:
        if parameter.shape == value.shape:
            parameter.copy_(value)
    for optimizer, states in snapshot.states:
        for parameter in list(optimizer.state):
            if parameter not in states:
                del optimizer.state[parameter]
        for parameter, own in states.items():
            optimizer.state[parameter] = _copied(own)
    give(snapshot.streams)


def streams() -> dict[str, Any]:
    """The states of torch's, Python's and NumPy's random numbers."""
    found: dict[str, Any] = {"torch": torch.get_rng_state(), "python": random.getstate()}
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        found["cuda"] = torch.cuda.get_rng_state_all()
    numpy = sys.modules.get("numpy")
    if numpy is not None:
        found["numpy"] = numpy.random.get_state()
    return found


def give(states: dict[str, Any]) -> None:
    """Set them."""
    torch.set_rng_state(states["torch"])
    random.setstate(states["python"])
    if "cuda" in states:
        torch.cuda.set_rng_state_all(states["cuda"])
    if "numpy" in states:
        sys.modules["numpy"].random.set_state(states["numpy"])


def _weights(optimizer: Optimizer) -> list[Tensor]:
    return [p for group in optimizer.param_groups for p in group["params"]]


def _copied(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.detach().clone()
    if isinstance(value, dict):
        return {key: _copied(each) for key, each in value.items()}
    return [_copied(each) for each in value] if isinstance(value, list) else value
