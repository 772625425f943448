"""Random recurrent set-ups, run once as the user would and once as the twin's unrolled float64 loop."""

from dataclasses import dataclass
from typing import Any

import torch
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from bptt.flow import twin

MODULES = {
    "rnn_tanh": lambda **k: nn.RNN(nonlinearity="tanh", **k),
    "rnn_relu": lambda **k: nn.RNN(nonlinearity="relu", **k),
    "gru": nn.GRU,
    "lstm": nn.LSTM,
}


@dataclass
class Case:
    """One set-up. `reads` says what the loss reads: output steps, final states, or both.

    `memory`: plain sums of the final states, whose gradients are one number spread by strides of zero; weights that lie
    transposed.
    """

    kind: str
    steps: int
    batch: int
    inputs: int
    hidden: int
    layers: int
    bidirectional: bool
    bias: bool
    dropout: float
    proj: int
    batch_first: bool
    form: str
    given_state: bool
    dtype: torch.dtype
    reads: frozenset[str]
    memory: frozenset[str]
    seed: int


def cases(**fixed: Any) -> st.SearchStrategy[Case]:
    """Draw set-ups; keyword arguments fix or replace single fields."""
    kind = st.sampled_from(list(MODULES))
    fields: dict[str, Any] = {
        "kind": kind,
        "steps": st.sampled_from([1, 2, 3, 7, 15]),
        "batch": st.sampled_from([1, 2, 3]),
        "inputs": st.sampled_from([1, 3]),
        "hidden": st.sampled_from([1, 4, 7]),
        "layers": st.sampled_from([1, 2, 3]),
        "bidirectional": st.booleans(),
        "bias": st.booleans(),
        "dropout": st.sampled_from([0.0, 0.5]),
        "proj": st.sampled_from([0, 0, 3]),
        "batch_first": st.booleans(),
        "form": st.sampled_from(["padded", "unbatched", "packed", "packed sorted"]),
        "given_state": st.booleans(),
        "dtype": st.sampled_from([torch.float32, torch.float64]),
        "reads": st.frozensets(st.sampled_from(["last", "all", "h_n", "c_n"]), min_size=1),
        "memory": st.frozensets(st.sampled_from(["sums", "weights"])),
        "seed": st.integers(0, 2**31),
    }
    fields |= fixed
    return st.builds(Case, **fields).filter(_conditioned)


def _conditioned(case: Case) -> bool:
    """A gradient of one number can cancel to nothing in float32, in torch as in bptt; float64 covers those sizes."""
    return case.dtype == torch.float64 or case.hidden > 1


