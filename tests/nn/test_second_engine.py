"""The layers against ONNX Runtime, whose recurrences share no code with torch's or bptt's."""

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

import bptt.nn
from bptt.kernels import available

onnx = pytest.importorskip("onnx", reason="onnx is not installed")
runtime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")

ENGINES = ["native", "reference"] if available() else ["reference"]
LENGTHS = [9, 4, 7, 1]
# ONNX's name, the order of its gates in torch's, and its attributes.
OPERATORS: dict[str, tuple[str, list[int], dict[str, Any]]] = {
    "rnn": ("RNN", [0], {}),
    "relu": ("RNN", [0], {"activations": ["Relu", "Relu"]}),
    "gru": ("GRU", [1, 0, 2], {"linear_before_reset": 1}),
    "lstm": ("LSTM", [0, 3, 1, 2], {}),
}


def layer(kind: str, engine: str) -> Any:
    if kind == "relu":
        return bptt.nn.RNN(5, 11, nonlinearity="relu", bidirectional=True, backend=engine)
    return {"rnn": bptt.nn.RNN, "gru": bptt.nn.GRU, "lstm": bptt.nn.LSTM}[kind](
        5, 11, bidirectional=True, backend=engine
    )


def by_onnx(kind: str, module: Any, x: Tensor) -> Tensor:
    """ONNX Runtime's `[T, B, 2·H]` with the module's weights, samples of `LENGTHS`."""
    name, order, attributes = OPERATORS[kind]

    def gates(parameter: Tensor) -> Tensor:
        parts = parameter.detach().chunk(len(order))
        return torch.cat([parts[place] for place in order])

    def both(*names: str) -> Any:
        ends = ("", "_reverse")
        each = [torch.cat([gates(getattr(module, f"{n}_l0{end}")) for n in names]) for end in ends]
        return torch.stack(each).numpy()

    feeds = {
        "X": x.numpy(),
        "W": both("weight_ih"),
        "R": both("weight_hh"),
        "B": both("bias_ih", "bias_hh"),
        "L": torch.tensor(LENGTHS, dtype=torch.int32).numpy(),
    }
    helper, types = onnx.helper, onnx.TensorProto
    node = helper.make_node(
        name, list(feeds), ["Y"], hidden_size=11, direction="bidirectional", **attributes
    )
    inputs = [
        helper.make_tensor_value_info(n, types.INT32 if n == "L" else types.FLOAT, v.shape)
        for n, v in feeds.items()
    ]
    outputs = [helper.make_tensor_value_info("Y", types.FLOAT, None)]
    graph = helper.make_graph([node], "layer", inputs, outputs)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)], ir_version=8)
    session = runtime.InferenceSession(model.SerializeToString())
    y = torch.from_numpy(session.run(None, feeds)[0])  # [T, 2, B, H]
    return y.transpose(1, 2).flatten(2)


@pytest.mark.parametrize("kind", OPERATORS)
@pytest.mark.parametrize("engine", ENGINES)
def test_equals_onnx_runtime(kind: str, engine: str) -> None:
    module, x = layer(kind, engine), torch.randn(9, 4, 5)
    packed = pack_padded_sequence(x, LENGTHS, enforce_sorted=False)
    with torch.no_grad():
        found = pad_packed_sequence(module(packed)[0])[0]
    torch.testing.assert_close(found, by_onnx(kind, module, x), rtol=1e-4, atol=1e-5)
