"""Random layers, and what an engine makes of them: shared by the tests of kernels."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from bptt.kernels import Call, Clip, Inputs, Rows, layer

GATES = {"rnn_tanh": 1, "rnn_relu": 1, "gru": 3, "lstm": 4}
CELLS = list(GATES)


@dataclass(frozen=True)
class Case:
    cell: str
    T: int = 6
    B: int = 3
    I: int = 5
    H: int = 7
    lengths: tuple[int, ...] | None = None
    reverse: bool = False
    bias: bool = True
    start: bool = True
    tokens: bool = False
    clip: Clip | None = None
    seed: int = 0

    def rows(self) -> Rows:
        if self.lengths is None:
            return Rows(self.T, self.B)
        sizes = torch.tensor([sum(n > t for n in self.lengths) for t in range(max(self.lengths))])
        return Rows(len(sizes), len(self.lengths), sizes)

    def inputs(self, dtype: torch.dtype) -> Inputs:
        """Drawn in float64, so that both precisions get the same numbers."""
        g = torch.Generator().manual_seed(self.seed)

        def draw(*shape: int, scale: float = 1.0) -> Tensor:
            values = torch.randn(*shape, generator=g, dtype=torch.float64) * scale
            return values.to(dtype).requires_grad_()

        rows, width = self.rows(), GATES[self.cell] * self.H
        x = draw(rows.N, self.I)
        w_ih = draw(width, self.I, scale=self.I**-0.5)
        if self.tokens:
            x = torch.randint(self.I, (rows.N,), generator=g)
            w_ih = draw(self.I, width)
        return Inputs(
            x,
            w_ih,
            draw(width, self.H, scale=self.H**-0.5),
            draw(width) if self.bias and not self.tokens else None,
            draw(width) if self.bias else None,
            draw(rows.B, self.H) if self.start else None,
            draw(rows.B, self.H) if self.start and self.cell == "lstm" else None,
        )


NAMES = ("x", "w_ih", "w_hh", "b_ih", "b_hh", "h0", "c0")


def run(case: Case, engine: str, dtype: torch.dtype = torch.float64, **options: object) -> dict:
    """Outputs, gradients of a random loss, step gradients and the count of clipped rows, by name."""
    inputs, found = case.inputs(dtype), {}
    call = Call(
        case.cell,
        case.rows(),
        case.reverse,
        case.clip,
        sink=lambda gradients: found.update(
            {name: part for name, part in gradients._asdict().items() if part is not None}
        ),
        values=True,
        count=lambda clipped: found.update(clipped=torch.tensor(clipped)),
        tokens=case.tokens,
    )
    outputs = layer(replace(call, **options), inputs, engine)  # type: ignore[arg-type]
    g = torch.Generator().manual_seed(case.seed + 1)
    weights = [torch.randn(o.shape, generator=g, dtype=torch.float64).to(dtype) for o in outputs]
    torch.autograd.backward(outputs, weights)
    found.update({name: o.detach() for name, o in zip(("y", "h", "c"), outputs, strict=False)})
    for name, tensor in zip(NAMES, inputs, strict=True):
        if tensor is not None and tensor.requires_grad:
            found["d_" + name] = tensor.grad
    return found


def worst(found: dict, expected: dict) -> tuple[float, str]:
    """The largest error relative to the largest value of its tensor, and where it is."""
    assert found.keys() == expected.keys()
    errors = []
    for name, exact in expected.items():
        scale = exact.double().abs().max().clamp_min(1e-30)
        error = (found[name].double() - exact.double()).abs().max() / scale
        errors.append((float(error), name))
        assert not torch.isnan(error), f"{name} has NaN where there should be none"
    return max(errors)
