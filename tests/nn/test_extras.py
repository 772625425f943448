"""What bptt's layers do besides: clipping inside the backward pass, step gradients, tokens, conversion, engines."""

import re
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence

import bptt.nn
from bptt._errors import BpttError
from bptt.cells import CELLS, Weights
from bptt.kernels import Clip, _load, available

ENGINES = ["native", "reference"] if available() else ["reference"]
LAYERS = {"rnn_tanh": bptt.nn.RNN, "gru": bptt.nn.GRU, "lstm": bptt.nn.LSTM}
I, H, T, B = 4, 6, 7, 3


def unrolled(layer: nn.RNNBase, kind: str, x: Tensor, clip: Clip | None = None) -> list[Tensor]:
    """States of a loop over the cell that autograd differentiates; each `h_t`'s gradient is clipped by a hook."""
    weights, state = Weights(*layer._flat_weights), (x.new_zeros(B, H),) * CELLS[kind].parts  # type: ignore[arg-type]
    states = []
    for t in range(len(x)):
        state = CELLS[kind].step(x[t], state, weights)
        h = state[0].clone()  # everything that uses h_t uses this, so the hook sees the total
        h.register_hook(lambda g: clipped(g, clip))
        h.retain_grad()
        state = (h, *state[1:])
        states.append(h)
    return states


def clipped(g: Tensor, clip: Clip | None) -> Tensor:
    if clip is None:
        return g
    if clip.kind == "value":
        return g.clamp(-clip.limit, clip.limit)
    return g * (clip.limit / g.norm(dim=1, keepdim=True)).clamp(max=1)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("clip", [None, ("value", 0.05), ("norm", 0.2), 0.05])
def test_clip_is_that_of_a_hook_on_every_state(kind: str, clip: Any, engine: str) -> None:
    layer = LAYERS[kind](I, H, dtype=torch.float64, grad_clip=clip, backend=engine)
    x = torch.randn(T, B, I, dtype=torch.float64)
    weights = torch.randn(T, B, H, dtype=torch.float64)
    (layer(x)[0] * weights).sum().backward()
    found = [p.grad.clone() for p in layer.parameters()]
    layer.zero_grad()
    (torch.stack(unrolled(layer, kind, x, layer.grad_clip)) * weights).sum().backward()
    for grad, parameter in zip(found, layer.parameters(), strict=True):
        torch.testing.assert_close(grad, parameter.grad)
    assert (layer.clipped_steps > 0) == (clip is not None)
    assert layer.clipped_steps <= T * B


def test_clipped_steps_counts_since_the_last_recorded_call() -> None:
    layer = bptt.nn.RNN(I, H, bidirectional=True, grad_clip=1e-9)
    x = torch.randn(T, B, I)
    for _ in range(2):
        layer(x)[0].sum().backward()
        assert layer.clipped_steps == T * B * 2
    with torch.no_grad():
        layer(x)
    assert layer.clipped_steps == T * B * 2
    layer.grad_clip = 1e9
    layer(x)[0].sum().backward()
    assert layer.clipped_steps == 0


@pytest.mark.parametrize(
    ("clip", "message"),
    [
        (0.0, "positive, finite"),
        (-1.0, "positive, finite"),
        (float("nan"), "positive, finite"),
        (float("inf"), "positive, finite"),
        (("norm", -2), "positive, finite"),
        (("max", 1.0), "'value'"),
        ("norm", "expected None"),
        (True, "expected None"),
        ((1.0, "norm"), "expected None"),
    ],
)
def test_bad_clips_are_refused(clip: Any, message: str) -> None:
    with pytest.raises(BpttError, match=message):
        bptt.nn.LSTM(I, H, grad_clip=clip)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("kind", LAYERS)
def test_step_gradients_are_those_of_the_unrolled_loop(kind: str, engine: str) -> None:
    layer, found = LAYERS[kind](I, H, dtype=torch.float64, backend=engine), []
    layer.read_gradients(lambda *what: found.append(what), values=True)
    x = torch.randn(T, B, I, dtype=torch.float64)
    layer(x)[0][-1].square().sum().backward()
    ((number, reverse, gradients),) = found
    assert (number, reverse) == (0, False)
    states = unrolled(layer, kind, x)
    states[-1].square().sum().backward()
    exact = torch.stack([h.grad for h in states])  # type: ignore[misc]
    torch.testing.assert_close(gradients.dh, exact)
    torch.testing.assert_close(gradients.grad_h, exact.norm(dim=2))
    if kind == "lstm":
        torch.testing.assert_close(gradients.grad_e, gradients.e.norm(dim=2))
        assert bool((gradients.grad_e[-1] == 0).all())
        assert bool((gradients.grad_c[-1] > 0).all())
    else:
        assert gradients.e is None
        assert gradients.grad_c is None


