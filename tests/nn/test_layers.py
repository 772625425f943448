"""bptt.nn's layers are torch.nn's: outputs, gradients, random numbers, errors, everything that is done with modules."""

import copy
import io
import itertools
import pickle
import subprocess
import sys
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

import bptt.nn
from bptt._errors import BpttError
from bptt.kernels import available

PAIRS = {
    "rnn": (bptt.nn.RNN, nn.RNN),
    "relu": (
        lambda *a, **k: bptt.nn.RNN(*a, nonlinearity="relu", **k),
        lambda *a, **k: nn.RNN(*a, nonlinearity="relu", **k),
    ),
    "gru": (bptt.nn.GRU, nn.GRU),
    "lstm": (bptt.nn.LSTM, nn.LSTM),
}
ENGINES = ["native", "reference"] if available() else ["reference"]
I, H, T, B = 5, 7, 6, 4
LENGTHS = [3, 6, 1, 6]


def pair(kind: str, *args: Any, **kwargs: Any) -> tuple[Any, Any]:
    """Ours and torch's with the same weights."""
    backend = kwargs.pop("backend", "auto")
    ours, theirs = PAIRS[kind][0](*args, backend=backend, **kwargs), PAIRS[kind][1](*args, **kwargs)
    ours.load_state_dict(theirs.state_dict())
    return ours, theirs


def everything(
    module: nn.Module, x: Tensor, hx: Any = None, *, packed: bool = False
) -> list[Tensor]:
    """Outputs, final states, and the gradients of input, first states and parameters."""
    torch.manual_seed(3)
    x = x.detach().clone().requires_grad_()
    parts = () if hx is None else hx if isinstance(hx, tuple) else (hx,)
    parts = tuple(p.detach().clone().requires_grad_() for p in parts)
    given: Any = x
    if packed:
        given = pack_padded_sequence(x, LENGTHS, module.batch_first, enforce_sorted=False)  # type: ignore[arg-type]
    state = None if hx is None else parts if isinstance(hx, tuple) else parts[0]
    y, end = module(given, state)
    y = y.data if isinstance(y, PackedSequence) else y
    ends = end if isinstance(end, tuple) else (end,)
    weights = torch.linspace(-1, 1, y.numel(), dtype=y.dtype).view(y.shape)
    loss = (y * weights).sum() + sum(e.sin().sum() for e in ends)
    module.zero_grad()
    loss.backward()
    grads = [p.grad for p in (x, *parts, *module.parameters())]
    return [y, *ends, *(g for g in grads if g is not None)]


def assert_same(found: list[Tensor], expected: list[Tensor], **tolerance: Any) -> None:
    assert len(found) == len(expected)
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, **tolerance)


@pytest.mark.parametrize("backend", [*ENGINES, "auto", "torch"])
@pytest.mark.parametrize("kind", PAIRS)
@pytest.mark.parametrize(("layers", "both"), [(1, False), (1, True), (3, True)])
def test_equals_torch(kind: str, layers: int, both: bool, backend: str) -> None:
    """Every combination of bias, axis order, packing, first state and dropout, in float64."""
    for bias, first, packed, start, dropout in itertools.product((True, False), repeat=5):
        rate = 0.4 if dropout and layers > 1 else 0.0
        options = {"bias": bias, "batch_first": first, "dropout": rate, "bidirectional": both}
        ours, theirs = pair(kind, I, H, layers, backend=backend, dtype=torch.float64, **options)
        x = torch.randn((B, T, I) if first else (T, B, I), dtype=torch.float64)
        h = torch.randn(2, layers * (2 if both else 1), B, H, dtype=torch.float64)
        hx = None if not start else tuple(h) if kind == "lstm" else h[0]
        found, expected = (everything(m, x, hx, packed=packed) for m in (ours, theirs))
        assert_same(found, expected, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("kind", PAIRS)
def test_equals_torch_in_float32_at_a_real_size(kind: str) -> None:
    ours, theirs = pair(kind, 48, 96)
    x = torch.randn(40, 16, 48)
    assert_same(everything(ours, x), everything(theirs, x), rtol=1e-3, atol=3e-4)


@pytest.mark.parametrize("kind", PAIRS)
@pytest.mark.parametrize("backend", ENGINES)
def test_unbatched(kind: str, backend: str) -> None:
    ours, theirs = pair(kind, I, H, 2, bidirectional=True, batch_first=True, backend=backend)
    x, h = torch.randn(T, I), torch.randn(2, 4, H)
    hx = tuple(h) if kind == "lstm" else h[0]
    assert_same(everything(ours, x), everything(theirs, x))
    assert_same(everything(ours, x, hx), everything(theirs, x, hx))


@pytest.mark.parametrize("kind", PAIRS)
def test_shapes_and_packed_indices_are_torchs(kind: str) -> None:
    ours, theirs = pair(kind, I, H, batch_first=True)
    packed = pack_padded_sequence(torch.randn(B, T, I), LENGTHS, True, enforce_sorted=False)
    found, expected = ours(packed)[0], theirs(packed)[0]
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b)
    assert_same(list(pad_packed_sequence(found)), list(pad_packed_sequence(expected)))
    x = torch.randn(B, T, I)
    assert ours(x)[0].stride() == theirs(x)[0].stride() or kind == "lstm"


