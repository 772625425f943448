"""What sentinels saw of each update, as rules read it: columns that stay short however long the run."""

import math
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from typing import Any

MOST = 8192
"""Entries that are kept before some are let go."""
FIRST, LATEST = 512, 2048
"""Of these none is let go: the first ones of a run, and the latest."""
BLOCK = 64
"""Updates beside each other that say what is usual where some are let go."""
FACTOR = 3.0
"""An update with a gradient so many times the usual one is kept, as is one that is not finite."""
REMARKABLE = 1024
"""At most so many are kept for that."""


@dataclass(eq=False)
class Updates:
    """One entry an update in every list; nan (or False) where something was not seen.

    Of a run of more than 8,192 updates some entries are let go: every second one, but for the first 512, the latest
    2,048, and those with a gradient that stands out or is not finite. What is left is so much the thinner the older it
    is, and `number` says which updates they are.

    Attributes:
        loss: value on which `backward` was called last before the step.
        norm: norm of all gradients of the stepping optimizer, as the step used it.
        unclipped: the same before clipping, where something clipped; else equal to `norm`.
        clip: `max_norm` of `clip_grad_norm_`, or the value of `clip_grad_value_`; nan where nothing was clipped.
        coefficient: what clipping multiplied the gradient by, at most 1; nan where nothing clipped by norm. For
            clipping by value: the share of the norm that was left.
        lr: learning rate of the recurrent weights' group, or of the first.
        ratio: `‖Δw‖ / ‖w‖` of the recurrent weights in this update, the largest over the modules; nan if not stepped.
            In updates that were not looked at whole, the last that was measured.
        whole_ratio: the same over all weights of the optimizer.
        carried: gradients of an earlier update were still there when this update's first backward pass began, and the
            step used them.
        finite: loss and gradients were finite.
        passes: backward passes since the step before.
        numbers: of the entries, among all updates of the run; empty where entry n is update n + 1.
        gone: entries that were let go.
        left_over: of several optimizers, `carried` of the one that most often has such gradients; empty where none has.
        holds: names of the recurrent modules whose weights that one holds.
        by_hand: no optimizer: the weights were seen to change between two backward passes.
    """

    loss: list[float] = field(default_factory=list)
    norm: list[float] = field(default_factory=list)
    unclipped: list[float] = field(default_factory=list)
    clip: list[float] = field(default_factory=list)
    coefficient: list[float] = field(default_factory=list)
    lr: list[float] = field(default_factory=list)
    ratio: list[float] = field(default_factory=list)
    whole_ratio: list[float] = field(default_factory=list)
    carried: list[bool] = field(default_factory=list)
    finite: list[bool] = field(default_factory=list)
    passes: list[int] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)
    gone: int = 0
    by_hand: bool = False
    left_over: list[bool] = field(default_factory=list)
    holds: str = ""

    def __len__(self) -> int:
        return len(self.norm)

    @property
    def count(self) -> int:
        """Entries there have been, those that were let go too."""
        return len(self) + self.gone

    @property
    def clipped(self) -> bool:
        """Whether anything clips gradients in this run."""
        return any(not math.isnan(c) for c in self.clip)

    def number(self, n: int) -> int:
        """The number of the update of entry `n`, from 1."""
        return self.numbers[n] if self.numbers else n + 1

    def entry(self, number: int) -> int:
        """The entry of that update, or of the next one that is kept; `len` where there is none."""
        return bisect_left(self.numbers, number) if self.numbers else min(number - 1, len(self))

    def told(self, some: int, of: int | None = None) -> str:
        """How many updates that is, in words: of all where every one is kept, else as a share.

        Example:
            >>> Updates(norm=[1.0] * 20).told(3), Updates(norm=[1.0] * 20, gone=39_980).told(3)
            ('3 of 20 updates', '15 % of 40,000 updates')
        """
        of = len(self) if of is None else of
        if not self.gone:
            return f"{some} of {of} updates"
        share = 100 * some / max(of, 1)
        return f"{share:.{0 if share >= 1 else 2}f} % of {self.count:,} updates"

    def columns(self) -> Iterator[tuple[str, list[Any]]]:
        """The lists with one entry an update, by name."""
        for each in fields(self):
            value = getattr(self, each.name)
            if isinstance(value, list) and value and each.name != "left_over":
                yield each.name, value

    def shorten(self) -> None:
        """Let go of every second entry amid a run that has become long; a short one stays as it is."""
        if len(self) <= MOST:
            return
        self.numbers = self.numbers or list(range(1, len(self) + 1))
        last = len(self) - LATEST
        kept = [*range(FIRST), *self._amid(FIRST, last), *range(last, len(self))]
        self.gone += len(self) - len(kept)
        for _, column in self.columns():
            column[:] = [column[n] for n in kept]

    def _amid(self, first: int, last: int) -> list[int]:
        """Every second entry, and those between them that stand out."""
        stand_out = []
        for start in range(first, last, BLOCK):
            block = self.norm[start : min(start + BLOCK, last)]
            usual = sorted(norm for norm in block if math.isfinite(norm))
            level = FACTOR * usual[len(usual) // 2] if usual else 0.0
            stand_out += [start + n for n, norm in enumerate(block) if not norm <= level]
        stand_out = stand_out[:: 1 + len(stand_out) // REMARKABLE]
        return sorted({*range(first, last, 2), *stand_out})
