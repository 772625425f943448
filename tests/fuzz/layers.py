"""Layers of bptt.nn beside torch's: shapes of 0 to 9, lengths, dtypes, strides, packing, states, clips, backends.

What torch.nn's layer computes, bptt's computes; where torch raises, bptt raises, too, and torch's own error or bptt's
sentence. What torch does not have (clips, `embedding`) is held against the reference engine.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence

import bptt.nn
from bptt._errors import BpttError
from bptt.kernels import BACKENDS, available
from fuzz.draw import Draw

KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "rnn": ("RNN", {}),
    "relu": ("RNN", {"nonlinearity": "relu"}),
    "gru": ("GRU", {}),
    "lstm": ("LSTM", {}),
}
TOLERANCE = {
    torch.float32: {"rtol": 2e-4, "atol": 2e-5},
    torch.float64: {"rtol": 1e-10, "atol": 1e-11},
}
LATTICE = 64
"""Values are multiples of 1/64, so that nothing depends on how a number was rounded on its way in."""


class Layer:
    """One set-up, drawn: how both layers are built, and what they are called with."""

    def __init__(self, draw: Draw) -> None:
        self.name, extra = KINDS[draw.choice(list(KINDS))]
        self.dtype = draw.choice((torch.float64, torch.float32))
        # Mostly of sizes that can be; once in so many one that cannot.
        self.I, self.H = (draw.below(10) if draw.chance(6) else 1 + draw.below(9) for _ in range(2))
        self.options: dict[str, Any] = {
            "num_layers": 1 + draw.below(3),
            "bias": not draw.chance(4),
            "batch_first": draw.chance(2),
            "bidirectional": draw.chance(2),
            "dtype": self.dtype,
            **extra,
        }
        if self.name == "LSTM" and draw.chance(8):
            self.options["proj_size"] = draw.below(10)
        self.backend = draw.choice(BACKENDS if available() else ("auto", "reference", "torch"))
        self.clip: Any = None
        if draw.chance(4):
            limits = (0.5, 1e-3, 3, 1e9, 0.0, -1.0, float("inf"), float("nan"), "a", True, None)
            self.clip = draw.choice(
                (draw.choice(limits), ("norm", draw.choice(limits)), ("value", 0.1), ("x", 1.0))
            )
        self.T, self.B = (draw.below(10) if draw.chance(6) else 1 + draw.below(9) for _ in range(2))
        self.generator = torch.Generator().manual_seed(draw.below(65_536))
        self.form = draw.choice(("batched", "batched", "unbatched", "packed", "packed sorted"))
        self.x = self.input(draw)
        self.hx = self.state(draw) if draw.chance(2) else None

    def values(self, *shape: int, dtype: torch.dtype | None = None) -> Tensor:
        """Numbers between -1 and 1."""
        whole = torch.randint(-LATTICE, LATTICE + 1, shape, generator=self.generator)
        return (whole / LATTICE).to(dtype or self.dtype)

    def strided(self, tensor: Tensor, draw: Draw) -> Tensor:
        """The same values in another layout."""
        match draw.below(6):
            case 1:
                return tensor.transpose(0, -1).contiguous().transpose(0, -1)
            case 2:
                return torch.stack([tensor, tensor + 1], -1)[..., 0]
            case 3:
                return torch.cat([tensor.new_ones(1), tensor.flatten()])[1:].view(tensor.shape)
            case 4 if tensor.dim():
                return tensor[:1].expand(tensor.shape) if tensor.shape[0] else tensor
        return tensor

    def input(self, draw: Draw) -> Tensor | PackedSequence:
        """Of the shape that the layer takes, but for once in so many."""
        width = draw.below(10) if draw.chance(12) else self.I
        dtype = (
            draw.choice((torch.float16, torch.int64, torch.float64))
            if draw.chance(16)
            else self.dtype
        )
        if self.form == "unbatched":
            return self.strided(self.values(self.T, width, dtype=dtype), draw)
        first = self.options["batch_first"]
        sizes = (self.B, self.T) if first else (self.T, self.B)
        x = self.strided(self.values(*sizes, width, dtype=dtype), draw)
        if not self.form.startswith("packed") or not x.numel():
            return x
        lengths = [1 + draw.below(self.T) for _ in range(self.B)]
        by_length = self.form == "packed sorted"
        lengths = sorted(lengths, reverse=True) if by_length else lengths
        return pack_padded_sequence(x, torch.tensor(lengths), first, enforce_sorted=by_length)

    def state(self, draw: Draw) -> Any:
        """First states, of the right shape but for once in so many."""
        rows = self.options["num_layers"] * (2 if self.options["bidirectional"] else 1)
        sizes = (self.options.get("proj_size") or self.H, self.H)[: 2 if self.name == "LSTM" else 1]
        parts = []
        for size in sizes:
            shape = [rows, self.B, size] if self.form != "unbatched" else [rows, size]
            if draw.chance(12):
                shape[draw.below(len(shape))] = draw.below(10)
            if draw.chance(24):
                shape.append(1)
            parts.append(self.strided(self.values(*shape), draw))
        odd = draw.chance(24)
        return tuple(parts) if (self.name == "LSTM") != odd else parts[0]

    def build(self, module: Any, **more: Any) -> nn.Module:
        """A layer with weights of this case."""
        layer = getattr(module, self.name)(self.I, self.H, **self.options, **more)
        with torch.no_grad():
            size = 0.25 if "nonlinearity" in self.options else 1.0  # ReLU states grow without bound
            weights = size * self.values(sum(each.numel() for each in layer.parameters()))
            for each in layer.parameters():
                own, weights = weights[: each.numel()], weights[each.numel() :]
                each.copy_(own.view(each.shape))
        return layer

    def run(self, layer: nn.Module) -> list[Tensor]:
        """Outputs, final states and every gradient."""
        x = self.x.data if isinstance(self.x, PackedSequence) else self.x
        differentiable = x.is_floating_point()
        x = x.detach().requires_grad_(differentiable)
        given = self.x._replace(data=x) if isinstance(self.x, PackedSequence) else x
        parts = () if self.hx is None else self.hx if isinstance(self.hx, tuple) else (self.hx,)
        parts = tuple(each.detach().requires_grad_() for each in parts)
        hx = None if self.hx is None else parts if isinstance(self.hx, tuple) else parts[0]
        if isinstance(given, PackedSequence) and self.name == "LSTM":
            # torch's own look at what it is given, which its LSTM leaves out where it is packed, and may crash for it.
            layer.check_input(given.data, given.batch_sizes)  # type: ignore[operator]
        if isinstance(given, PackedSequence) and self.name == "LSTM" and hx is not None:
            layer.check_forward_args(given.data, hx, given.batch_sizes)  # type: ignore[operator]
        y, ends = layer(given, hx)
        y = y.data if isinstance(y, PackedSequence) else y
        ends = ends if isinstance(ends, tuple) else (ends,)
        weigh = torch.linspace(-1, 1, y.numel(), dtype=y.dtype).view(y.shape)
        loss = (y * weigh).sum() + sum(0.5 * each.sin().sum() for each in ends)
        loss.backward()
        leaves = [x, *parts, *layer.parameters()]
        grads = [torch.zeros(0) if each.grad is None else each.grad for each in leaves]
        return [y.detach(), *(each.detach() for each in ends), *grads]


def tried(run: Callable[[], list[Tensor]]) -> list[Tensor] | Exception:
    """What came of it."""
    try:
        return run()
    except (RuntimeError, ValueError, TypeError, IndexError, AttributeError) as error:
        return error


def case(data: bytes) -> None:
    """bptt's layer does what torch's does; with a clip, what its reference engine does."""
    layer = Layer(Draw(data))
    state = layer.generator.get_state()

    def of(module: Any, **more: Any) -> list[Tensor] | Exception:
        layer.generator.set_state(state)
        return tried(lambda: layer.run(layer.build(module, **more)))

    found = of(bptt.nn, backend=layer.backend, grad_clip=layer.clip)
    plain = layer.clip is None
    expected = of(nn) if plain else of(bptt.nn, backend="reference", grad_clip=layer.clip)
    compare(found, expected, layer)


def compare(found: Any, expected: Any, layer: Layer) -> None:
    """Both numbers, or both errors."""
    asked = f"{layer.name} of {layer.I} and {layer.H}, {layer.options}, {layer.backend}, clip {layer.clip}"
    if isinstance(found, BpttError):
        # A sentence of bptt's own: the engine that was asked for cannot, or there is no such clip.
        assert layer.backend in ("native", "reference", "torch") or layer.clip is not None, asked
        assert len(str(found)) > 40, found
        return
    if isinstance(expected, Exception):
        assert isinstance(found, Exception), f"only torch raised: {expected} ({asked})"
        same = type(found) is type(expected) and str(found) == str(expected)
        assert same or layer.clip is not None, f"{found!r}, torch has {expected!r} ({asked})"
        return
    assert not isinstance(found, Exception), f"only bptt raised: {found!r} ({asked})"
    assert len(found) == len(expected), asked
    for n, (mine, theirs) in enumerate(zip(found, expected, strict=True)):
        assert mine.shape == theirs.shape, f"{n}: {mine.shape}, torch has {theirs.shape} ({asked})"
        assert mine.dtype == theirs.dtype, asked
        scale = max(float(theirs.abs().max()), 1.0) if theirs.numel() else 1.0
        tolerance = TOLERANCE.get(layer.dtype, TOLERANCE[torch.float32])
        torch.testing.assert_close(
            mine, theirs, rtol=tolerance["rtol"], atol=tolerance["atol"] * scale, equal_nan=True,
            msg=lambda told, n=n: f"tensor {n}: {told} ({asked})",
        )  # fmt: skip


def target(scratch: Path) -> Callable[[bytes], None]:
    """The target, for a process of its own: on one thread. It needs no folder."""
    torch.set_num_threads(1)
    return case
