"""The unitary evolution RNN of Arjovsky, Shah & Bengio (2016), as a loop of plain PyTorch."""

import math

import torch
from torch import Tensor, nn


class UnitaryRNN(nn.Module):
    """`h_t = modReLU(W h_{t-1} + V x_t)` on N complex units, with `W = D3 R2 F⁻¹ D2 Π R1 F D1` unitary by construction.

    D is a diagonal of phases `exp(i θ)`, R a reflection `1 - 2 v vᴴ / ‖v‖²`, Π a fixed permutation, F the Fourier
    transform; modReLU is `max(|z| + b, 0) z / |z|`. The state is kept as real and imaginary parts side by side,
    `[B, 2N]`, and W as the real matrix `[2N, 2N]` that acts on them: orthogonal, so where modReLU lets everything
    through, a gradient keeps its length exactly.

    Args:
        inputs: I.
        units: N.
        outputs: O, of a linear read-out of the last state.
    """

    order: Tensor

    def __init__(self, inputs: int, units: int, outputs: int) -> None:
        super().__init__()
        self.phases = nn.Parameter(uniform(math.pi, 3, units))
        self.mirrors = nn.Parameter(uniform(1, 2, 2, units))
        self.weight_in = nn.Parameter(uniform(math.sqrt(6 / (inputs + units)), 2 * units, inputs))
        self.bias = nn.Parameter(uniform(0.01, units))
        self.start = nn.Parameter(uniform(math.sqrt(3 / (2 * units)), 2 * units))
        self.readout = nn.Linear(2 * units, outputs)
        self.register_buffer("order", torch.randperm(units))

    def matrix(self) -> Tensor:
        """W as it acts on real and imaginary parts, `[2N, 2N]`."""
        turn = torch.polar(torch.ones_like(self.phases), self.phases)
        mirror = torch.complex(self.mirrors[0], self.mirrors[1])
        rows = torch.eye(len(self.order), dtype=turn.dtype)  # row k becomes W applied to unit k
        rows = reflected(torch.fft.fft(rows * turn[0], norm="ortho"), mirror[0])
        rows = torch.fft.ifft(rows[:, self.order] * turn[1], norm="ortho")
        columns = (reflected(rows, mirror[1]) * turn[2]).T
        re, im = columns.real, columns.imag
        return torch.cat([torch.cat([re, -im], 1), torch.cat([im, re], 1)])

    def forward(self, x: Tensor, read: int = 1) -> Tensor:
        """From `[T, B, I]` to the last output, `[1, B, O]`; `read` is 1."""
        weight, h = self.matrix().T, self.start.expand(x.shape[1], -1)
        for now in x @ self.weight_in.T:
            h = self.mod_relu(now + h @ weight)
        return self.readout(h).unsqueeze(0)

    def mod_relu(self, z: Tensor) -> Tensor:
        """The length of each complex unit plus its bias, not below 0; its angle as it was."""
        length = z.unflatten(-1, (2, -1)).square().sum(-2).add(1e-10).sqrt()
        return z * (torch.relu(length + self.bias) / length).repeat(1, 2)


def reflected(rows: Tensor, v: Tensor) -> Tensor:
    """Each row z as `z - 2 v (vᴴ z) / ‖v‖²`."""
    return rows - 2 * (rows @ v.conj()).unsqueeze(-1) * v / v.abs().square().sum()


def uniform(bound: float, *shape: int) -> Tensor:
    """Numbers of `[-bound, bound]`."""
    return torch.empty(shape).uniform_(-bound, bound)
