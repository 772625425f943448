"""Layers of any size in torch.nn's place: as tokens, without gradients, in half precision, converted and back.

That they are torch's layers in output and gradient is held by the fuzzing of tests/fuzz/layers.py, which draws shapes,
lengths, strides, packing, states and errors; that the engines are one another's, by tests/kernels.
"""

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence

import bptt
import bptt.nn
from bptt._errors import BpttError
from bptt.cells import CELLS, Weights, at
from bptt.kernels import available
from properties.drawn import Draft, Net, drafts, laid, layouts, squared, times

pytestmark = pytest.mark.filterwarnings(
    "ignore:dropout option adds dropout after all but last",
    "ignore:RNN module weights are not part of single contiguous chunk",
    "ignore:LSTM with projections is not supported with oneDNN",
)

ENGINES = st.sampled_from(["native", "reference"] if available() else ["reference"])
steps, batches = st.integers(1, 9), st.integers(1, 4)
few = times(25)


def passed(net: Net, x: Tensor) -> list[Tensor]:
    """Output and every gradient of one pass; the random numbers of dropout are the same each time."""
    net.zero_grad()
    x = x.detach().requires_grad_()
    torch.manual_seed(net.draft.seed)
    y = net(x)
    squared(y).backward()
    grads = [p.grad.clone() for p in net.parameters() if p.grad is not None]
    return [y.detach(), *([] if x.grad is None else [x.grad]), *grads]


def near(found: list[Tensor], expected: list[Tensor], dtype: torch.dtype) -> None:
    """As near as sums in another order are."""
    digits = 1e-9 if dtype is torch.float64 else 1e-3
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        room = digits * max(1.0, float(other.detach().abs().max()))
        torch.testing.assert_close(one, other, rtol=digits, atol=room)


def same(found: list[Tensor], expected: list[Tensor]) -> None:
    """Bit for bit."""
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0, equal_nan=True)


def belongings(model: nn.Module) -> list[Any]:
    """What a conversion may touch of a model, and nothing else may have changed."""
    return [
        (name, type(module), sorted(vars(module)), {k: id(p) for k, p in module._parameters.items()})
        for name, module in model.named_modules()
    ]  # fmt: skip


@few
@given(drafts(made_of=st.just("torch")), steps, batches, layouts, ENGINES | st.just("auto"))
def test_conversion_there_and_back(draft: Draft, T: int, B: int, layout: str, backend: str) -> None:
    if draft.dtype is torch.float32:  # a gain of 4 makes of rounding what it makes of everything
        draft.gain = min(draft.gain, 1.0)
    net = Net(draft)
    x = net.x(T, B, layout)
    before, owned = passed(net, x), belongings(net)
    assert bptt.nn.accelerate(net, backend=backend) == ["rnn"]
    assert type(net.rnn).__module__.startswith("bptt.nn")
    near(passed(net, x), before, draft.dtype)
    assert bptt.nn.restore(net) == ["rnn"]
    assert belongings(net) == owned
    same(passed(net, x), before)


@few
@given(
    drafts(made_of=st.just("torch")),
    st.sampled_from(["cuda", "", "Native", "reference "]) | st.text(max_size=4),
    st.sampled_from([0.0, -1.0, float("nan"), ("norm", 0), ("size", 1.0), "norm", True]),
    st.booleans(),
)
def test_a_conversion_that_is_refused_changes_nothing(
    draft: Draft, backend: str, clip: Any, by_backend: bool
) -> None:
    net = Net(draft)
    owned = belongings(net)
    told = {"backend": backend} if by_backend else {"grad_clip": clip}
    with pytest.raises(BpttError):
        bptt.nn.accelerate(net, **told)
    assert belongings(net) == owned


@few
@given(drafts(made_of=st.just("ours")), steps, batches, layouts, ENGINES | st.just("auto"))
def test_without_gradients_come_the_same_numbers(
    draft: Draft, T: int, B: int, layout: str, backend: str
) -> None:
    net = Net(draft)
    net.rnn.backend = backend
    x = net.x(T, B, layout)
    expected = passed(net, x)[0]
    for mode in (torch.no_grad, torch.inference_mode):
        torch.manual_seed(draft.seed)
        with mode():
            found = net(x)
        assert not found.requires_grad
        near([found], [expected], draft.dtype)


