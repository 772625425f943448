"""`spectrum`: eigenvalues of the recurrent weights, singular values and eigenvalues of every step Jacobian.

Shapes: T steps, B samples, S the size of the joint state (H; for an LSTM P + H). Jacobians are made from the local
factors a piece at a time and dropped again: what is kept grows with T·S, the memory in between with nothing.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from bptt._errors import BpttError
from bptt.cells import CELLS, Weights, at
from bptt.flow._by_site import BySite
from bptt.flow.explain._product import log_singular_values
from bptt.flow.explain._trajectory import inside, stretches, trajectories
from bptt.flow.walk._linear import Linearised
from bptt.flow.walk._sequence import compute_dtype

PIECE_BYTES = 8 * 2**20
"""Memory of the Jacobians that exist at one time."""
CHUNK_BYTES = 32 * 2**20
"""Memory of the local factors that they are made from."""


@dataclass(eq=False)
class Stretch:
    """One sequence at one site: its linearisation, and `[T, B]` which steps are inside a sample, in input time."""

    lin: Linearised
    inside: Tensor

    def each_step(self, measure: Callable[[Tensor], Tensor]) -> Tensor:
        """`[T, B, …]` of `measure(J [n, S, S])`, in input time; NaN past a sample's end and where J is not finite."""
        track, every, n = self.lin.track, None, 0
        for jacobian in self._jacobians():
            here = self._measured(measure, jacobian)
            if (
                every is None
            ):  # at once: small results kept between the large pieces would break up the heap
                every = here.new_empty(track.steps * track.y.shape[1], *here.shape[1:])
            every[n : n + len(here)] = here
            n += len(here)
        assert every is not None
        every = track.in_input_time(every.unflatten(0, (track.steps, -1)))
        outside = ~self.inside.to(every.device)
        if bool(outside.any()):
            every[outside] = float("nan")
        return every

    @staticmethod
    def _measured(measure: Callable[[Tensor], Tensor], jacobian: Tensor) -> Tensor:
        """`measure(J)`, NaN where J is not finite."""
        finite = jacobian.flatten(1).sum(1).isfinite()
        if not bool(finite.all()):  # a sum may overflow by itself
            finite = jacobian.isfinite().all(-1).all(-1)
        if bool(finite.all()):
            return measure(jacobian)
        found = measure(torch.where(finite.view(-1, 1, 1), jacobian, 0))
        return torch.where(finite.view(-1, *[1] * (found.dim() - 1)), found, float("nan"))

    def _jacobians(self) -> Iterator[Float[Tensor, "n S S"]]:
        lin, w = self.lin, self.lin.track.w
        for t0, t1 in lin.chunks():
            local = lin.local(t0, t1)
            flat = type(local)(*(field.flatten(0, 1) for field in local))
            size = sum(part.shape[-1] for part in lin.track.start)
            each = max(1, PIECE_BYTES // (size * size * flat[0].element_size()))
            for n in range(0, len(flat[0]), each):
                yield lin.cell.jacobian(at(flat, slice(n, n + each)), w)


@dataclass(eq=False)
class SiteSpectrum:
    """What the recurrent weights and the step Jacobians of one site do to lengths.

    Jacobians are `J_t = ∂s_t/∂s_{t-1}` of the joint state, along the run's own states and in the run's precision:
    in float32 a condition number beyond 1e7 says no more than that. All but `name` and `kind` is computed when first
    asked for, then kept. Where samples differ in length, entries past a sample's end are NaN.

    Attributes:
        name: as in `Flow.sites`.
        kind: the cell.
    """

    name: str
    kind: str
    _stretches: list[Stretch]

    @property
    def weights(self) -> Weights:
        """The site's parameters, as they were in the run."""
        return self._stretches[0].lin.track.w

    @cached_property
    def radius(self) -> dict[str, float]:
        """Spectral radius of each gate's block of `W_hh`: the largest modulus of its eigenvalues.

        With a projected state (`proj_size`) the block is `W_gate W_hr`, the map from one step's unprojected output to
        the gate.
        """
        return {gate: float(found.abs().max()) for gate, found in self.gate_eigenvalues.items()}

    @cached_property
    def gate_eigenvalues(self) -> dict[str, Tensor]:
        """`[H]` eigenvalues of the same blocks, complex, in no order."""
        return {gate: torch.linalg.eigvals(block) for gate, block in self._blocks().items()}

    @cached_property
    def norm(self) -> dict[str, float]:
        """Largest singular value of the same blocks."""
        return {
            gate: float(torch.linalg.matrix_norm(block, 2))
            for gate, block in self._blocks().items()
        }

    def _blocks(self) -> dict[str, Tensor]:
        return blocks_of(self.kind, self.weights)

    @cached_property
    def singular(self) -> Float[Tensor, "T B S"]:
        """`[T, B, S]` singular values of every step Jacobian, largest first."""
        return self._each_step(torch.linalg.svdvals)

    @cached_property
    def eigenvalues(self) -> Tensor:
        """`[T, B, S]` eigenvalues of every step Jacobian, complex, in no order; dearer than `singular`."""
        return self._each_step(torch.linalg.eigvals)

    @cached_property
    def jacobian_radius(self) -> Float[Tensor, "T B"]:
        """`[T, B]` spectral radius of every step Jacobian."""
        return self._each_step(lambda jacobian: torch.linalg.eigvals(jacobian).abs().amax(-1))

    @property
    def condition(self) -> Float[Tensor, "T B"]:
        """`[T, B]` largest over smallest singular value; infinite where a Jacobian is singular."""
        return self.singular[..., 0] / self.singular[..., -1]

    @torch.no_grad()
    def _each_step(self, measure: Callable[[Tensor], Tensor]) -> Tensor:
        found = [stretch.each_step(measure).cpu() for stretch in self._stretches]
        longest = max(map(len, found))
        rows = [_longer(each, longest) for each in found]
        return torch.cat(rows, 1)

    @torch.no_grad()
    def product(self, start: int, stop: int) -> Float[Tensor, "B S"]:
        """`[B, S]` natural logarithms of the singular values of `J_{stop-1} … J_{start}`, largest first.

        Computed in float64 from QR factors and a one-sided Jacobi iteration on their scaled product: the raw product,
        whose small singular values would drown in rounding, is never formed. For a reverse site the steps are taken
        from the last to the first, as it runs.

        Args:
            start: the first step.
            stop: the step after the last; a window of one step has the logarithms of `singular[start]`.

        Raises:
            BpttError: the window is empty or not within the sequence.
        """
        steps = max(stretch.lin.track.steps for stretch in self._stretches)
        if not 0 <= start < stop <= steps:
            raise BpttError(
                f"window {start} … {stop}: expected 0 <= start < stop <= {steps}, the number of steps"
            )
        return torch.cat(
            [log_singular_values(s.lin, s.inside, start, stop).cpu() for s in self._stretches]
        )

    def plot(self, ax: Any = None, *, what: str = "weights") -> Any:
        """Draw it, by matplotlib.

        | `what` | shows |
        |---|---|
        | `weights` | eigenvalues of each gate's block of `W_hh` in the complex plane, and the unit circle |
        | `jacobian` | the same of the step Jacobians; of more than 5,000 those of evenly spaced steps |
        | `singular` | largest, median and smallest singular value of `J_t` by step, geometric means over samples |

        Args:
            ax: the axes to draw on; None makes new ones with `pyplot`.
            what: the picture.

        Returns:
            The axes.

        Raises:
            BpttError: matplotlib is not installed, or there is no such picture.
        """
        from bptt.flow.picture._spectra import plot_spectrum

        return plot_spectrum(self, what, ax)

    def __repr__(self) -> str:
        gates = ", ".join(f"{gate} {value:.3g}" for gate, value in self.radius.items())
        return f"{self.kind}, spectral radius {gates}"


def blocks_of(kind: str, w: Weights) -> dict[str, Tensor]:
    """Each gate's block of `W_hh` in float64, `[H, H]`; times `W_hr` where the state is projected."""
    names = CELLS[kind].gate_names
    blocks = w.w_hh.double().chunk(len(names))
    if w.w_hr is not None:
        blocks = [block @ w.w_hr.double() for block in blocks]
    return dict(zip(names, blocks, strict=True))


def _longer(quantity: Tensor, steps: int) -> Tensor:
    """The quantity with NaN rows up to `steps`."""
    missing = quantity.new_full((steps - len(quantity), *quantity.shape[1:]), float("nan"))
    return torch.cat([quantity, missing])


@torch.no_grad()
def spectrum(model: nn.Module, x: Any, *, lengths: Tensor | None = None) -> BySite[SiteSpectrum]:
    """Run the model once on `x` and look at its recurrent weights and at every step Jacobian of that run.

        J_t = ∂s_t/∂s_{t-1},    s_t = h_t, or (h_t, c_t) for an LSTM

    Singular values say by how much one step stretches a gradient at most and at least. The spectral radius of `W_hh`
    says what a linear recurrence would do to it in the long run. Nothing of the model changes; no gradient is needed.

    Args:
        model: any module that calls `nn.RNN`, `nn.GRU`, `nn.LSTM` or their cells.
        x: the model's input: one value, a tuple of positional or a mapping of named arguments.
        lengths: `[B]` steps of each sample of a padded batch; packed input states its own.

    Returns:
        A mapping from the sites' names, as in `Flow.sites`, to `SiteSpectrum`.

    Raises:
        NoRecurrenceError: the model called no recurrent module.
        UnmeasurableError: a module's output does not follow from its weights.

    Example:
        >>> import torch, bptt
        >>> _ = torch.manual_seed(0)
        >>> found = bptt.spectrum(torch.nn.LSTM(8, 32), torch.randn(50, 4, 8))
        >>> {gate: round(value, 1) for gate, value in found["l0"].radius.items()}
        {'i': 0.6, 'f': 0.6, 'g': 0.6, 'o': 0.7}
        >>> found["l0"].singular.shape
        torch.Size([50, 4, 64])
        >>> found["l0"].product(0, 50).shape
        torch.Size([4, 64])

    Source: Pascanu, Mikolov, Bengio, arXiv 1211.5063 (2013), section 2.
    """
    groups: dict[str, list[Stretch]] = {}
    kinds: dict[str, str] = {}
    for sequence in trajectories(model, x, lengths):
        ran_as = sequence.first.autocast or compute_dtype(sequence.first)
        for track in stretches(sequence):
            lin = Linearised(track, ran_as, chunk_bytes=CHUNK_BYTES)
            stretch = Stretch(lin, inside(sequence, track.steps))
            groups.setdefault(track.site, []).append(stretch)
            kinds[track.site] = track.kind
    return BySite({name: SiteSpectrum(name, kinds[name], group) for name, group in groups.items()})
