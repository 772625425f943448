"""How far spectra, Lyapunov exponents and attributions lie from their dense twins, from closed forms, from a second
package, and what they say of known networks.

    python benchmarks/explanations.py
"""

import math
import sys
from pathlib import Path
from typing import Any

import lyapynov
import numpy as np
import torch
from _report import write
from torch import Tensor, nn

import bptt
from bptt.flow.explain._frame import frame
from bptt.flow.twin_jacobian import exponents, gains, stack_jacobians

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
from dynamics import (  # pyright: ignore[reportMissingImports]  the tests' own modules
    MODULES,
    lively,
    own_blocks,
    steady,
)

Row = dict[str, Any]


def distance(found: Any, true: Any) -> float:
    """Largest difference, relative where a value is larger than 1."""
    a, b = np.asarray(found, float), np.asarray(true, float)
    return float((np.abs(a - b) / np.maximum(1, np.abs(b))).max())


def twins(kind: str, layers: int) -> Row:
    """Singular values, spectral radii, exponents and attribution against autograd's Jacobians and `numpy.linalg`."""
    torch.manual_seed(0)
    module, x = lively(kind, layers), torch.randn(60, 2, 3).double()
    dense, found = stack_jacobians(module, x), bptt.spectrum(module, x)
    row: Row = {"cell": kind, "layers": layers}
    pairs = list(zip(found.values(), own_blocks(module), strict=True))
    own = [(site, dense[..., block, block]) for site, block in pairs]
    row["singular"] = max(distance(s.singular, np.linalg.svd(d, compute_uv=False)) for s, d in own)
    radii = [(s.jacobian_radius, np.abs(np.linalg.eigvals(d)).max(-1)) for s, d in own]
    row["radius"] = max(distance(a, b) for a, b in radii)
    if kind != "rnn_relu":  # units that are off have no exponent
        start = frame(dense.shape[-1], dense.shape[-1]).numpy().T
        true = np.mean([exponents(dense[:, b], start, 10) for b in range(2)], 0)
        system = bptt.lyapunov(module, x, warmup=10)["l0"]
        row["exponents"] = distance(system.exponents, np.sort(true)[::-1])
    if layers == 1:
        flow = bptt.measure(module, x, loss=lambda out: out[0][-1].square().sum())
        last = module(x)[0][-1].detach().numpy()
        pulled = []
        for b in range(2):
            v = np.zeros(dense.shape[-1])
            v[: last.shape[-1]] = 2 * last[b]
            pulled.append(gains(dense[1:, b], v))
        split = flow["l0"].attribution
        assert split is not None
        row["attribution"] = distance(split.total, np.mean(pulled, 0))
    return row


def closed_forms() -> Row:
    """A linear recurrence's exponents are the logs of its eigenvalues' moduli; a scaled orthogonal one's are equal."""
    torch.manual_seed(0)
    w = torch.diag(torch.tensor([0.95, 0.7, 0.4, 0.1]).double())
    w += torch.triu(torch.rand(4, 4).double(), 1)
    module, ones = steady(w)
    linear = bptt.lyapunov(module, (torch.zeros(4000, 1, 1).double(), ones.view(1, 1, -1)))["l0"]
    logs = torch.linalg.eigvals(w).abs().log().sort(descending=True).values
    module, ones = steady(0.8 * torch.linalg.qr(torch.randn(12, 12).double())[0])
    equal = bptt.lyapunov(module, (torch.zeros(600, 1, 1).double(), ones.view(1, 1, -1)))["l0"]
    return {
        "linear": distance(linear.exponents, logs),
        "orthogonal": distance(equal.exponents, np.full(12, math.log(0.8))),
    }


def second_package() -> float:
    """Largest distance of 20 exponents of a tanh RNN from those that `lyapynov` finds."""
    torch.manual_seed(0)
    module = nn.RNN(1, 20).double()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.zero_()
        module.get_parameter("weight_hh_l0").normal_(0, 1.8 / math.sqrt(20))
    w, steps, warmup = module.get_parameter("weight_hh_l0").detach().numpy(), 20_000, 2_000
    found = bptt.lyapunov(module, noise=0.0, steps=steps, warmup=warmup, samples=1, seed=3)["l0"]
    generator = torch.Generator().manual_seed(3)
    h = (2 * torch.rand(1, 1, 20, dtype=torch.float64, generator=generator) - 1).numpy().ravel()
    system: Any = lyapynov.DiscreteDS(
        h, 0, lambda h, _: np.tanh(w @ h), lambda h, _: (1 - np.tanh(w @ h) ** 2)[:, None] * w
    )
    true = np.sort(np.asarray(lyapynov.LCE(system, 20, warmup, steps - warmup, False)))[::-1]
    return float(np.abs(found.exponents.numpy() - true).max())


def chaos(gain: float) -> Row:
    """The largest exponent of a random tanh network of 200 units."""
    torch.manual_seed(0)
    module = nn.RNN(1, 200, bias=False)
    nn.init.normal_(module.get_parameter("weight_hh_l0"), 0, gain / math.sqrt(200))
    found = bptt.lyapunov(module, k=30, noise=0.0, steps=600, warmup=200, samples=4)["l0"]
    return {"gain": gain, "largest": found.largest, "error": float(found.error[0])}


def forget_bias(bias: float | None) -> Row:
    """The largest exponent of an LSTM of 32 units, mean of five draws."""
    largest: list[Tensor | float] = []
    for seed in range(5):
        torch.manual_seed(seed)
        module = nn.LSTM(8, 32)
        if bias is not None:
            with torch.no_grad():
                module.get_parameter("bias_ih_l0")[32:64] = bias
                module.get_parameter("bias_hh_l0")[32:64] = 0
        largest.append(bptt.lyapunov(module, torch.randn(400, 4, 8), k=1)["l0"].largest)
    return {"forget_bias": bias, "largest": float(sum(largest) / 5)}


def main() -> None:
    """Measure, print, write."""
    rows = {
        "twins": [twins(kind, layers) for kind in MODULES for layers in (1, 3)],
        "closed_forms": closed_forms(),
        "second_package": second_package(),
        "chaos": [chaos(gain) for gain in (0.9, 1.5)],
        "lstm": [forget_bias(bias) for bias in (None, 1.0, 5.0)],
    }
    for name, found in rows.items():
        for row in found if isinstance(found, list) else [found]:
            print(name, row)
    print(f"written to {write('explanations', rows)}")


if __name__ == "__main__":
    main()
