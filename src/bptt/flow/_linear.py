"""A track linearised along the run's own trajectory, in chunks of time that bound the memory."""

from typing import Any

import torch
from torch import Tensor

from bptt._errors import UnmeasurableError
from bptt.cells import CELLS, State, at
from bptt.flow._sequence import Track

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

    def __init__(self, track: Track, ran_as: torch.dtype) -> None:
        self.track, self.cell = track, CELLS[track.kind]
        self._tolerance = TOLERANCE.get(ran_as, LOW_PRECISION_TOLERANCE)
        per_step = track.y[0].numel() * track.y.element_size() * (4 * len(self.cell.gate_names) + 8)
        self.chunk = max(1, min(track.steps, CHUNK_BYTES // max(per_step, 1)))
        self._starts: list[State] = [track.start]
        self._kept: tuple[int, Any] | None = None
        if self.cell.parts > 1 and self.chunk < track.steps:
            for t0, t1 in self.chunks()[:-1]:
                self._starts.append(tuple(part[-1] for part in self._states(t0, t1)[1]))

    def chunks(self) -> list[tuple[int, int]]:
        """`(t0, t1)` of each chunk, in time order."""
        steps = range(0, self.track.steps, self.chunk)
        return [(t0, min(t0 + self.chunk, self.track.steps)) for t0 in steps]

    def local(self, t0: int, t1: int) -> Any:
        """The local derivatives of steps `t0 … t1-1`."""
        if self._kept is None or self._kept[0] != t0:
            gates, states = self._states(t0, t1)
            self._check(states[0], self.track.y[t0:t1], t0)
            self._kept = (t0, self.cell.local(gates))
        return self._kept[1]

    def steps_of(self, local: Any, t0: int, t1: int) -> list[Any]:
        """One entry for each step of a chunk."""
        return [at(local, t) for t in range(t1 - t0)]

    def _states(self, t0: int, t1: int) -> tuple[Any, State]:
        track, number = self.track, t0 // self.chunk
        if self.cell.parts == 1:
            start: State = track.start if t0 == 0 else (track.y[t0 - 1],)
        else:
            start = self._starts[number]
        gates = self.cell.gates(track.x[t0:t1], start, track.y[t0:t1], track.w)
        return gates, self.cell.states(gates, track.w)

    def _check(self, implied: Tensor, ran: Tensor, t0: int) -> None:
        every = max(1, len(ran) // CHECKED)
        implied, ran = implied[::every], ran[::every]
        inside = ran.isfinite() & implied.isfinite()
        if self.track.lengths is not None:
            t = torch.arange(t0, t0 + len(ran) * every, every, device=ran.device).unsqueeze(1)
            inside &= (t < self.track.lengths.to(ran.device)).unsqueeze(-1)
        off = torch.where(inside, (implied - ran).abs() / (1 + ran.abs()), 0).flatten()
        if off.numel() and (off := off.max()) > self._tolerance:
            raise UnmeasurableError(
                f"its output differs by {off:.1e} from what its weights give at its input; "
                "something changes its forward pass (a subclass, or a hook on the module)"
            )