WRONG: list[tuple[Any, Any]] = [
    (torch.zeros(T, B, I + 1), None),
    (torch.zeros(T, B, I, 1), None),
    (torch.zeros(I), None),
    (torch.zeros(T, B, I, dtype=torch.float64), None),
    (torch.zeros(T, B, I, dtype=torch.int64), None),
    (torch.zeros(T, B, I), torch.zeros(1, B + 1, H)),
    (torch.zeros(T, B, I), torch.zeros(2, B, H)),
    (torch.zeros(T, B, I), torch.zeros(1, B, H + 1)),
    (torch.zeros(T, B, I), torch.zeros(B, H)),
    (torch.zeros(T, I), torch.zeros(1, B, H)),
    (torch.zeros(0, B, I), None),
    (torch.zeros(T, B, I, dtype=torch.float16), None),
]


@pytest.mark.parametrize("backend", ["auto", "torch", *ENGINES])
def test_a_packed_input_of_another_width_is_refused(backend: str) -> None:
    """Found by fuzzing: torch.nn.LSTM does not look, and its backward pass writes beyond the end of its memory."""
    packed = pack_padded_sequence(torch.zeros(T, B, I + 1), LENGTHS, enforce_sorted=False)
    with pytest.raises(RuntimeError, match=r"input.size\(-1\) must be equal to input_size"):
        bptt.nn.LSTM(I, H, bidirectional=True, backend=backend)(packed)


@pytest.mark.parametrize("backend", ["auto", "torch", *ENGINES])
@pytest.mark.parametrize("shape", [(2, B, H), (3, B + 1, H), (3, B, H + 1), (3, B)])
def test_packed_states_of_another_shape_are_refused(shape: tuple[int, ...], backend: str) -> None:
    """Found by fuzzing: torch.nn.LSTM looks at no packed state, and reads beyond the end of a c_0 of too few layers."""
    packed = pack_padded_sequence(torch.zeros(T, B, I), LENGTHS, enforce_sorted=False)
    lstm = bptt.nn.LSTM(I, H, 3, backend=backend)
    with pytest.raises(RuntimeError, match=r"Expected hidden\[1\] size \(3, 4, 7\), got"):
        lstm(packed, (torch.zeros(3, B, H), torch.zeros(shape)))


@pytest.mark.parametrize("kind", PAIRS)
@pytest.mark.parametrize("wrong", range(len(WRONG)))
@pytest.mark.parametrize("backend", ["auto", "native"] if available() else ["auto"])
def test_errors_are_torchs(kind: str, wrong: int, backend: str) -> None:
    """Same type and same sentence; where torch accepts an empty thing, an explicit engine says that it does not."""
    x, hx = WRONG[wrong]
    hx = (hx, hx) if hx is not None and kind == "lstm" else hx
    ours, theirs = pair(kind, I, H, backend=backend)
    with pytest.raises(Exception) as expected:  # noqa: PT011
        theirs(x, hx)
    if backend == "native" and x.numel() == 0:
        with pytest.raises(BpttError, match="empty tensor"):
            ours(x, hx)
        return
    with pytest.raises(type(expected.value)) as found:
        ours(x, hx)
    assert str(found.value) == str(expected.value)