class Run:
    """The set-up, ready to run: the module, its input in the case's form, and the twin's view of both."""

    def __init__(self, case: Case) -> None:
        self.case = case
        generator = torch.manual_seed(case.seed)
        proj = case.proj if case.kind == "lstm" and case.proj < case.hidden else 0
        extra = {"proj_size": proj} if case.kind == "lstm" else {}
        self.module = MODULES[case.kind](
            input_size=case.inputs,
            hidden_size=case.hidden,
            num_layers=case.layers,
            bias=case.bias,
            dropout=case.dropout if case.layers > 1 else 0.0,
            bidirectional=case.bidirectional,
            batch_first=case.batch_first,
            dtype=case.dtype,
            **extra,
        )
        for weight in self.module.parameters():
            if "weights" in case.memory and weight.dim() == 2:
                weight.data = weight.data.t().contiguous().t()
        batch = 1 if case.form == "unbatched" else case.batch
        self.x = torch.randn(case.steps, batch, case.inputs, dtype=case.dtype)
        self.lengths = None
        if case.form.startswith("packed"):
            lengths = torch.randint(1, case.steps + 1, (batch,), generator=generator)
            lengths[0] = case.steps
            sorted_ = case.form == "packed sorted"
            self.lengths = lengths.sort(descending=True).values if sorted_ else lengths.flip(0)
        rows = case.layers * (2 if case.bidirectional else 1)
        sizes = [proj or case.hidden, case.hidden][: 2 if case.kind == "lstm" else 1]
        self.start = tuple(torch.randn(rows, batch, size, dtype=case.dtype) for size in sizes)
        width = sizes[0] * (2 if case.bidirectional else 1)
        self.weight_y = torch.randn(case.steps, batch, width, dtype=torch.float64)
        self.weight_end = [torch.randn(part.shape, dtype=torch.float64) for part in self.start]

    def input(self) -> Tensor | PackedSequence:
        """The input as the case's form has it."""
        case, x = self.case, self.x
        if case.form == "unbatched":
            return x[:, 0]
        x = x.transpose(0, 1).contiguous() if case.batch_first else x
        if self.lengths is None:
            return x
        return pack_padded_sequence(
            x, self.lengths, case.batch_first, enforce_sorted=case.form == "packed sorted"
        )

    def loss(self, y: Tensor, ends: tuple[Tensor, ...]) -> Tensor:
        """A loss on what the case reads; `y` time first and batched."""
        reads, terms = self.case.reads, [y.sum() * 0]
        weight = self.weight_y.to(y.dtype)
        if "all" in reads:
            terms.append((weight * y * (1 + y)).sum())
        if "last" in reads or (self.case.kind != "lstm" and reads == {"c_n"}):
            last = self.lengths - 1 if self.lengths is not None else torch.full((y.shape[1],), -1)
            terms.append((y * weight)[last, torch.arange(y.shape[1])].sum())
        for name, end, weigh in zip(("h_n", "c_n"), ends, self.weight_end, strict=False):
            if name in reads:
                plain = "sums" in self.case.memory
                terms.append(end.sum() if plain else (end * weigh.to(end.dtype)).sum())
        return torch.stack(terms).sum()

    def run(self) -> Tensor:
        """One forward pass as a user writes it; the loss."""
        case = self.case
        torch.manual_seed(case.seed + 1)
        start = self.start if case.given_state else None
        if start is not None and case.form == "unbatched":
            start = tuple(part[:, 0] for part in start)
        hx = start if start is None or case.kind == "lstm" else start[0]
        y, ends = self.module(self.input(), hx)
        ends = ends if isinstance(ends, tuple) else (ends,)
        if isinstance(y, PackedSequence):
            y = pad_packed_sequence(y, total_length=case.steps)[0]
        elif case.form == "unbatched":
            y, ends = y.unsqueeze(1), tuple(end.unsqueeze(1) for end in ends)
        elif case.batch_first:
            y = y.transpose(0, 1)
        return self.loss(y, ends)

    def masks(self) -> list[Tensor] | None:
        """The dropout masks, drawn from the same seed as the run's."""
        case = self.case
        if case.layers == 1 or not case.dropout:
            return None
        torch.manual_seed(case.seed + 1)
        width = self.weight_y.shape[-1]
        steps, batch = self.x.shape[:2]
        if self.lengths is None:
            ones = torch.ones(steps, batch, width, dtype=case.dtype)
            return [F.dropout(ones, case.dropout).double() for _ in range(case.layers - 1)]
        packed = pack_padded_sequence(self.x, self.lengths, enforce_sorted=False)
        ones = torch.ones(len(packed.data), width, dtype=case.dtype)
        drawn = [F.dropout(ones, case.dropout) for _ in range(case.layers - 1)]
        return [pad_packed_sequence(packed._replace(data=each))[0].double() for each in drawn]

    def twin(self) -> tuple[Tensor, dict[str, twin.Unrolled]]:
        """The loss and the states of the unrolled float64 loop."""
        start = tuple(p.double() for p in self.start) if self.case.given_state else None
        y, ends, states = twin.unroll(
            self.module, self.x.double(), start, self.lengths, self.masks()
        )
        return self.loss(y, ends), states