@few
@given(
    drafts(made_of=st.just("ours"), dtype=st.sampled_from([torch.bfloat16, torch.float16])),
    steps, batches, layouts,
)  # fmt: skip
def test_half_precision_is_torchs_to_the_bit(draft: Draft, T: int, B: int, layout: str) -> None:
    ours = Net(draft)
    draft.made_of = "torch"
    theirs = Net(draft)
    theirs.load_state_dict(ours.state_dict())
    x = ours.x(T, B, layout)
    same(passed(ours, x), passed(theirs, x))


@few
@given(drafts(made_of=st.just("ours")), steps, batches, ENGINES, st.sampled_from(["value", "norm"]))
def test_a_clip_that_nothing_reaches_changes_no_bit(
    draft: Draft, T: int, B: int, engine: str, kind: str
) -> None:
    net = Net(draft)
    net.rnn.backend = engine
    x = net.x(T, B)
    plain = passed(net, x)
    net.rnn.grad_clip = (kind, 1e30)
    same(passed(net, x), plain)
    assert net.rnn.clipped_steps == 0


@few
@given(
    drafts(made_of=st.just("ours"), dropout=st.just(0.0)), steps, batches, ENGINES,
    st.sampled_from([1e-8, 1e-3, 1.0]),
)  # fmt: skip
def test_clips_bound_what_goes_back_in_time(
    draft: Draft, T: int, B: int, engine: str, limit: float
) -> None:
    """With `h_0` given, its gradient is `J_1ᵀ` of a clipped one: of at most its norm times the Jacobian's."""
    draft.layers, draft.bidirectional, draft.kind = 1, False, "rnn"
    net = Net(draft)
    net.rnn.backend, net.rnn.grad_clip = engine, ("norm", limit)
    x = net.x(T, B).transpose(0, 1) if draft.batch_first else net.x(T, B)
    h_0 = torch.zeros(1, B, draft.hidden, dtype=draft.dtype, requires_grad=True)
    (100 * net.rnn(x, h_0)[0].sum()).backward()
    assert h_0.grad is not None
    widest = float(torch.linalg.matrix_norm(net.rnn.weight_hh_l0.detach().double(), 2))
    assert float(h_0.grad.norm(dim=-1).max()) <= limit * widest * (1 + 1e-4) + 1e-30
    assert 0 < net.rnn.clipped_steps <= T * B


@few
@given(drafts(made_of=st.just("ours"), dropout=st.just(0.0)), steps, batches, layouts, ENGINES)
def test_gradients_that_are_read_are_those_that_a_probe_measures(
    draft: Draft, T: int, B: int, layout: str, engine: str
) -> None:
    net, found = Net(draft), {}
    net.rnn.backend = engine
    x = net.x(T, B, layout)
    flow = bptt.measure(net, x, loss=squared)
    net.rnn.read_gradients(lambda n, reverse, told: found.update({(n, reverse): told.grad_h}))
    squared(net(x)).backward()
    assert len(found) == len(flow)
    for (n, reverse), norms in found.items():
        site = flow[f"rnn.l{n}" + "_reverse" * reverse]
        near([norms.to(draft.dtype)], [site.grad_h.to(draft.dtype)], draft.dtype)


@st.composite
def called(draw: st.DrawFn, form: str, T: int, B: int) -> Any:
    """Symbols in one of the forms that a layer takes, of any whole-number dtype and layout."""
    ids = torch.randint(7, (T, B), generator=torch.Generator().manual_seed(draw(st.integers(0, 9))))
    ids = ids.to(draw(st.sampled_from([torch.int64, torch.int32])))
    if form == "unbatched":
        return ids[:, 0]
    if form == "packed":
        lengths = [T, *(draw(st.integers(1, T)) for _ in range(B - 1))]
        return pack_padded_sequence(ids, torch.tensor(lengths), enforce_sorted=False)
    return ids.t().contiguous().t() if draw(st.booleans()) else ids


