"""From recorded calls to a flow: every chain of calls, layer by layer from the top, is walked back once."""

from collections.abc import Callable
from collections.abc import Sequence as Several
from dataclasses import replace

import torch
from torch import Tensor

from bptt._errors import UnmeasurableError
from bptt.flow._assemble import Part, assemble, part_of
from bptt.flow._flow import Flow, Note
from bptt.flow._own_steps import measure_own
from bptt.flow.explain._attribution import factors_of
from bptt.flow.record._call import Call, StateCall
from bptt.flow.walk._backward import walk_back
from bptt.flow.walk._credit import Credit, credit
from bptt.flow.walk._linear import Linearised
from bptt.flow.walk._sequence import (
    Sequence,
    Track,
    chains,
    layers,
    output_grad,
    site_names,
    tracks,
)
from bptt.flow.walk._statistics import of_track, padding_in
from bptt.flow.walk._totals import Totals

Factors = Callable[[Linearised, Totals, Tensor], Tensor | None]
"""From a track that was walked back, and where its losses are, to its attribution's `[F, T-1, B]` log factors."""


def attribute(lin: Linearised, totals: Totals, bears: Tensor) -> Tensor:
    """The log factors of a few samples."""
    return factors_of(lin.track, totals, bears, lin.ran_as)


@torch.no_grad()
def analyse(
    calls: list[Call],
    own: list[StateCall],
    by_hand: Several[Part] = (),
    *,
    keep: str = "norms",
    threshold: float = 1e-3,
    factors: Factors | None = attribute,
) -> Flow:
    """Measure everything that a gradient came back to. `by_hand`: what was measured during the pass already."""
    parts: list[Part] = []
    notes: dict[str, str] = {}
    for sequence in chains(calls):
        try:
            parts += measure_sequence(sequence, full=keep == "full", factors=factors)
        except UnmeasurableError as reason:
            notes[sequence.first.name or "the model"] = str(reason)
        _note_links(sequence, notes)
    for part in [*parts, *by_hand]:
        _note_non_finite(part, notes)
    more, more_notes = measure_own(own, full=keep == "full")
    flow = assemble([*parts, *more, *by_hand], threshold)
    _count_calls(flow, calls)
    notes.update(more_notes)
    flow.notes = [Note(subject, reason) for subject, reason in notes.items()]
    return flow


def measure_sequence(
    sequence: Sequence, *, full: bool = False, factors: Factors | None = attribute
) -> list[Part]:
    """All sites of one chain of calls. Cost: about one backward pass, plus one for the anchors of the credit curve."""
    if any(call.second_order and not call.is_cell for call in sequence.calls):
        raise UnmeasurableError(
            "a backward pass with create_graph=True was differentiated again, and what enters inside the layer's own "
            "backward is not seen; a loop over the cell is measured exactly"
        )
    stack, direct = layers(sequence), output_grad(sequence)
    valid = _valid(sequence, len(direct))
    padding = _trailing_constant(stack[0].x)
    ends = padding_in(stack[0].x) if valid is None else None
    cuts = int(sequence.first.link == "cut")
    found: list[Part] = []
    for layer in reversed(range(len(stack))):
        below = torch.zeros_like(stack[layer].x) if layer else None
        here: list[Part] = []
        for track in tracks(sequence, layer, stack[layer], direct):
            ran_as = sequence.first.autocast or sequence.first.y.dtype
            lin = Linearised(track, ran_as)
            totals = walk_back(lin, want_dx=layer > 0, full=full)
            inside = None if valid is None else track.in_input_time(valid)
            curve = credit(lin, totals, inside)
            if not bool(curve.anchors.any()) and not bool(totals.direct.isfinite().all()):
                curve = _credit_of_a_uniform_gradient(track, ran_as, inside)
            here.append(part_of(track, totals, curve, valid, padding, cuts))
            at_pad = ends if layer == len(stack) - 1 else None
            here[-1].statistics = of_track(track, totals, curve.bears, inside, at_pad, ran_as)
            if factors is not None:
                here[-1].log_factors = factors(lin, totals, curve.bears)
            if below is not None and totals.dx is not None:
                below += track.in_input_time(totals.dx)
        found[:0] = here
        if below is not None:
            mask = stack[layer - 1].mask
            direct = below if mask is None else below * mask
    return found


def _credit_of_a_uniform_gradient(
    track: Track, ran_as: torch.dtype, inside: Tensor | None
) -> Credit:
    """The credit curve where no sample's gradient is finite: a uniform one enters in the place of each that is not.

    It shows the recurrence along the run's own states, which is where a gradient that overflowed came from. Where
    those are not finite either, nothing is known of it.
    """
    clean = replace(
        track,
        direct=_uniform(track.direct),
        ends={
            t: replace(
                end, h=_uniform(end.h), c=None if end.c is None else end.c.nan_to_num(0, 0, 0)
            )
            for t, end in track.ends.items()
        },
    )
    lin = Linearised(clean, ran_as)
    curve = credit(lin, walk_back(lin, want_dx=False, full=False), inside)
    # States that are not finite either leave lag 0 alone, which is what entered and tells nothing of a reach.
    through = bool(curve.anchors[1:].any())
    return curve if through else curve._replace(anchors=torch.zeros_like(curve.anchors))


def _uniform(grad: Tensor) -> Tensor:
    bad = ~grad.isfinite().all(-1, keepdim=True)
    return torch.where(bad, torch.full_like(grad, grad.shape[-1] ** -0.5), grad)


def _valid(sequence: Sequence, steps: int) -> Tensor | None:
    """`[T, B]` steps inside each sample, in input time, where lengths are known."""
    lengths = sequence.stated_lengths
    if lengths is None:
        return None
    if len(lengths) != sequence.first.batch:
        raise UnmeasurableError(
            f"lengths has {len(lengths)} entries, but the module was called with {sequence.first.batch} samples"
        )
    return torch.arange(steps).unsqueeze(1) < lengths.cpu()


def _trailing_constant(x: Tensor) -> Tensor:
    """`[T, B]` steps in a run of two or more equal inputs at a sample's end: padding that nothing declares."""
    same = (x == x[-1]).all(-1).flip(0).cumprod(0).flip(0).bool()
    return (same & (same.sum(0) >= 2)).cpu()


def _count_calls(flow: Flow, calls: list[Call]) -> None:
    """How often each module was called, and how often with a state that was cut off; also where no gradient came."""
    for site in flow:
        mine = [call for call in calls if site.name in (call.name, *site_names(call))]
        if site.statistics is not None and mine:
            site.statistics.calls = len(mine)
            site.statistics.cuts = sum(call.link == "cut" for call in mine)


def _note_non_finite(part: Part, notes: dict[str, str]) -> None:
    """Say where gradients stop being numbers; the credit curve leaves those samples out."""
    bad = ~part.grad_state.isfinite()
    if bool(bad.any()):
        steps = bad.any(1).nonzero()
        notes[part.site] = (
            f"gradients of {int(bad.any(0).sum())} of {bad.shape[1]} samples are not finite, "
            f"first seen on the way back at step {int(steps.max())}"
        )


def _note_links(sequence: Sequence, notes: dict[str, str]) -> None:
    """Say where a chain broke for a reason that the user can mend."""
    call = sequence.first
    if call.link == "altered":
        notes[call.name] = (
            f"between its calls the state passes through {call.altered_by}; total gradients are exact, "
            "but the credit curve stops there. Put the operation into a cell that declares bptt_state to measure it"
        )
