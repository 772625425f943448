"""Recurrent modules for the tests of spectra, exponents and attribution; one dense twin for all of them."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

MODULES: dict[str, Callable[[int], nn.RNNBase]] = {
    "rnn_tanh": lambda layers: nn.RNN(3, 6, layers),
    "rnn_relu": lambda layers: nn.RNN(3, 6, layers, nonlinearity="relu"),
    "gru": lambda layers: nn.GRU(3, 6, layers),
    "lstm": lambda layers: nn.LSTM(3, 6, layers),
    "lstm with projection": lambda layers: nn.LSTM(3, 6, layers, proj_size=2),
}


def lively(kind: str, layers: int = 1) -> nn.RNNBase:
    """A float64 module whose weights are larger than the default ones."""
    module = MODULES[kind](layers).double()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.normal_(0, 0.4)
    return module


def own_blocks(module: nn.RNNBase) -> list[slice]:
    """Where each layer's state lies in the joint state."""
    size = module.proj_size or module.hidden_size
    size += module.hidden_size if isinstance(module, nn.LSTM) else 0
    return [slice(n * size, (n + 1) * size) for n in range(module.num_layers)]


def steady(w_hh: Tensor) -> tuple[nn.RNN, Tensor]:
    """A ReLU RNN that rests at a state of ones with every unit on, so that its step Jacobian is `W_hh`; that state."""
    module = nn.RNN(1, len(w_hh), nonlinearity="relu").double()
    ones = torch.ones(len(w_hh), dtype=torch.float64)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.zero_()
        module.get_parameter("weight_hh_l0").copy_(w_hh)
        module.get_parameter("bias_hh_l0").copy_(ones - w_hh @ ones)
    return module, ones