@times(40)
@given(
    drafts(made_of=st.just("ours"), dropout=st.just(0.0)), steps, batches, layouts,
    ENGINES | st.sampled_from(["auto", "torch"]), st.sampled_from(["padded", "unbatched", "packed"]), st.data(),
)  # fmt: skip
def test_symbols_are_their_vectors(
    draft: Draft, T: int, B: int, layout: str, backend: str, form: str, data: st.DataObject
) -> None:
    draft.batch_first, draft.gain = False, min(draft.gain, 1.0)
    layer = Net(draft).rnn
    layer.backend = backend
    table = laid(
        torch.randn(7, draft.inputs, dtype=draft.dtype), "plain" if "row" in layout else layout
    )
    table = table.requires_grad_()
    ids = data.draw(called(form, T, B))
    packed = isinstance(ids, PackedSequence)
    vectors = ids._replace(data=table[ids.data.long()]) if packed else table[ids.long()]
    found = []
    for y, ends in (layer(ids, embedding=table), layer(vectors)):
        y = y.data if packed else y
        end = ends[0] if isinstance(ends, tuple) else ends
        grads = torch.autograd.grad(y.sin().sum() + end.sum(), [table, *layer.parameters()])
        found.append([y, end, *grads])
    near(found[0], found[1], draft.dtype)


@times(60)
@given(
    st.sampled_from(list(CELLS)), st.integers(1, 6), st.integers(1, 4), st.integers(0, 4), st.booleans(),
    st.lists(st.integers(1, 3), max_size=2), st.integers(0, 2**31),
)  # fmt: skip
def test_a_cells_derivatives_are_autograds(
    kind: str, H: int, I: int, proj: int, bias: bool, leading: list[int], seed: int
) -> None:
    """With any number of axes before the cell's own."""
    cell, draw = CELLS[kind], torch.Generator().manual_seed(seed)

    def some(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=draw, dtype=torch.float64)

    P = proj if kind == "lstm" and 0 < proj < H else H
    GH = len(cell.gate_names) * H
    biases = (some(GH), some(GH)) if bias else (None, None)
    w = Weights(some(GH, I), some(GH, P), *biases, some(P, H) if P < H else None)
    x = some(*leading, I).requires_grad_()
    state = tuple(some(*leading, size).requires_grad_() for size in (P, H)[: cell.parts])
    after = cell.step(x, state, w)
    gates = cell.gates(x.view(1, -1, I), tuple(s.flatten(0, -2) if leading else s.unsqueeze(0) for s in state),
                       after[0].reshape(1, -1, P), w)  # fmt: skip
    local = at(cell.local(gates), 0)
    v = tuple(some(*part.shape) for part in after)
    dx, *pulled = torch.autograd.grad(after, (x, *state), v, retain_graph=True)
    flat = tuple(part.reshape(-1, part.shape[-1]) for part in v)
    pull = cell.pull(local, flat, w)
    for one, other in zip(pull, pulled, strict=True):
        torch.testing.assert_close(one, other.reshape(one.shape), rtol=1e-10, atol=1e-11)
    ours = cell.preactivation_grad(local, flat, w) @ w.w_ih
    torch.testing.assert_close(ours, dx.reshape(ours.shape), rtol=1e-10, atol=1e-11)
    jacobian, joint = cell.jacobian(local, w), torch.cat(flat, -1)
    by_rows = (joint.unsqueeze(-2) @ jacobian).squeeze(-2)
    torch.testing.assert_close(torch.cat(pull, -1), by_rows, rtol=1e-10, atol=1e-11)
    push = cell.push(local, flat, w)
    by_columns = (jacobian @ joint.unsqueeze(-1)).squeeze(-1)
    torch.testing.assert_close(torch.cat(push, -1), by_columns, rtol=1e-10, atol=1e-11)
    *_, last = cell.stages(at(gates, 0), flat, w)
    torch.testing.assert_close(last, torch.cat(pull, -1), rtol=1e-10, atol=1e-11)
