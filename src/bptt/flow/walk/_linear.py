"""A track linearised along the run's own trajectory, in chunks of time that bound the memory."""

from typing import Any

import torch

from bptt._errors import UnmeasurableError
from bptt.cells import CELLS, State, at
from bptt.flow.walk._native import Native
from bptt.flow.walk._sequence import Track

CHUNK_BYTES = 192 * 2**20
TOLERANCE = {torch.float64: 1e-8, torch.float32: 2e-4}
LOW_PRECISION_TOLERANCE = 5e-2
CHECKED = 16
"""About how many steps of a chunk are compared with the run; a changed forward pass shows at every step."""


class Linearised:
    """Local derivatives of every step of a track. The gates of a chunk are made from the known states when asked for.

    The states that the gates imply are compared with those the run produced: a module whose output does not follow from
    its weights (a changed `forward`, a hook that edits the output) is refused, not guessed at.
    """

    def __init__(
        self, track: Track, ran_as: torch.dtype, *, chunk_bytes: int | None = None
    ) -> None:
        self.track, self.cell, self.ran_as = track, CELLS[track.kind], ran_as
        self._tolerance = TOLERANCE.get(ran_as, LOW_PRECISION_TOLERANCE)
        per_step = track.y[0].numel() * track.y.element_size() * (4 * len(self.cell.gate_names) + 8)
        self.chunk = max(1, min(track.steps, (chunk_bytes or CHUNK_BYTES) // max(per_step, 1)))
        self._starts: list[State] = [track.start]
        self._kept: tuple[int, Any] | None = None
        self.native = Native.of(track) if ran_as == track.y.dtype else None
        if self.native is not None and len(self.cell.gate_names) == 1:
            self._check(None, 0, track.steps)

    def chunks(self) -> list[tuple[int, int]]:
        """`(t0, t1)` of each chunk, in time order."""
        steps = range(0, self.track.steps, self.chunk)
        return [(t0, min(t0 + self.chunk, self.track.steps)) for t0 in steps]

    def local(self, t0: int, t1: int) -> Any:
        """The local derivatives of steps `t0 … t1-1`."""
        if self._kept is None or self._kept[0] != t0:
            gates = self._gates(t0, t1)
            self._check(gates, t0, t1)
            self._kept = (t0, self.cell.local(gates))
        return self._kept[1]

    def steps_of(self, local: Any, t0: int, t1: int) -> list[Any]:
        """One entry for each step of a chunk."""
        return [at(local, t) for t in range(t1 - t0)]

    def _gates(self, t0: int, t1: int) -> Any:
        track = self.track
        if self.cell.parts == 1:
            start: State = track.start if t0 == 0 else (track.y[t0 - 1],)
        else:
            start = self._start(t0 // self.chunk)
        return self.cell.gates(track.x[t0:t1], start, track.y[t0:t1], track.w)

    def _start(self, number: int) -> State:
        """The state before a chunk: its `c` is known only from running through the chunks before it."""
        while len(self._starts) <= number:
            t0, t1 = self.chunks()[len(self._starts) - 1]
            gates = self._gates(t0, t1)
            self._starts.append((self.track.y[t1 - 1], gates.c[-1]))
        return self._starts[number]

    def _check(self, gates: Any, t0: int, t1: int) -> None:
        """Step from some of the known states by the cell's formula, and compare with where the run arrived."""
        track, every = self.track, max(1, (t1 - t0) // CHECKED)
        steps = torch.arange(t0, t1, every, device=track.y.device)
        h = torch.where((steps > 0).view(-1, 1, 1), track.y[steps - 1], track.start[0])
        known = (h,) if self.cell.parts == 1 else (h, gates.c_before[::every])
        implied, ran = self.cell.step(track.x[steps], known, track.w)[0], track.y[steps]
        inside = ran.isfinite() & implied.isfinite()
        if track.lengths is not None:
            inside &= (steps.unsqueeze(1) < track.lengths.to(steps.device)).unsqueeze(-1)
        off = torch.where(inside, (implied - ran).abs() / (1 + ran.abs()), 0).flatten()
        if off.numel() and (off := off.max()) > self._tolerance:
            raise UnmeasurableError(
                f"its output differs by {off:.1e} from what its weights give at its input; "
                "something changes its forward pass (a subclass, or a hook on the module)"
            )
