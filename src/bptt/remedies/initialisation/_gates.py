"""What the remedies on gate biases share: which gate keeps the state, and how its bias is written."""

from torch import Tensor

from bptt.remedies._change import Change
from bptt.remedies._target import Layer, RemedyError

KEEPS = {"lstm": "f", "gru": "z"}
"""The gate that keeps what was there. torch's GRU keeps `h` with `z`: `h_t = (1 - z) n + z h_{t-1}`."""


def why_not(layer: Layer) -> str:
    """Why a layer has no gate bias to set; `""` if it has one."""
    if layer.kind not in KEEPS:
        return f"a simple RNN ({layer.kind}) has no gates; to_gru or to_lstm gives it some"
    try:
        for name in ("bias_ih", "bias_hh"):
            layer.weight(name)
    except RemedyError as reason:
        return f"{reason}, and gates open by a bias; build the layer with bias=True"
    return ""


def set_biases(change: Change, layer: Layer, values: dict[str, Tensor]) -> None:
    """Give gates the biases `[H]`. torch adds two: the first gets all, the second zero."""
    for name, share in (("bias_ih", 1), ("bias_hh", 0)):
        parameter = layer.weight(name)
        bias = parameter.detach().clone()
        for gate, value in values.items():
            layer.gate(bias, gate).copy_(share * value)
        change.fill(parameter, bias)