@pytest.mark.parametrize("kind", PAIRS)
def test_empty_batch(kind: str) -> None:
    ours, theirs = pair(kind, I, H)
    assert_same(list(ours(torch.zeros(T, 0, I))[:1]), list(theirs(torch.zeros(T, 0, I))[:1]))


@pytest.mark.parametrize("kind", PAIRS)
def test_frozen_parts(kind: str) -> None:
    """Only what requires a gradient gets one, and the others' values do not change."""
    for frozen in itertools.product((True, False), repeat=4):
        ours, theirs = pair(kind, I, H, dtype=torch.float64)
        for module in (ours, theirs):
            for parameter, freeze in zip(module.parameters(), frozen, strict=True):
                parameter.requires_grad_(not freeze)
        x = torch.randn(T, B, I, dtype=torch.float64)
        found, expected = everything(ours, x), everything(theirs, x)
        assert_same(found, expected)
        if not all(frozen):  # without a gradient for the input too
            for module in (ours, theirs):
                module.zero_grad()
                module(x)[0].sum().backward()
            for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
                assert (a.grad is None) == (b.grad is None)
                if a.grad is not None:
                    torch.testing.assert_close(a.grad, b.grad)


def test_loss_on_last_state_only() -> None:
    ours, theirs = pair("lstm", I, H, dtype=torch.float64)
    x = torch.randn(T, B, I, dtype=torch.float64)
    for module in (ours, theirs):
        module(x)[1][1].sum().backward()
    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad)


@pytest.mark.parametrize("kind", PAIRS)
def test_gradient_of_a_gradient(kind: str) -> None:
    """A gradient penalty gives what it gives on torch's operator-by-operator path."""
    ours, theirs = pair(kind, I, H, dtype=torch.float64)
    x = torch.randn(T, B, I, dtype=torch.float64, requires_grad=True)
    found = []
    for module in (ours, theirs):
        (dx,) = torch.autograd.grad(module(x)[0].pow(2).sum(), x, create_graph=True)
        found.append(torch.autograd.grad(dx.pow(2).sum(), list(module.parameters())))
    assert_same(list(found[0]), list(found[1]))


def test_second_backward_needs_and_has_the_kept_graph() -> None:
    ours, _ = pair("gru", I, H)
    loss = ours(torch.randn(T, B, I))[0].sum()
    loss.backward(retain_graph=True)
    first = [p.grad.clone() for p in ours.parameters()]
    loss.backward()
    for grad, parameter in zip(first, ours.parameters(), strict=True):
        torch.testing.assert_close(parameter.grad, 2 * grad)
    with pytest.raises(RuntimeError, match="second time"):
        loss.backward()


@pytest.mark.parametrize("backend", [*ENGINES, "auto", "torch"])
@pytest.mark.parametrize("kind", PAIRS)
def test_autocast_is_torchs(kind: str, backend: str) -> None:
    ours, theirs = pair(kind, I, H, backend=backend)
    x = torch.randn(T, B, I)
    with torch.autocast("cpu", torch.bfloat16):
        found, expected = ours(x)[0], theirs(x)[0]
        ours.grad_clip = 0.1
        why = (
            "backend='torch' cannot"
            if backend == "torch"
            else "grad_clip was asked for, but autocast"
        )
        with pytest.raises(BpttError, match=why):
            ours(x)
    assert found.dtype == expected.dtype
    assert torch.equal(found, expected)


def test_function_transforms() -> None:
    """vmap, grad and functional_call over the layer."""
    ours, theirs = pair("lstm", I, H, dtype=torch.float64)
    x = torch.randn(3, T, B, I, dtype=torch.float64)
    parameters = {name: 2 * p.detach() for name, p in theirs.named_parameters()}

    def loss(module: nn.Module, weights: dict[str, Tensor], given: Tensor) -> Tensor:
        return torch.func.functional_call(module, weights, (given,))[0].pow(2).sum()

    torch.testing.assert_close(loss(ours, parameters, x[0]), loss(theirs, parameters, x[0]))
    found, expected = (
        torch.func.grad(lambda w, m=m: loss(m, w, x[0]))(parameters) for m in (ours, theirs)
    )
    for name, grad in expected.items():
        torch.testing.assert_close(found[name], grad)


