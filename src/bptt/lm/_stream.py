"""Chunks for truncated backpropagation through time: B lanes, each reading its own text from chunk to chunk.

A text is dealt out in segments: a document, or an equal part of one that is longer than the N symbols of an epoch
would give a quarter of a lane, but never below 16 chunks. Whenever a lane has come to its segment's end, it takes the
next one of the epoch's random order, lower lanes first; the last epoch's order is followed by the next one's without a
break. A chunk never crosses the end of a segment: the rest of that lane's chunk is padding, whose targets are
`IGNORED`, and its next chunk begins with a zero state (`fresh`).

All this follows from (seed, step), so a run that is taken up again at a step reads what it would have read. Lanes are
numbered over all processes: process r of W reads lanes r, r + W, r + 2W, …, whatever W is.
"""

import math
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Int
from numpy.typing import NDArray
from torch import Tensor

from bptt.lm._tokens import Ranges, Tokens

IGNORED = -100
"""The target of padding; torch's cross entropy passes over it."""


class Batch(NamedTuple):
    """One chunk of b lanes.

    Attributes:
        ids: `[T, b]` inputs.
        targets: `[T, b]` the symbols that follow, `IGNORED` past a segment's end.
        fresh: `[b]` lanes that begin a segment.
        counted: targets that count, over the lanes of all processes.
        step: number of the chunk, from 0.
    """

    ids: Int[Tensor, "T b"]
    targets: Int[Tensor, "T b"]
    fresh: Bool[Tensor, " b"]
    counted: int
    step: int


class Dealer:
    """Hands segments to lanes.

    Args:
        segments: `[n, 2]`.
        B: lanes.
        T: steps of a chunk.
        seed: of the order; None for one pass in the order given.
    """

    def __init__(self, segments: Ranges, B: int, T: int, seed: int | None) -> None:
        self._segments, self._T = segments, T
        self._place = np.zeros(B, np.int64)
        self._end = np.zeros(B, np.int64)
        self._order = self._endless(seed) if seed is not None else iter(range(len(segments)))

    def _endless(self, seed: int) -> Iterator[int]:
        epoch = 0
        while True:
            yield from np.random.default_rng((seed, epoch)).permutation(len(self._segments))
            epoch += 1

    def next(self) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
        """`[B]` each: where a lane's chunk begins, how many inputs it has, whether it begins a segment."""
        fresh = self._place >= self._end
        for lane in np.flatnonzero(fresh):
            taken = next(self._order, None)
            if taken is None:  # the one pass is over: nothing is left for this lane
                break
            self._place[lane], self._end[lane] = self._segments[taken]
        place, many = self._place.copy(), np.minimum(self._end - self._place, self._T)
        self._place += many
        return place, many, fresh


class Stream:
    """Iterates over batches, from a step on.

    Args:
        tokens: the text.
        ranges: which of it.
        B: lanes over all processes.
        T: steps of a chunk.
        seed: of the order of segments; None for one pass in the text's order.
        rank: number of this process among `world`.
        start: called when iteration begins; the step to begin at.
        least: of how many segments a lane consists at least, see `cut`.
    """

    def __init__(
        self,
        tokens: Tokens,
        ranges: Ranges,
        B: int,
        T: int,
        *,
        seed: int | None = None,
        rank: int = 0,
        world: int = 1,
        start: Callable[[], int] = lambda: 0,
        least: int = 4,
    ) -> None:
        self._tokens, self._B, self._T, self._seed = tokens, B, T, seed
        self._own, self._start = np.arange(rank, B, world), start
        self.segments = cut(ranges, B, T, least)

    def __iter__(self) -> Iterator[Batch]:
        dealer, step = Dealer(self.segments, self._B, self._T, self._seed), self._start()
        for _ in range(step):
            dealer.next()
        while True:
            place, many, fresh = dealer.next()
            if not many.any():
                return
            yield self._batch(place, many, fresh, step)
            step += 1

    def _batch(
        self,
        place: NDArray[np.int64],
        many: NDArray[np.int64],
        fresh: NDArray[np.bool_],
        step: int,
    ) -> Batch:
        own = self._own
        ids = np.zeros((len(own), self._T), np.int64)
        targets = np.full((len(own), self._T), IGNORED, np.int64)
        for row, lane in enumerate(own):
            if n := int(many[lane]):
                read = self._tokens.read(int(place[lane]), n + 1)
                ids[row, :n], targets[row, :n] = read[:-1], read[1:]
        return Batch(
            torch.from_numpy(ids).t().contiguous(),
            torch.from_numpy(targets).t().contiguous(),
            torch.from_numpy(fresh[own]),
            int(many.sum()),
            step,
        )


def cut(ranges: Ranges, B: int, T: int, least: int = 4) -> Ranges:
    """Ranges with those cut into equal parts that are longer than a `least`-th of a lane and than 16 T.

    >>> cut(np.array([[0, 100], [100, 110]]), B=1, T=1).tolist()
    [[0, 25], [25, 50], [50, 75], [75, 100], [100, 110]]
    """
    sizes = ranges[:, 1] - ranges[:, 0]
    most = max(math.ceil(int(sizes.sum()) / (least * B)), 16 * T)
    parts = [
        np.linspace(start, end, -(-int(size) // most) + 1).round().astype(np.int64)
        for (start, end), size in zip(ranges, sizes, strict=True)
        if size > most
    ]
    whole = ranges[sizes <= most]
    split = [np.stack([cuts[:-1], cuts[1:]], 1) for cuts in parts]
    found = np.concatenate([whole, *split])
    return found[np.argsort(found[:, 0], kind="stable")]


def head(ranges: Ranges, symbols: int) -> Ranges:
    """The first so many inputs of ranges."""
    sizes = ranges[:, 1] - ranges[:, 0]
    left = np.clip(symbols - (np.cumsum(sizes) - sizes), 0, sizes)
    found = np.stack([ranges[:, 0], ranges[:, 0] + left], 1)
    return found[left > 0]
