"""From recorded calls to a flow: every chain of calls, layer by layer from the top, is walked back once."""

import torch
from torch import Tensor

from bptt._errors import UnmeasurableError
from bptt.flow._assemble import Part, assemble, part_of
from bptt.flow._backward import walk_back
from bptt.flow._call import Call, StateCall
from bptt.flow._credit import credit
from bptt.flow._flow import Flow, Note
from bptt.flow._linear import Linearised
from bptt.flow._own_steps import measure_own
from bptt.flow._sequence import Sequence, chains, layers, output_grad, tracks


@torch.no_grad()
def analyse(
    calls: list[Call], own: list[StateCall], *, keep: str = "norms", threshold: float = 1e-3
) -> Flow:
    """Measure everything that a gradient came back to."""
    parts: list[Part] = []
    notes: dict[str, str] = {}
    for sequence in chains(calls):
        try:
            parts += measure_sequence(sequence, full=keep == "full")
        except UnmeasurableError as reason:
            notes[sequence.first.name or "the model"] = str(reason)
        _note_links(sequence, notes)
    for part in parts:
        _note_non_finite(part, notes)
    more, more_notes = measure_own(own, full=keep == "full")
    flow = assemble(parts + more, threshold)
    notes.update(more_notes)
    flow.notes = [Note(subject, reason) for subject, reason in notes.items()]
    return flow


def measure_sequence(sequence: Sequence, *, full: bool = False) -> list[Part]:
    """All sites of one chain of calls. Cost: about one backward pass, plus one for the anchors of the credit curve."""
    stack, direct = layers(sequence), output_grad(sequence)
    valid = _valid(sequence, len(direct))
    padding = _trailing_constant(stack[0].x)
    cuts = int(sequence.first.link == "cut")
    found: list[Part] = []
    for layer in reversed(range(len(stack))):
        below = torch.zeros_like(stack[layer].x) if layer else None
        here: list[Part] = []
        for track in tracks(sequence, layer, stack[layer], direct):
            lin = Linearised(track, sequence.first.autocast or sequence.first.y.dtype)
            totals = walk_back(lin, want_dx=layer > 0, full=full)
            inside = None if valid is None else track.in_input_time(valid)
            curve = credit(lin, totals, inside)
            here.append(part_of(track, totals, curve, valid, padding, cuts))
            if below is not None and totals.dx is not None:
                below += track.in_input_time(totals.dx)
        found[:0] = here
        if below is not None:
            mask = stack[layer - 1].mask
            direct = below if mask is None else below * mask
    return found


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
        operation = call.altered_by.removesuffix("0").removesuffix("Backward")
        notes[call.name] = (
            f"between its calls the state passes through {operation}; total gradients are exact, "
            "but the credit curve stops there. Put the operation into a cell that declares bptt_state to measure it"
        )
