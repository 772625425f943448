"""What a loss makes of the rows behind the ends of sequences that were packed and then padded.

The gradient that reaches those rows is dropped: no state hears of it, so no probe does. It is read where the padded
tensor was made. Rows that are added up, as by a sum over time, hand every row of a sample the same gradient, and zeros
add nothing; a loss that compares each row with a target, or weighs rows, gives those behind an end one of their own.
"""

import weakref
from collections.abc import Callable
from functools import wraps
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils import rnn

from bptt.flow.record._shelter import sheltered

INNER: Any = vars(rnn)["_VF"]
"""What `pad_packed_sequence` calls inside: a script that imported the function earlier is met, too."""

LEAST = 0.1
"""Of the usual gradient of a row inside, that a row behind an end must have to count: less may be a normalisation's."""

_listeners: list["weakref.ref[Behind]"] = []
_kept: dict[str, Any] = {}
NAME = "_pad_packed_sequence"


class Behind:
    """Listens to `pad_packed_sequence`; `share` is known once the backward pass has come by.

    Attributes:
        share: of the rows behind the ends, those with a gradient of their own; by the numbers of samples at each step,
            which tell whose output it was.
    """

    def __init__(self) -> None:
        self.share: dict[tuple[int, ...], float] = {}

    def watch(self, yes: bool) -> None:
        """Begin or end; twice is once."""
        _drop(self)
        if yes:
            _listeners.append(weakref.ref(self))
            if not _kept:
                _kept[NAME] = getattr(INNER, NAME)
                setattr(INNER, NAME, _told(_kept[NAME]))
        elif not _listeners and _kept:
            _kept.clear()
            delattr(INNER, NAME)  # what torch has by that name is found again

    def padded(self, tensor: Tensor, sizes: Tensor, batch_first: bool) -> None:
        """Such a tensor was made: look at its gradient when that arrives."""
        node, nr = tensor.grad_fn, tensor.output_nr
        counts = tuple(sizes.tolist())
        if node is None or min(counts) == max(counts):
            return
        weak = weakref.ref(self)

        @sheltered
        def hook(grads: tuple[Tensor | None, ...]) -> None:
            behind, grad = weak(), grads[nr]
            if behind is not None and grad is not None:
                rows = grad.detach().transpose(0, 1) if batch_first else grad.detach()
                behind.share[counts] = own_share(rows, counts)

        node.register_prehook(hook)


def own_share(grad: Tensor, counts: tuple[int, ...]) -> float:
    """Of the rows behind the ends, the share that has a gradient of its own.

    Args:
        grad: `[T, B, …]`, samples sorted by length.
        counts: how many samples there are at each step.

    Example:
        >>> own_share(torch.ones(3, 2, 4), (2, 1, 1))
        0.0
        >>> own_share(torch.arange(24.0).view(3, 2, 4), (2, 1, 1))
        1.0
    """
    steps, batch = len(counts), counts[0]
    flat = grad[:steps].reshape(steps, batch, -1).double()
    inside = torch.arange(batch) < torch.tensor(counts).unsqueeze(1)
    inside = inside.to(flat.device)
    norms = flat.norm(dim=-1)
    usual = float(norms[inside].median())
    if not usual > 0:
        return 0.0
    pooled = (flat - flat[:1]).norm(dim=-1) <= 1e-6 * norms[:1]
    own = ~inside & ~pooled & (norms >= LEAST * usual)
    return float(own.sum()) / int((~inside).sum())


def _drop(behind: Behind) -> None:
    _listeners[:] = [weak for weak in _listeners if weak() is not None and weak() is not behind]


def _told(original: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(original)
    def call(
        data: Tensor, sizes: Tensor, batch_first: bool, value: float, total_length: int
    ) -> tuple[Tensor, Tensor]:
        padded, lengths = original(data, sizes, batch_first, value, total_length)
        if torch.compiler.is_compiling():
            return padded, lengths
        tell(padded, sizes, batch_first)
        return padded, lengths

    @sheltered
    def tell(padded: Tensor, sizes: Tensor, batch_first: bool) -> None:
        if padded.requires_grad:
            for behind in [each for weak in _listeners if (each := weak()) is not None]:
                behind.padded(padded, sizes, batch_first)

    return call
