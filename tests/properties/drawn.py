"""What properties are held over: tensors of any layout, and models as users write them, drawn at random."""

from dataclasses import dataclass
from typing import Any

import torch
from hypothesis import settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

import bptt.nn
from bptt._errors import BpttError

DTYPES = [torch.float32, torch.float64]
LAYOUTS = ["plain", "turned", "every second", "a part", "one row again"]
"""`one row again` is a batch of one sample shown several times, with stride 0."""


def times(n: int) -> settings:
    """So many examples; `--hypothesis-profile=long` takes fifty times as many."""
    return settings(max_examples=n * settings().max_examples // 100)


layouts = st.sampled_from(LAYOUTS)
seeds = st.integers(0, 2**31)


def laid(x: Tensor, layout: str) -> Tensor:
    """The same values of `[T, B, I]` (or fewer axes) at other addresses; `one row again` repeats the first sample's."""
    if layout == "turned":
        return x.transpose(0, -1).contiguous().transpose(0, -1)
    if layout == "every second":
        return torch.stack([x, torch.full_like(x, torch.nan)], -1).flatten(-2)[..., ::2]
    if layout == "a part":
        room = x.new_full([size + 3 for size in x.shape], torch.nan)
        part = room[tuple(slice(2, 2 + size) for size in x.shape)]
        part.copy_(x)
        return part
    if layout == "one row again" and x.dim() > 1:
        return x[:, :1].expand_as(x)
    return x


def laid_input(given: Tensor | PackedSequence, layout: str) -> Tensor | PackedSequence:
    """The same for what a module is called with."""
    if isinstance(given, PackedSequence):
        return given._replace(data=laid(given.data, "plain" if "row" in layout else layout))
    return laid(given, layout)


@dataclass
class Draft:
    """A model in words; `Net` builds it."""

    kind: str
    made_of: str
    inputs: int
    hidden: int
    layers: int
    bidirectional: bool
    bias: bool
    dropout: float
    batch_first: bool
    last: bool
    gain: float
    dtype: torch.dtype
    seed: int


def drafts(**fixed: Any) -> st.SearchStrategy[Draft]:
    """Draw models; keyword arguments fix or replace single fields."""
    fields: dict[str, Any] = {
        "kind": st.sampled_from(["rnn", "relu", "gru", "lstm"]),
        "made_of": st.sampled_from(["torch", "torch", "ours", "cell"]),
        "inputs": st.sampled_from([1, 3]),
        "hidden": st.sampled_from([1, 2, 5, 8]),
        "layers": st.sampled_from([1, 2]),
        "bidirectional": st.booleans(),
        "bias": st.booleans(),
        "dropout": st.sampled_from([0.0, 0.3]),
        "batch_first": st.booleans(),
        "last": st.booleans(),
        "gain": st.sampled_from([1.0, 1.0, 0.1, 4.0]),
        "dtype": st.sampled_from(DTYPES),
        "seed": seeds,
    }
    return st.builds(Draft, **fields | fixed)


class Net(nn.Module):
    """Recurrence and read-out: torch's layers, bptt's, or a loop over torch's cell. `[T, B, I]` to `[·, B, 2]`."""

    def __init__(self, draft: Draft) -> None:
        super().__init__()
        torch.manual_seed(draft.seed)
        self.draft, cell = draft, draft.made_of == "cell"
        room = bptt.nn if draft.made_of == "ours" else nn
        name = {"rnn": "RNN", "relu": "RNN", "gru": "GRU", "lstm": "LSTM"}[draft.kind]
        told: dict[str, Any] = {"nonlinearity": "relu"} if draft.kind == "relu" else {}
        told |= {"bias": draft.bias, "dtype": draft.dtype}
        if not cell:
            told |= {
                "num_layers": draft.layers,
                "bidirectional": draft.bidirectional,
                "dropout": draft.dropout if draft.layers > 1 else 0.0,
                "batch_first": draft.batch_first,
            }
        kind: Any = getattr(room, name + "Cell" if cell else name)
        self.rnn = kind(draft.inputs, draft.hidden, **told)
        width = draft.hidden * (2 if draft.bidirectional and not cell else 1)
        self.readout = nn.Linear(width, 2, dtype=draft.dtype)
        with torch.no_grad():
            for parameter in self.rnn.parameters():
                parameter *= draft.gain

    def forward(self, x: Tensor) -> Tensor:
        """The read-out of every step, or of the last."""
        if self.draft.made_of == "cell":
            state, states = None, []
            for x_t in x:
                state = self.rnn(x_t, state)
                states.append(state[0] if isinstance(state, tuple) else state)
            y = torch.stack(states)
        else:
            y = self.rnn(x.transpose(0, 1) if self.draft.batch_first else x)[0]
            y = y.transpose(0, 1) if self.draft.batch_first else y
        return self.readout(y[-1:] if self.draft.last else y)

    def x(self, steps: int, batch: int, layout: str = "plain") -> Tensor:
        """An input for it, drawn from the draft's seed."""
        generator = torch.Generator().manual_seed(self.draft.seed + 1)
        size = (steps, batch, self.draft.inputs)
        return laid(torch.randn(size, generator=generator, dtype=self.draft.dtype), layout)


def squared(y: Tensor) -> Tensor:
    """A loss."""
    return (y - 0.3).square().mean()


def refused(error: BpttError) -> None:
    """What was asked for cannot be, and a sentence says why."""
    assert len(str(error)) > 20, error
