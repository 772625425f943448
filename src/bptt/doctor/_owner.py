"""What sentinels know of one optimizer: its parameters, the update that is going on, an entry for each before."""

import math
import weakref

from torch import Tensor
from torch.optim import Optimizer

from bptt.doctor._gauge import can_train, copies, moves
from bptt.rules import Updates


class Row:
    """The update that is going on."""

    __slots__ = (
        "before", "clip", "coefficient", "loss", "norm", "passes", "unclipped", "whole",
    )  # fmt: skip

    def __init__(self) -> None:
        self.loss = math.nan
        self.norm = self.unclipped = self.clip = self.coefficient = math.nan
        self.passes = 0
        self.before: list[Tensor] = []
        self.whole: list[Tensor] | None = None


class Owner:
    """One optimizer."""

    def __init__(self, optimizer: Optimizer) -> None:
        self.weak = weakref.ref(optimizer)
        self.updates = Updates()
        self.begun_with_grads: list[bool] = []
        self.row = Row()
        self.parameters: list[Tensor] = []
        self.ids: set[int] = set()
        self.usual = math.nan  # what gradients' norms were of late
        self.clipping_tells = False  # clipping by norm is given just what this optimizer steps
        self.one: Tensor | None = None  # by whose gradient it is told whether any is there
        self._key: tuple[int, ...] = ()

    def refresh(self, optimizer: Optimizer) -> None:
        """Parameters may be added to an optimizer later."""
        key = tuple(len(group["params"]) for group in optimizer.param_groups)
        if key != self._key:
            self._key = key
            every = [p for group in optimizer.param_groups for p in group["params"]]
            self.parameters = [p for p in every if can_train(p)]
            self.ids = set(map(id, every))

    def unusual(self, norm: float) -> bool:
        """Whether a gradient's norm is far above those before it."""
        unusual = not norm <= 4 * self.usual and not math.isnan(self.usual)
        if math.isfinite(norm):
            self.usual = norm if math.isnan(self.usual) else 0.9 * self.usual + 0.1 * norm
        return unusual

    def hold(self, watched: list[Tensor], whole: bool) -> None:
        """Keep what the weights were before the step."""
        self.row.before = copies(watched)
        if whole:
            self.row.whole = copies(self.parameters)

    def moved(self, watched: list[Tensor]) -> tuple[float, float]:
        """How far recurrent weights, and all weights, moved in relation to their size; nan where nothing was held."""
        ratios = [s / w for w, s in zip(*moves(self.row.before, watched), strict=True) if w > 0]
        whole = math.nan
        if self.row.whole is not None:
            sizes, steps = moves(self.row.whole, self.parameters)
            size = math.hypot(*sizes)
            whole = math.hypot(*steps) / size if size > 0 else math.nan
        return max(ratios, default=whole), whole

    def enter(self, number: int, ratio: float, whole: float, carried: bool, lr: float) -> None:
        """The update is over."""
        row, updates = self.row, self.updates
        updates.loss.append(row.loss)
        updates.norm.append(row.norm)
        updates.unclipped.append(row.unclipped)
        updates.clip.append(row.clip)
        updates.coefficient.append(row.coefficient)
        updates.lr.append(lr)
        updates.ratio.append(ratio)
        updates.whole_ratio.append(whole)
        updates.carried.append(carried)
        updates.finite.append(math.isfinite(row.norm))
        updates.passes.append(row.passes)
        updates.numbers.append(number)
        updates.shorten()
        self.forget()

    def forget(self) -> None:
        """Begin the row of the next update."""
        self.begun_with_grads, self.row = [], Row()
