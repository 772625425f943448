"""A stack of recurrent layers as one dynamical system: run by the library's kernels, linearised layer by layer."""

from dataclasses import replace
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from bptt._errors import UnmeasurableError
from bptt.cells import CELLS, State
from bptt.flow.record._call import Call
from bptt.flow.record._names import site_name
from bptt.flow.walk._sequence import _run_layer

Masks = list[Tensor] | list[None]


class Linear:
    """Local factors of some steps of all layers; `masks` is what dropout multiplied each layer's output by.

    All have an axis of 1 where the tangents of a sample stand. `ragged` says that some step is past a sample's end.
    """

    def __init__(self, locals_: list[Any], masks: Masks, inside: Bool[Tensor, "T B"]) -> None:
        self._locals = [_each_step(local) for local in locals_]
        self._masks = [None if mask is None else mask.unsqueeze(2) for mask in masks]
        self.inside, self.ragged = inside, not bool(inside.all())

    def step(self, t: int) -> tuple[list[Any], list[Tensor | None]]:
        """One step's factors, and masks of all layers."""
        masks = [None if mask is None else mask[t] for mask in self._masks]
        return [local[t] for local in self._locals], [*masks, None]


def _each_step(local: Any) -> list[Any]:
    """One entry a step, each field with an axis of 1 where the tangents stand."""
    fields = [field.unsqueeze(2).unbind(0) for field in local]
    return [type(local)(*parts) for parts in zip(*fields, strict=True)]


class Stack:
    """The layers of one recorded call. The joint state is all layers' states side by side, `[B, S]`."""

    def __init__(self, call: Call) -> None:
        if call.directions > 1:
            raise UnmeasurableError(
                f"{call.name or 'the model'} is bidirectional: its reverse direction runs against time, so it has no "
                "Lyapunov exponents. bptt.spectrum(model, x) gives the singular values of each direction's products"
            )
        self.cell = CELLS[call.kind]
        self.weights = [w.to(torch.float64) for w in call.weights]
        self._call = replace(
            call,
            weights=self.weights,
            batch_sizes=None,
            sorted_indices=None,
            unsorted_indices=None,
            autocast=None,
            rng=None,
            grads={},
            previous=None,
            next=None,
        )
        path, count = call.name, call.layers
        self.sites = [path] if call.is_cell else [site_name(path, n, False) for n in range(count)]
        self.name = self.sites[0] if count == 1 else f"{self.sites[0]}-l{count - 1}"
        self._sizes = [part.shape[-1] for part in call.start] * count
        self.size = sum(self._sizes)

    def split(self, joint: Tensor) -> list[State]:
        """The last axis taken apart: each layer's state."""
        parts, each = joint.split(self._sizes, -1), self.cell.parts
        return [tuple(parts[n : n + each]) for n in range(0, len(parts), each)]

    def run(
        self, x: Float[Tensor, "T B I"], start: list[State], masks: Masks, inside: Tensor, t0: int
    ) -> tuple[Linear, list[State]]:
        """Run the layers over `x` and linearise them; the states after the last step.

        Raises:
            UnmeasurableError: a state is not finite.
        """
        parts = tuple(torch.stack(part) for part in zip(*start, strict=True))
        call = replace(self._call, x=x, start=parts)
        found, ends = [], []
        for layer, (w, mask) in enumerate(zip(self.weights, [*masks, None], strict=True)):
            y = _run_layer(call, layer, x)
            self._check(y, inside, layer, t0)
            gates = self.cell.gates(x, start[layer], y, w)
            states = self.cell.states(gates, w)
            ends.append((y[-1], *(part[-1] for part in states[1:])))
            found.append(self.cell.local(gates))
            x = y if mask is None else y * mask
        return Linear(found, masks, inside), ends

    def push(self, linear: Linear, t0: int, t1: int, tangents: Tensor) -> Tensor:
        """Tangents `[B, k, S]` taken through steps `t0 … t1-1`; they stay as they are past a sample's end."""
        states = self.split(tangents)
        for t in range(t0, t1):
            factors, masks = linear.step(t)
            before, dx = states, None
            states = []
            for local, mask, state, w in zip(factors, masks, before, self.weights, strict=True):
                states.append(self.cell.push(local, state, w, dx))
                dx = states[-1][0] if mask is None else states[-1][0] * mask
            if linear.ragged:
                here = linear.inside[t].view(-1, 1, 1)
                states = [
                    tuple(torch.where(here, a, b) for a, b in zip(new, old, strict=True))
                    for new, old in zip(states, before, strict=True)
                ]
        parts = [part for state in states for part in state]
        return parts[0] if len(parts) == 1 else torch.cat(parts, -1)

    def _check(self, y: Tensor, inside: Tensor, layer: int, t0: int) -> None:
        bad = inside & ~y.isfinite().all(-1)
        if bool(bad.any()):
            step = t0 + int(bad.any(1).nonzero()[0])
            raise UnmeasurableError(
                f"{self.sites[layer]}: the state of {int(bad.any(0).sum())} of {bad.shape[1]} samples is not finite, "
                f"first at step {step}; exponents need a run that stays finite (look at the input and at the weights)"
            )
