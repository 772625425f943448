"""Spectra as `spectra.jsonl` holds them: of each gate's block of `W_hh`, and of step Jacobians along a run.

What each costs is estimated before it is begun, by n³ of the matrices and by how long the last ones took.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from bptt.cells import Weights
from bptt.doctor._series import short
from bptt.flow.explain._spectrum import blocks_of
from bptt.flow.walk._linear import Linearised

LARGEST = 512
"""Hidden units; eigenvalues of larger blocks are not computed."""
STEPS = 32
"""Steps whose Jacobians are looked at, of one sample."""
KEPT = 256
"""Eigenvalues that are told of a block: the largest."""
EIGENVALUES, SINGULAR = 1e-8, 4e-9
"""Seconds that a matrix of n rows takes, over n³, on one core; and the least that one takes:"""
LEAST = 3e-4
DIGITS = 5


class Spectra:
    """Computes spectra where they fit into the seconds that are left.

    Args:
        left: the seconds that are left at the moment.

    Attributes:
        notes: what was left out, and why.
    """

    def __init__(self, left: Callable[[], float]) -> None:
        self.notes: list[dict[str, str]] = []
        self._left = left
        self._slower = 1.0  # than estimated, as it was measured last

    def of_weights(self, site: str, kind: str, w: Weights) -> dict[str, Any] | None:
        """Radius and eigenvalues of each gate's block, by its name; `hh` where there is one block only."""
        size, gates = w.w_hh.shape[1] if w.w_hr is None else w.w_hr.shape[1], len(w.w_hh)
        if size > LARGEST:
            self._leave_out(site, f"its eigenvalues: it has {size} units, more than {LARGEST}")
            return None
        seconds = gates / size * max(EIGENVALUES * size**3, LEAST)
        if not self._fits(site, "its eigenvalues", seconds):
            return None
        if not all(bool(each.isfinite().all()) for each in (w.w_hh, w.w_hr) if each is not None):
            self._leave_out(site, "its eigenvalues: its recurrent weights are not finite")
            return None
        with self._measured(seconds):
            blocks = {name: block.cpu() for name, block in blocks_of(kind, w).items()}
            return {"hh" if name == "h" else name: _eigen(each) for name, each in blocks.items()}

    def of_steps(self, lin: Linearised) -> dict[str, Any] | None:
        """Largest, median and smallest singular value of the Jacobians of at most 32 steps of the longest sample."""
        track = lin.track
        size, many = sum(part.shape[-1] for part in track.start), min(STEPS, track.steps)
        seconds = many * max(SINGULAR * size**3, LEAST)
        if not self._fits(track.site, "the singular values of its step Jacobians", seconds):
            return None
        with self._measured(seconds):
            lengths = track.lengths
            sample = 0 if lengths is None else int(lengths.argmax())
            steps = track.steps if lengths is None else int(lengths[sample])
            places = torch.linspace(0, steps - 1, min(STEPS, steps)).round().long().tolist()
            values = _singular(lin, places, sample)
        named = [steps - 1 - t if track.reverse else t for t in places]
        middle = values.shape[-1] // 2
        return {
            key: sorted([t, short(float(v), DIGITS)] for t, v in zip(named, column, strict=True))
            for key, column in (
                ("largest", values[:, 0]),
                ("median", values[:, middle]),
                ("smallest", values[:, -1]),
            )
        }

    def _fits(self, site: str, what: str, seconds: float) -> bool:
        expected = self._slower * seconds
        if expected > self._left():
            self._leave_out(
                site, f"{what}: about {expected:.1g} s, more than the budget has left for them"
            )
            return False
        return True

    def _leave_out(self, site: str, what: str) -> None:
        self.notes.append({"subject": site, "reason": f"left out, {what}"})

    @contextmanager
    def _measured(self, estimate: float) -> Iterator[None]:
        began = time.perf_counter()
        yield
        self._slower = max((time.perf_counter() - began) / estimate, 0.1)


def _eigen(block: Tensor) -> dict[str, Any]:
    """Of a `[H, H]` matrix in float64."""
    values = torch.linalg.eigvals(block)
    sizes = values.abs()
    largest = values[sizes.argsort(descending=True, stable=True)[:KEPT]]
    return {
        "radius": short(float(sizes.max()), DIGITS),
        "eigenvalues": [
            [short(re, DIGITS), short(im, DIGITS)]
            for re, im in torch.view_as_real(largest).tolist()
        ],
    }


def _singular(lin: Linearised, places: list[int], sample: int) -> Tensor:
    """`[n, S]` singular values of the Jacobians of these steps of one sample, largest first; NaN where not finite."""
    rows = []
    for t0, t1 in lin.chunks():
        here = [t - t0 for t in places if t0 <= t < t1]
        if here:
            local = lin.local(t0, t1)
            rows.append(type(local)(*(field[here, sample] for field in local)))
    local = type(rows[0])(*(torch.cat(fields) for fields in zip(*rows, strict=True)))
    jacobians = lin.cell.jacobian(local, lin.track.w)
    finite = jacobians.isfinite().all(-1).all(-1)
    values = torch.linalg.svdvals(torch.where(finite.view(-1, 1, 1), jacobians, 0)).cpu()
    return torch.where(finite.cpu().unsqueeze(-1), values, float("nan"))


def held(w: Weights) -> Weights:
    """The recurrent weights as they are now, the others left out."""
    return Weights(w.w_ih[:0], w.w_hh.clone(), w_hr=None if w.w_hr is None else w.w_hr.clone())