def test_copies_and_files() -> None:
    """State dicts are exchanged with torch both ways; copies and pickles keep what bptt adds."""
    ours = bptt.nn.GRU(I, H, 2, grad_clip=("norm", 0.5), backend="reference")
    file = io.BytesIO()
    torch.save(ours.state_dict(), file)
    file.seek(0)
    theirs = nn.GRU(I, H, 2)
    theirs.load_state_dict(torch.load(file))
    x = torch.randn(T, B, I)
    for copied in (copy.deepcopy(ours), pickle.loads(pickle.dumps(ours))):
        assert copied.grad_clip == ours.grad_clip
        assert copied.backend == "reference"
        torch.testing.assert_close(copied(x)[0], theirs(x)[0])
    assert "grad_clip=('norm', 0.5), backend='reference'" in repr(ours)


def test_inference_mode_and_no_grad() -> None:
    ours, theirs = pair("lstm", I, H, 2)
    x = torch.randn(T, B, I)
    for mode in (torch.no_grad, torch.inference_mode):
        with mode():
            y = ours(x)[0]
            torch.testing.assert_close(y, theirs(x)[0])
        assert not y.requires_grad


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("kind", PAIRS)
def test_no_grad_on_a_long_input_gives_the_same_numbers(kind: str, packed: bool) -> None:
    """Without gradients the compiled layer goes through the steps in stretches."""
    ours, _ = pair(kind, 3, 160, bidirectional=True)
    x: Any = torch.randn(190, 20, 3)
    if packed:
        x = pack_padded_sequence(x, torch.arange(190, 90, -5))

    def outputs() -> list[Tensor]:
        y, end = ours(x)
        return [y.data if packed else y, *(end if isinstance(end, tuple) else (end,))]

    expected = outputs()
    with torch.no_grad():
        assert_same(outputs(), expected, rtol=0, atol=2e-6)


def test_compile_around_the_layer() -> None:
    """torch.compile takes the rest of the model and leaves the layer as it is.

    In a process of its own: Dynamo cannot follow the checks that the tests put around every function.
    """
    script = """
import torch, bptt.nn
layer = bptt.nn.LSTM(5, 7)
model, x = torch.nn.Sequential(torch.nn.Linear(3, 5), layer), torch.randn(6, 4, 3)
found = []
for run in (model, torch.compile(model, backend="aot_eager")):
    model.zero_grad()
    y = run(x)[0]
    y.sum().backward()
    found.append([y, *(p.grad.clone() for p in model.parameters())])
assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.filterwarnings("ignore:LSTM with projections")  # torch's own, on its slower path
def test_projection_runs_on_torch() -> None:
    ours, theirs = pair("lstm", I, H, proj_size=3)
    x = torch.randn(T, B, I)
    assert torch.equal(ours(x)[0], theirs(x)[0])
    ours.backend = "reference"
    with pytest.raises(BpttError, match="proj_size"):
        ours(x)


@pytest.mark.skipif(not available(), reason="the compiled recurrence is not built here")
def test_two_python_threads_at_once() -> None:
    """Calls from several threads share torch's pool; each gets its own result."""
    from concurrent.futures import ThreadPoolExecutor

    layers = [bptt.nn.RNN(64, 300, backend="native") for _ in range(4)]
    x = torch.randn(30, 1, 64)

    def gradients(layer: nn.Module) -> list[Tensor]:
        layer.zero_grad()
        layer(x)[0].sum().backward()
        return [p.grad.clone() for p in layer.parameters()]  # type: ignore[union-attr]

    expected = [gradients(layer) for layer in layers]
    with ThreadPoolExecutor(4) as pool:
        for _ in range(5):
            for found, exact in zip(pool.map(gradients, layers), expected, strict=True):
                assert all(torch.equal(a, b) for a, b in zip(found, exact, strict=True))
