"""What drives a stack of layers while its exponents are measured: the user's data, or noise."""

from typing import Any

import torch
from torch import Tensor

from bptt.flow.explain._stack import Masks
from bptt.flow.explain._trajectory import inside
from bptt.flow.record._call import Call
from bptt.flow.walk._sequence import Sequence, layers


class Data:
    """A recorded sequence as the drive of its stack; every sample once for each start point."""

    def __init__(self, sequence: Sequence, starts: int) -> None:
        stack = layers(sequence)
        self.steps, self._starts = len(stack[0].x), starts
        self._x, self._masks = stack[0].x, [layer.mask for layer in stack[:-1]]
        self.inside = inside(sequence, self.steps).to(self._x.device).repeat(1, starts)

    def at(self, t0: int, t1: int) -> tuple[Tensor, Masks]:
        """Input and dropout masks of some steps."""
        masks: Any = [None if mask is None else self._each(mask, t0, t1) for mask in self._masks]
        return self._each(self._x, t0, t1), masks

    def _each(self, rows: Tensor, t0: int, t1: int) -> Tensor:
        return rows[t0:t1].double().repeat(1, self._starts, 1)


class Noise:
    """Normal noise as the drive, drawn a stretch at a time from a generator of its own; in order only."""

    def __init__(self, call: Call, steps: int, samples: int, std: float, seed: int) -> None:
        self.steps, self._size, self._std = steps, call.x.shape[-1], std
        self._generator = torch.Generator().manual_seed(seed)
        self._device, self._layers = call.x.device, call.layers
        self.inside = torch.ones(1, dtype=torch.bool, device=self._device).expand(steps, samples)

    def at(self, t0: int, t1: int) -> tuple[Tensor, Masks]:
        """Input of some steps; no dropout."""
        shape = (t1 - t0, self.inside.shape[1], self._size)
        x = self._std * torch.randn(shape, dtype=torch.float64, generator=self._generator)
        return x.to(self._device), [None] * (self._layers - 1)
