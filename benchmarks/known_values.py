"""Gradient horizons of freshly initialised layers: how far back a last-step loss reaches.

    python benchmarks/known_values.py

T = 784 steps, B = 64, I = 8, H = 128, N(0, 1) inputs, mean square of the last output as the loss, one seed; credit
threshold 1e-3.
"""

import math
from collections.abc import Callable

import torch
from _report import write
from torch import nn

import bptt

T, B, I, H = 784, 64, 8, 128


def biased(layer: nn.RNNBase, gate: int, value: torch.Tensor | float) -> nn.RNNBase:
    """Set one gate's bias, and the other bias of the pair to 0."""
    rows = slice(gate * H, (gate + 1) * H)
    with torch.no_grad():
        layer.get_parameter("bias_ih_l0")[rows] = value
        layer.get_parameter("bias_hh_l0")[rows] = 0
    return layer


def orthogonal(layer: nn.RNNBase) -> nn.RNNBase:
    """Orthogonal recurrent weights, gate by gate."""
    for block in layer.get_parameter("weight_hh_l0").split(H):
        nn.init.orthogonal_(block)
    return layer


def chrono() -> torch.Tensor:
    """`log U[1, T - 1]` (Tallec and Ollivier, 2018)."""
    return torch.empty(H).uniform_(1, T - 1).log()


def chrono_lstm() -> nn.RNNBase:
    """Forget bias `b`, input bias `-b`."""
    bias = chrono()
    return biased(biased(nn.LSTM(I, H), 1, bias), 0, -bias)


LAYERS: dict[str, Callable[[], nn.RNNBase]] = {
    "LSTM": lambda: nn.LSTM(I, H),
    "LSTM, forget bias 1": lambda: biased(nn.LSTM(I, H), 1, 1.0),
    "LSTM, orthogonal": lambda: orthogonal(nn.LSTM(I, H)),
    "LSTM, orthogonal, forget bias 1": lambda: biased(orthogonal(nn.LSTM(I, H)), 1, 1.0),
    "LSTM, forget bias 3": lambda: biased(nn.LSTM(I, H), 1, 3.0),
    "LSTM, chrono": chrono_lstm,
    "GRU": lambda: nn.GRU(I, H),
    "GRU, orthogonal": lambda: orthogonal(nn.GRU(I, H)),
    "GRU, chrono": lambda: biased(nn.GRU(I, H), 1, chrono()),
    "tanh RNN": lambda: nn.RNN(I, H),
    "tanh RNN, orthogonal": lambda: orthogonal(nn.RNN(I, H)),
}


def main() -> None:
    """One row a layer."""
    rows = []
    for name, make in LAYERS.items():
        torch.manual_seed(0)
        layer = make()
        site = bptt.measure(layer, torch.randn(T, B, I), loss=lambda out: out[0][-1].pow(2).mean())[
            "l0"
        ]
        rate = site.rate or 0.0
        print(f"{name:32} {site.reach():20} x{math.exp(rate):.3f} per step")
        rows.append({"layer": name, "horizon": site.horizon, "of": site.lags, "rate": rate})
    print("written to", write("known_values", rows))


if __name__ == "__main__":
    main()
