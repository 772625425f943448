"""The first non-finite value of a run: in the data, in a state or gate, in a gradient.

The calls of the update are searched in the order in which they were made; each layer is run again, in the precision
it ran in, only where its output is not finite.
"""

from collections.abc import Callable, Iterable
from collections.abc import Sequence as Several
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from bptt._errors import UnmeasurableError
from bptt.cells import CELLS
from bptt.doctor._seen import Forward, Seen
from bptt.flow._analyse import measure_sequence
from bptt.flow.by_hand._saved import all_saved, saved
from bptt.flow.record._call import Call
from bptt.flow.record._capture import capture
from bptt.flow.walk._sequence import Sequence, Track, layers, tracks
from bptt.rules import Incident

Where = Literal["input", "forward", "backward"]
TARGETS = ("_saved_target", "_saved_weight", "_saved_other")
"""What nodes of losses call the data they were given."""


class Place(NamedTuple):
    """Where something is not finite first; the fields of an `Incident`."""

    where: Where
    site: str
    what: str
    step: int | None = None
    sample: int | None = None
    unit: int | None = None
    gate: str | None = None
    share: float | None = None
    size: float | None = None
    outside: bool = False

    def incident(self, update: int, kept: str | None) -> Incident:
        """With the update, and the file that holds what is needed to bring it about again."""
        return Incident(update=update, kept=kept, **self._asdict())


def in_data(forward: Forward, root: Any, names: Callable[[nn.Module], str]) -> Place | None:
    """A tensor that no computation made and that holds something not finite; or the loss's target."""
    outside, inside = forward.from_outside()
    if outside:
        return _input(outside[0], "input", forward)
    if inside is not None:
        site = names(inside) or type(inside).__name__
        return Place("forward", site, "nan", gate="input", outside=True)
    for target in _targets(root):
        if not _finite(target):
            return _input(target, "target", forward)
    return _in_difference(root, forward)


def _targets(root: Any) -> Iterable[Tensor]:
    """What the first nodes below the loss were given as data."""
    queue = [] if root is None else [root]
    for node in queue:
        for name in TARGETS:
            kept = saved(node, name)
            if isinstance(kept, Tensor) and kept.grad_fn is None and kept.is_floating_point():
                yield kept
        if len(queue) < 8:
            queue += [child for child, _ in node.next_functions if child is not None]


DIFFERENCES = ("Sub", "Rsub", "Add", "Abs", "Pow", "Mul", "Div")
"""Operations in which a loss that is written out meets its target."""


def _in_difference(root: Any, forward: Forward) -> Place | None:
    """A target that a loss written out was compared with: `(y - target) ** 2` keeps the difference only.

    The difference is not finite; of its two sides one has no graph, and the other was computed from finite numbers.
    """
    queue, difference = [] if root is None else [root], None
    for node in queue:
        name, below = node.name(), node.next_functions
        kept = [tensor for tensor in _saved(node) if tensor.is_floating_point()]
        if difference is None:
            difference = next((each for each in kept if not _finite(each)), None)
        sides = [child for child, _ in below if child is not None]
        if name.startswith(("Sub", "Rsub", "Add")) and len(below) == 2 and len(sides) == 1:
            if difference is None or not _made_of_finite(sides[0]):
                return None
            return _input(difference, "target", forward)
        if len(queue) < 8 and (len(sides) == 1 or name.startswith(DIFFERENCES)):
            queue += sides
    return None


def _made_of_finite(node: Any, depth: int = 4) -> bool:
    """Whether what the node computed came from finite numbers, some levels down."""
    if node.name().endswith("AccumulateGrad"):
        return _finite(node.variable)
    if not all(_finite(each) for each in _saved(node) if each.is_floating_point()):
        return False
    below = [child for child, _ in node.next_functions if child is not None]
    return depth == 0 or all(_made_of_finite(child, depth - 1) for child in below)


def _saved(node: Any) -> list[Tensor]:
    """Tensors that a node keeps for its backward."""
    return [value for _, value in all_saved(node) if isinstance(value, Tensor)]


def _input(tensor: Tensor, site: str, forward: Forward) -> Place:
    first = (~tensor.isfinite()).nonzero()[0].tolist()
    if len(first) > 1 and _time_first(tensor, forward):
        step, sample, *unit = first
        return Place("input", site, _what(tensor), step, sample, unit[-1] if unit else None)
    sample = first[0] if first else None
    step = first[1] if len(first) == 3 else None
    return Place("input", site, _what(tensor), step, sample, first[-1] if len(first) > 1 else None)


