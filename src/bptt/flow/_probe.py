"""`probe` and `measure`: the gradient flow of one update."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence
from torch.optim.optimizer import register_optimizer_step_pre_hook

from bptt._errors import BpttError, NoGradientError, NoRecurrenceError
from bptt.flow._flow import Flow
from bptt.flow._recorder import Keep, Recorder


@contextmanager
def probe(
    model: nn.Module,
    *,
    keep: Keep = "norms",
    threshold: float = 1e-3,
    lengths: Any = None,
) -> Iterator[Flow]:
    """Measure the gradient flow of the update that runs inside the `with` block.

    The total gradient `dL/dh_t` at every step is the number that autograd gives on an unrolled loop over the cell; the
    credit curve follows from the step Jacobians along the run's own states. The flow is filled when the block ends, or
    before an optimizer's step inside it. The block's losses, gradients and random numbers are those it has without.

    Args:
        model: any module that calls `nn.RNN`, `nn.GRU`, `nn.LSTM` or their cells, or that loops over steps by hand.
        keep: `"norms"`, or `"full"` for the gradients themselves, `[T, B, H]` a site.
        threshold: what is left of the gradient at its horizon.
        lengths: `[B]` steps of each sample of a padded batch, as a tensor or a list; packed input states its own.

    Raises:
        NoRecurrenceError: no recurrent module was called in the block.
        NoGradientError: none of those called received a gradient.

    Example:
        >>> import torch, bptt
        >>> _ = torch.manual_seed(0)
        >>> rnn = torch.nn.LSTM(8, 32)
        >>> with bptt.probe(rnn) as flow:
        ...     rnn(torch.randn(100, 4, 8))[0][-1].sum().backward()
        >>> flow.sites
        ['l0']
        >>> flow["l0"].grad_h.shape
        torch.Size([100, 4])
        >>> flow["l0"].horizon < 30
        True
    """
    if not isinstance(model, nn.Module):
        raise BpttError(f"probe takes a torch.nn.Module, not {type(model).__name__}")
    lengths = None if lengths is None else _as_lengths(lengths)
    flow, recorder = (
        Flow(threshold=threshold),
        Recorder(model, keep=keep, threshold=threshold, lengths=lengths),
    )

    def harvest(*_: Any) -> None:
        if recorder.pending:
            found = recorder.harvest()
            flow.by_name.update(found.by_name)
            flow.notes += [note for note in found.notes if note not in flow.notes]

    recorder.start()
    before_step = register_optimizer_step_pre_hook(harvest)
    try:
        yield flow
    except BaseException:
        harvest()
        raise
    finally:
        recorder.stop()
        before_step.remove()
    if recorder.fault is not None:
        raise recorder.fault
    harvest()
    if not flow.by_name and not flow.notes:
        _explain_nothing(model, recorder)


def _as_lengths(lengths: Any) -> Tensor:
    """`[B]` positive whole numbers, or a sentence on what they are instead."""
    given = torch.as_tensor(lengths)
    if given.dim() != 1 or given.is_floating_point() or not bool((given > 0).all()):
        raise BpttError(f"lengths={lengths}: expected one positive whole number a sample, [B]")
    return given


def _explain_nothing(model: nn.Module, recorder: Recorder) -> None:
    name = type(model).__name__
    if not recorder.seen:
        raise NoRecurrenceError(
            f"no recurrent module was called in {name}: bptt sees nn.RNN, nn.GRU, nn.LSTM and their "
            "cells where they are called as modules, model(x), and loops by hand that a backward pass goes through. "
            "Call the model inside the block"
        )
    raise NoGradientError(
        f"a recurrent module of {name} was called, but no gradient came back to it: call backward() on a loss that "
        "depends on its output, inside the block and with gradients enabled"
    )


def measure(
    model: nn.Module,
    x: Any,
    *,
    loss: Callable[[Any], Tensor],
    keep: Keep = "norms",
    threshold: float = 1e-3,
    lengths: Any = None,
) -> Flow:
    """Measure the gradient flow of one forward and backward pass, and leave no trace of it in the model.

    Its parameters, their `.grad`, its buffers, and torch's random-number streams are afterwards what they were. What
    `loss` itself changes, and gradients of tensors outside the model, are the caller's.

    Args:
        model: as for `probe`.
        x: the model's input: one value, a tuple of positional or a mapping of named arguments.
        loss: from the model's output to a scalar.
        keep: as for `probe`; likewise `threshold` and `lengths`.

    Raises:
        NoRecurrenceError: the model called no recurrent module.
        NoGradientError: the loss does not depend on one.

    Example:
        >>> import torch, bptt
        >>> gru = torch.nn.GRU(4, 16, batch_first=True)
        >>> flow = bptt.measure(gru, torch.randn(2, 50, 4), loss=lambda out: out[0][:, -1].sum())
        >>> flow["l0"].steps
        50
    """
    devices = sorted({p.device.index or 0 for p in model.parameters() if p.is_cuda})
    grads = [(parameter, parameter.grad) for parameter in model.parameters()]
    buffers = [(buffer, buffer.clone()) for buffer in model.buffers()]
    try:
        for parameter, _ in grads:
            parameter.grad = None
        with (
            torch.random.fork_rng(devices=devices),
            torch.enable_grad(),
            probe(model, keep=keep, threshold=threshold, lengths=lengths) as flow,
        ):
            value = loss(_call(model, x))
            if not (isinstance(value, Tensor) and value.numel() == 1):
                raise BpttError(
                    f"loss must return a scalar tensor, but it returned {_describe(value)}"
                )
            if not value.requires_grad:
                raise NoGradientError("the loss does not depend on any parameter of the model")
            value.backward()
    finally:
        with torch.no_grad():
            for parameter, grad in grads:
                parameter.grad = grad
            for buffer, kept in buffers:
                buffer.copy_(kept)
    return flow


def _call(model: nn.Module, x: Any) -> Any:
    if isinstance(x, PackedSequence):
        return model(x)
    if isinstance(x, Mapping):
        return model(**x)
    return model(*x) if isinstance(x, tuple) else model(x)


def _describe(value: Any) -> str:
    return (
        f"a tensor of shape {list(value.shape)}"
        if isinstance(value, Tensor)
        else type(value).__name__
    )
