"""The trajectory of one forward pass: recurrent modules' calls recorded without any backward pass."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from bptt._errors import BpttError, NoRecurrenceError
from bptt.flow._probe import _call
from bptt.flow.record._call import Call, kind_of
from bptt.flow.record._capture import _join, capture
from bptt.flow.record._names import Names
from bptt.flow.walk._sequence import Sequence, Track, layers, tracks

RECENT = 16
"""How many calls back the call that hands its state on is looked for."""


def trajectories(model: nn.Module, x: Any, lengths: Tensor | None = None) -> list[Sequence]:
    """Run the model on `x` once and return the sequences that its recurrent modules ran, in the order of their calls.

    Parameters, buffers and random-number streams are afterwards what they were.

    Raises:
        NoRecurrenceError: no recurrent module was called.
    """
    if not isinstance(model, nn.Module):
        raise BpttError(f"expected a torch.nn.Module, not {type(model).__name__}")
    with torch.no_grad(), _untouched(model), _recording(model, lengths) as calls:
        _call(model, x)
    if not calls:
        raise NoRecurrenceError(_nothing(model))
    return [
        _chain(call) for call in calls if call.previous is None or call.previous.next is not call
    ]


def _nothing(model: nn.Module) -> str:
    own = sorted({type(m).__name__ for m in model.modules() if hasattr(m, "bptt_state")})
    if own:
        return (
            f"{', '.join(own)} in {type(model).__name__} is a cell of your own: its step Jacobians are not known here, "
            "only those of nn.RNN, nn.GRU, nn.LSTM and their cells; bptt.measure gives its gradients and credit curve"
        )
    return (
        f"no recurrent module was called in {type(model).__name__}: expected nn.RNN, nn.GRU, nn.LSTM or their cells; "
        "of loops written by hand bptt.measure gives gradients and credit curve"
    )


@contextmanager
def _untouched(model: nn.Module) -> Iterator[None]:
    """Buffers and random-number streams come back as they were."""
    buffers = [(buffer, buffer.clone()) for buffer in model.buffers()]
    devices = sorted({p.device.index or 0 for p in model.parameters() if p.is_cuda})
    try:
        with torch.random.fork_rng(devices=devices):
            yield
    finally:
        for buffer, kept in buffers:
            buffer.copy_(kept)


@contextmanager
def _recording(model: nn.Module, lengths: Tensor | None) -> Iterator[list[Call]]:
    calls: list[Call] = []
    names, copies, rng = Names(model), {}, {}

    def before(module: nn.Module, args: Any) -> None:
        if isinstance(module, nn.RNNBase) and module.training and module.dropout > 0:
            device = next(module.parameters()).device
            rng[id(module)] = (
                torch.cuda.get_rng_state(device) if device.type == "cuda" else torch.get_rng_state()
            )

    def after(module: nn.Module, args: Any, kwargs: Any, output: Any) -> None:
        kind = kind_of(module)
        if kind is None:
            return
        drawn = rng.pop(id(module), None)
        call = capture(module, kind, names(module), args, kwargs, output, drawn, copies, {})
        call.lengths = lengths
        _follow(call, [each for each in calls[-RECENT:] if each.module is module])
        calls.append(call)

    with ExitStack() as hooks:
        for module in model.modules():
            hooks.enter_context(_removed(module.register_forward_pre_hook(before)))
            handle = module.register_forward_hook(after, with_kwargs=True, prepend=True)
            hooks.enter_context(_removed(handle))
        yield calls


def _follow(call: Call, earlier: list[Call]) -> None:
    """Chain a call to the one whose final state it starts from, by value: a detach does not end a trajectory."""
    for last in reversed(earlier):
        pairs = list(zip(call.start, last.end, strict=True))
        if all(a.shape == b.shape and torch.equal(a, b) and bool(a.any()) for a, b in pairs):
            call.previous = last
            _join(last, call)
            return


@contextmanager
def _removed(handle: Any) -> Iterator[None]:
    try:
        yield
    finally:
        handle.remove()


def _chain(call: Call) -> Sequence:
    chain: list[Call] = []
    each: Call | None = call
    while each is not None:
        chain.append(each)
        each = each.next
    return Sequence(chain)


def stretches(sequence: Sequence) -> list[Track]:
    """Every layer and direction of a sequence as a track with no gradient on it."""
    stack, found = layers(sequence), []
    for n, layer in enumerate(stack):
        nothing = layer.y.new_zeros(()).expand_as(layer.y)
        found += tracks(sequence, n, layer, nothing)
    return found


def inside(sequence: Sequence, steps: int) -> Tensor:
    """`[T, B]` which steps are inside each sample, in input time.

    Raises:
        BpttError: the lengths that were given do not fit the batch.
    """
    lengths, batch = sequence.stated_lengths, sequence.first.batch
    if lengths is None:
        return torch.ones(steps, batch, dtype=torch.bool)
    if len(lengths) != batch:
        raise BpttError(
            f"lengths has {len(lengths)} entries, but the module was called with {batch} samples"
        )
    return torch.arange(steps).unsqueeze(1) < lengths.cpu()