def _time_first(tensor: Tensor, forward: Forward) -> bool:
    """Whether its axes begin as the input of a recurrent module that takes time first."""
    for seen in forward.calls:
        packed = bool(seen.args) and isinstance(seen.args[0], PackedSequence)
        if seen.is_cell or packed or seen.x.dim() != 3:
            continue
        if seen.x.shape[:2] == tensor.shape[:2]:
            return not seen.module.batch_first
    return False


def in_states(calls: Several[Seen], names: Callable[[nn.Module], str]) -> Place | None:
    """The first state or gate that is not finite."""
    for t, seen in enumerate(calls):
        if _finite(seen.y):
            continue
        step = sum(each.module is seen.module for each in calls[:t]) if seen.is_cell else None
        found = _in_call(seen, call_of(seen, names))
        if step is not None:
            found = found._replace(step=step)
        return found
    return None


def call_of(seen: Seen, names: Callable[[nn.Module], str]) -> Call:
    """The call as a probe would have recorded it."""
    call = capture(
        seen.module,
        seen.kind,
        names(seen.module),
        seen.args,
        seen.kwargs,
        seen.output,
        None,
        {},
        {},
    )
    call.grads = dict(seen.grads)
    return call


def _in_call(seen: Seen, call: Call) -> Place:
    sequence = Sequence([call])
    for n, layer in enumerate(layers(sequence)):
        nothing = layer.y.new_zeros(()).expand_as(layer.y)
        for track in tracks(sequence, n, layer, nothing):
            if not _finite(track.y):
                return _in_track(track, seen.x.isfinite().all())
    return Place("forward", call.name, _what(seen.y))


def _in_track(track: Track, input_finite: Any) -> Place:
    bad = ~track.y.isfinite()
    step = int(bad.flatten(1).any(1).nonzero()[0])
    sample, unit = (int(each) for each in bad[step].nonzero()[0])
    before = track.y[:step]
    place = Place(
        where="forward",
        site=track.site,
        what=_what(track.y[step]),
        step=int(track.in_input_time(torch.arange(track.steps).view(-1, 1))[step, 0])
        if track.reverse and track.lengths is None
        else step,
        sample=sample,
        unit=unit,
        share=float(bad[step].double().mean()),
        size=float(before.abs().max()) if before.numel() else 0.0,
    )
    if not all(_finite(w) for w in track.w if w is not None):
        return place._replace(gate="weights", outside=True)
    if not input_finite or not _finite(track.x[: step + 1]):
        return place._replace(gate="input", outside=True)
    return _by_gate(track, place, step)


def _by_gate(track: Track, place: Place, step: int) -> Place:
    """Which gate it is: gates up to that step are made again from the states before it."""
    cell, upto = CELLS[track.kind], slice(0, step + 1)
    gates = cell.gates(track.x[upto], track.start, track.y[upto], track.w)
    fields = [name for name in (*cell.gate_names, "c") if hasattr(gates, name)]
    for name in fields:
        value = getattr(gates, name)[step]
        if not _finite(value):
            sample, unit = (int(each) for each in (~value.isfinite()).nonzero()[0])
            return place._replace(gate=name, sample=sample, unit=unit)
    return place._replace(gate="h")


def in_gradients(calls: Several[Seen], names: Callable[[nn.Module], str]) -> Place | None:
    """The first gradient on the way back that is not finite, in the modules whose gradients were seen."""
    for seen in reversed(calls):
        if not seen.grads:
            continue
        came = any(not _finite(grad) for grad in seen.grads.values())
        try:
            parts = measure_sequence(Sequence([call_of(seen, names)]))
        except UnmeasurableError:
            continue
        for part in reversed(parts):
            bad = ~part.grad_state.isfinite()
            if not bool(bad.any()):
                continue
            steps = bad.any(1).nonzero()
            step = int(steps.min() if part.reverse else steps.max())
            fine = part.grad_state[part.grad_state.isfinite()]
            return Place(
                where="backward",
                site=part.site,
                what=_what(part.grad_state),
                step=step,
                sample=int(bad[step].nonzero()[0]),
                share=float(bad[step].double().mean()),
                size=float(fine.max()) if fine.numel() else None,
                outside=came,
            )
    return None


def _finite(tensor: Tensor) -> bool:
    return bool(tensor.isfinite().all())


def _what(tensor: Tensor) -> str:
    nan, inf = bool(tensor.isnan().any()), bool(tensor.isinf().any())
    return "nan and inf" if nan and inf else "inf" if inf else "nan"
