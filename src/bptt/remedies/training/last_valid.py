"""Outputs behind a sequence's end repeat its last valid one."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence
from torch.optim import Optimizer

from bptt.flow.walk._statistics import padding_in
from bptt.remedies._change import Change
from bptt.remedies._target import RemedyError, Target
from bptt.remedies.training._modules import sequences_at

CURES = ("TR403",)

Lengths = Callable[[Tensor], Tensor]
"""From the input in the layer's own order to the steps of each sample, `[B]`."""


def fits(target: Target) -> str:
    """A layer that is given whole sequences."""
    try:
        found = sequences_at(target.model, target.site)
    except RemedyError as error:
        return str(error)
    return (
        ""
        if found
        else "a loop over a cell reads what its script reads: stop each sample at its own end"
    )


def last_valid(
    model: nn.Module,
    *,
    optimizer: Optimizer | None = None,
    site: str = "",
    lengths: Lengths | None = None,
) -> Change:
    """Run each sample to its own end, and let the outputs behind it repeat the last one: `y_t = y_{n-1}` for `t ≥ n`.

    The layer is given packed input, so that its state never sees padding, `h_n` and `c_n` are those at each sample's
    end, and a backward direction begins there. A script that reads `y[-1]` then reads the true end; a mean over all
    steps weighs that end more, but holds nothing that was computed from padding. Shapes stay.

    Args:
        model: holds the layers.
        optimizer: has no meaning here.
        site: one module or site, `""` for all.
        lengths: from the layer's input to the steps of each sample `[B]`. If None they are found in each batch: what
            all shorter samples end in, one and the same vector, is padding; a batch without it passes unchanged.

    Raises:
        RemedyError: no layer there; nothing was changed.

    Example:
        >>> model = nn.GRU(1, 4)
        >>> x = torch.tensor([[1.0, 2.0, 3.0], [0.0, 4.0, 5.0], [0.0, 0.0, 6.0]]).unsqueeze(-1)  # 1, 2 and 3 steps
        >>> change = last_valid(model, lengths=lambda x: torch.tensor([1, 2, 3]))
        >>> y, h = model(x)
        >>> torch.equal(y[-1], h[0]), torch.equal(y[0, 0], y[2, 0])
        (True, True)
        >>> change.undo()

    Source: PyTorch documentation, torch.nn.utils.rnn.pack_padded_sequence.
    """
    with Change("last_valid", {}) as change:
        change.counts["batches"] = 0
        for module in sequences_at(model, site):
            packer = _Packer(lengths, change.counts)
            change.hook(module.register_forward_pre_hook(packer.before, with_kwargs=True))
            change.hook(module.register_forward_hook(packer.after))
        change.said.append("outputs behind a sample's end repeat its last valid one")
        change.lines = (
            "packed = pack_padded_sequence(x, lengths, enforce_sorted=False)",
            "y, h_n = rnn(packed)  # and read h_n[-1]",
        )
    return change


class _Packer:
    """Packs the input of one layer, and unpacks its output."""

    def __init__(self, lengths: Lengths | None, counts: dict[str, int]) -> None:
        self.lengths, self.counts = lengths, counts
        self.steps: list[int | None] = []  # of the calls that are going on

    def before(self, module: nn.RNNBase, args: Any, kwargs: Any) -> Any:
        """Pack."""
        x = args[0] if args else kwargs.get("input")
        self.steps.append(None)
        if not isinstance(x, Tensor) or x.dim() != 3:
            return None
        time = 1 if module.batch_first else 0
        known = self.lengths(x) if self.lengths is not None else _found(x.transpose(0, time))
        if known is None or int(known.min()) == x.shape[time]:
            return None
        packed = pack_padded_sequence(x, known.cpu(), module.batch_first, enforce_sorted=False)
        self.steps[-1] = x.shape[time]
        self.counts["batches"] += 1
        return (packed, *args[1:]) if args else args, {
            **kwargs,
            "input": packed,
        } if not args else kwargs

    def after(self, module: nn.RNNBase, args: Any, output: Any) -> Any:
        """Unpack, and repeat."""
        total = self.steps.pop()
        packed, state = output
        if total is None or not isinstance(packed, PackedSequence):
            return None
        y, known = pad_packed_sequence(packed, module.batch_first, total_length=total)
        time = 1 if module.batch_first else 0
        t = torch.arange(total).unsqueeze(1).minimum(known - 1)  # [T, B]: the step to read at t
        t = t.transpose(0, time).unsqueeze(-1).expand_as(y).to(y.device)
        return y.gather(time, t), state


def _found(x: Tensor) -> Tensor | None:
    """`[B]` steps of each sample of `x` `[T, B, I]`; None without padding."""
    padding = padding_in(x.detach())
    if padding is None:
        return None
    pad = x[-1, int(padding[-1].nonzero()[0])]
    tail = (x == pad).all(-1).flip(0).cumprod(0).sum(0)  # one step of it is padding as well
    return (len(x) - tail).clamp(min=1)