@pytest.mark.parametrize("engine", ENGINES)
def test_step_gradients_of_packed_samples_stand_in_the_batchs_order(engine: str) -> None:
    lengths = [2, 5, 3]
    layer, found = bptt.nn.GRU(I, H, bidirectional=True, backend=engine), {}
    layer.read_gradients(lambda number, reverse, gradients: found.update({reverse: gradients}))
    packed = pack_padded_sequence(torch.randn(5, B, I), lengths, enforce_sorted=False)
    layer(packed)[0].data.sum().backward()
    for gradients in found.values():
        assert gradients.grad_h.shape == (5, B)
        for sample, length in enumerate(lengths):
            assert bool((gradients.grad_h[:length, sample] > 0).all())
            assert bool((gradients.grad_h[length:, sample] == 0).all())


@pytest.mark.parametrize("size", [1e-30, 1e-20, 1e25])
@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("kind", LAYERS)
def test_norms_of_gradients_whose_squares_no_float_holds(
    kind: str, engine: str, size: float
) -> None:
    layer, found = LAYERS[kind](I, H, backend=engine), []
    layer.read_gradients(lambda number, reverse, gradients: found.append(gradients), values=True)
    y = layer(torch.randn(T, B, I))[0]
    y[-1].backward(torch.full_like(y[-1], size))
    for norms, values in ((found[0].grad_h, found[0].dh), (found[0].grad_e, found[0].e)):
        if norms is not None:
            exact = values.double().norm(dim=2)
            assert float(exact.max()) > 0
            torch.testing.assert_close(norms.double(), exact, rtol=1e-5, atol=1e-37)


def test_reading_gradients_changes_nothing() -> None:
    layer, x = bptt.nn.LSTM(I, H), torch.randn(T, B, I)

    def grads() -> list[Tensor]:
        layer.zero_grad()
        layer(x)[0].sum().backward()
        return [p.grad.clone() for p in layer.parameters()]  # type: ignore[union-attr]

    plain = grads()
    layer.read_gradients(lambda *what: None, values=True)
    assert all(torch.equal(a, b) for a, b in zip(plain, grads(), strict=True))
    layer.read_gradients(None)
    assert all(torch.equal(a, b) for a, b in zip(plain, grads(), strict=True))


@pytest.mark.parametrize("engine", [*ENGINES, "torch", "auto"])
@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("shape", ["padded", "batch_first", "unbatched", "packed"])
def test_tokens_equal_looked_up_vectors(kind: str, shape: str, engine: str) -> None:
    first = shape == "batch_first"
    layer = LAYERS[kind](I, H, 2, bidirectional=True, batch_first=first, backend=engine).double()
    table = nn.Embedding(9, I, dtype=torch.float64)
    ids: Any = torch.randint(9, (T,) if shape == "unbatched" else (B, T) if first else (T, B))
    vectors: Any = table(ids)
    if shape == "packed":
        ids = pack_padded_sequence(ids, [3, 7, 5], enforce_sorted=False)
        vectors = pack_padded_sequence(vectors, [3, 7, 5], enforce_sorted=False)
    found = []
    for y, end in (layer(ids, embedding=table.weight), layer(vectors)):
        y, h = (y.data if shape == "packed" else y), (end[0] if isinstance(end, tuple) else end)
        layer.zero_grad()
        table.zero_grad()
        (y.sin().sum() + h.sum()).backward(retain_graph=True)
        found.append([y, h, *(p.grad.clone() for p in (*layer.parameters(), table.weight))])  # type: ignore[union-attr]
    for a, b in zip(*found, strict=True):
        torch.testing.assert_close(a, b)


def test_token_input_is_checked() -> None:
    layer, table = bptt.nn.LSTM(I, H), torch.randn(9, I)
    with pytest.raises(BpttError, match=r"float32.*Leave embedding out"):
        layer(torch.randn(T, B, I), embedding=table)
    with pytest.raises(BpttError, match=r"expected \[symbols, input_size\]"):
        layer(torch.zeros(T, B, dtype=torch.long), embedding=table[0])
    with pytest.raises(
        (RuntimeError, IndexError), match=r"symbol 9 is not in 0 \.\. 8|out of range"
    ):
        layer(torch.full((T, B), 9), embedding=table)


class Model(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.LSTM(I, H)
        self.inner = nn.ModuleList([nn.GRU(H, H), nn.RNN(H, H, nonlinearity="relu")])
        self.special = type("Special", (nn.LSTM,), {})(H, H)
        self.same = self.encoder

    def forward(self, x: Tensor) -> Tensor:
        for layer in (self.encoder, *self.inner, self.special):
            x = layer(x)[0]
        return x


def test_accelerate_and_restore() -> None:
    model = Model()
    calls: list[str] = []
    model.encoder.register_forward_hook(lambda *_: calls.append("hook"))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    x, before = torch.randn(T, B, I), dict(model.named_parameters())
    plain = model(x)
    assert bptt.nn.accelerate(model, grad_clip=0.5) == ["encoder", "inner.0", "inner.1"]
    assert [type(m) for m in (model.encoder, model.inner[0], model.special)] == [
        bptt.nn.LSTM,
        bptt.nn.GRU,
        type(model.special),
    ]
    assert model.encoder is model.same
    assert isinstance(model.encoder, nn.LSTM)
    assert model.inner[1].nonlinearity == "relu"
    torch.testing.assert_close(model(x), plain)
    assert all(p is before[name] for name, p in model.named_parameters())
    model(x).sum().backward()
    optimizer.step()
    assert bptt.nn.accelerate(model) == []
    assert bptt.nn.restore(model) == ["encoder", "inner.0", "inner.1"]
    assert type(model.encoder) is nn.LSTM
    assert not any(
        name.startswith(("_grad_", "_backend", "clipped")) for name in vars(model.encoder)
    )
    assert model(x).shape == plain.shape
    assert len(calls) == 4


def test_explicit_engines_are_obeyed_or_raise(monkeypatch: pytest.MonkeyPatch) -> None:
    x = torch.randn(T, B, I)
    with pytest.raises(BpttError, match="expected one of 'auto', 'native', 'reference', 'torch'"):
        bptt.nn.RNN(I, H, backend="cuda")  # type: ignore[arg-type]
    for options, asked in (({"grad_clip": 1.0}, "grad_clip"), ({"bf16": True}, "bf16")):
        with pytest.raises(BpttError, match=f"cannot do {asked}"):
            bptt.nn.RNN(I, H, backend="torch", **options)(x)  # type: ignore[arg-type]
    for wrong in ({"backend": "reference"}, {"dtype": torch.float64}):
        layer = bptt.nn.RNN(I, H, bf16=True, **wrong)  # type: ignore[arg-type]
        with pytest.raises(
            BpttError, match=r"needs float32 weights|compiled recurrence is not here"
        ):
            layer(x.to(next(layer.parameters()).dtype))
    half = bptt.nn.LSTM(I, H, dtype=torch.bfloat16)
    assert half(x.bfloat16())[0].dtype == torch.bfloat16
    for engine in ENGINES:
        half.backend = engine
        with pytest.raises(
            BpttError, match=re.escape(f"backend='{engine}' was asked for, but dtype")
        ):
            half(x.bfloat16())
    with torch.autocast("cpu"), pytest.raises(BpttError, match="autocast"):
        bptt.nn.LSTM(I, H, grad_clip=1.0)(x)


def test_without_the_library(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    """It says so once, runs on torch, clips on the reference, and refuses what was asked for by name."""
    monkeypatch.setattr(_load, "LIBRARY", tmp_path / "libbptt.so")
    _load.available.cache_clear()
    try:
        x = torch.randn(T, B, I)
        with pytest.warns(RuntimeWarning, match="was not built"):
            y = bptt.nn.GRU(I, H)(x)[0]
        assert "Layer" not in type(y.grad_fn).__name__
        layer = bptt.nn.GRU(I, H, grad_clip=1e-6)
        layer(x)[0].sum().backward()
        assert layer.clipped_steps == T * B
        with pytest.raises(BpttError, match=r"C\+\+17 compiler"):
            bptt.nn.GRU(I, H, backend="native")(x)
    finally:
        _load.available.cache_clear()
