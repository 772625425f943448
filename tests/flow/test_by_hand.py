"""Recurrences written by hand, against torch.autograd on the same loop with copies of its states."""

import copy
import gc
import weakref

import pytest
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

import bptt
from bptt.doctor import Monitor
from bptt.flow import twin
from loops import (
    LOOPS,
    BatchOfColumns,
    BiasedColumns,
    EinsumColumns,
    H,
    I,
    Leaky,
    Linears,
    Loop,
    Marks,
    Parameters,
    TurnedRows,
    plain,
)

T, B = 11, 4


def loss_of(ups: list[Tensor], where: str) -> Tensor:
    """A loss at the last step, at every step, or at a different step for each sample."""
    if where == "last":
        return ups[-1].pow(2).sum()
    if where == "every":
        return torch.stack(ups).pow(2).sum()
    stacked = torch.stack(ups)
    return stacked[T - 1 - 2 * torch.arange(B), torch.arange(B)].pow(2).sum()


@pytest.mark.parametrize("where", ["last", "every", "ends"])
@pytest.mark.parametrize("make", LOOPS)
def test_gradients_and_credit_equal_the_twins(make: type[Loop], where: str) -> None:
    torch.manual_seed(0)
    model, x = make().double(), torch.randn(B, T, I).double()
    torch.manual_seed(1)
    with bptt.probe(model, keep="full") as flow:
        loss = loss_of(model(x, plain), where)
        loss.backward()
    torch.manual_seed(1)
    marks = Marks(model.turn, model.back)
    true_loss = loss_of(model(x, marks), where)
    torch.testing.assert_close(loss, true_loss, rtol=1e-12, atol=0)
    (site,) = flow
    assert (site.name, site.kind, site.steps + make.late, flow.notes) == (
        make.name or make.__name__,
        "own",
        T,
        [],
    )
    for each in (marks.states.h, marks.states.h_on, marks.states.h_out):
        del each[: make.late]
    true = twin.gradients(true_loss, marks.states)
    torch.testing.assert_close(site.dh, true["dh"], rtol=1e-11, atol=1e-15)
    torch.testing.assert_close(
        site.grad_direct, true["direct"].norm(dim=-1), rtol=1e-11, atol=1e-15
    )
    costate = [true["dh"]]
    if marks.states.c:
        torch.testing.assert_close(site.dc, true["dc"], rtol=1e-11, atol=1e-15)
        costate.append(true["e"])
    torch.testing.assert_close(
        site.grad_state, torch.cat(costate, -1).norm(dim=-1), rtol=1e-11, atol=1e-15
    )
    curve = twin.credit(true_loss, marks.states)
    torch.testing.assert_close(site.credit, curve, rtol=1e-9, atol=1e-300, equal_nan=True)


@pytest.mark.parametrize("make", [BiasedColumns, EinsumColumns, TurnedRows, BatchOfColumns])
def test_one_sample_of_saturated_units_is_one_sample(make: type[Loop]) -> None:
    """A character model in the style of the hundred lines of numpy: batch 1, weights far too large."""
    torch.manual_seed(0)
    model, x = make(), torch.randn(1, T, I)
    with torch.no_grad():
        next(p for name, p in model.named_parameters() if name == "w").mul_(30)
    with bptt.probe(model) as flow:
        loss_of(model(x, plain), "last").backward()
    (site,) = flow
    assert site.batch == 1
    assert site.statistics is not None
    assert site.statistics.saturated is not None
    assert site.statistics.saturated > 0.5


@pytest.mark.parametrize("make", [Parameters, BiasedColumns, TurnedRows, BatchOfColumns])
def test_units_are_counted_along_their_own_axis(make: type[Loop]) -> None:
    torch.manual_seed(0)
    model, x = make(), torch.randn(B, T, I)
    with torch.no_grad():  # one unit of five stands at its end, whatever the sample
        dict(model.named_parameters())["b"].view(-1)[2] = 40.0
    with bptt.probe(model) as flow:
        loss_of(model(x, plain), "every").backward()
    (site,) = flow
    assert site.statistics is not None
    assert site.statistics.saturated_units == pytest.approx(1 / H)


@pytest.mark.parametrize(
    ("make", "half", "told"),
    [
        (Linears, torch.float16, "float16"),  # the state, a tanh, is float16 itself
        (Parameters, torch.float16, "float16"),  # its state is float32, its product is not
        (Leaky, torch.float16, "float32"),  # a way past the product is left
        (Linears, torch.bfloat16, "bfloat16"),
        (Linears, None, "float32"),
    ],
)
def test_the_precision_is_what_no_gradient_gets_past(
    make: type[Loop], half: torch.dtype | None, told: str
) -> None:
    torch.manual_seed(0)
    model, x = make(), torch.randn(B, T, I)
    with bptt.probe(model) as flow:
        with torch.autocast("cpu", half or torch.bfloat16, enabled=half is not None):
            ups = model(x, plain)
        loss_of([up.float() for up in ups], "last").backward()
    (site,) = flow
    assert site.statistics is not None
    assert site.statistics.precision == told


def test_a_declared_cell_tells_its_precision() -> None:
    class Cell(nn.Module):
        bptt_state = {"h": 0}  # noqa: RUF012 - as its page tells users to write it

        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(I + H, H)

        def forward(self, x: Tensor, h: Tensor) -> tuple[Tensor]:
            return (torch.tanh(self.layer(torch.cat([x, h], 1))),)

    cell = Cell().double()
    h = torch.zeros(B, H).double()
    with bptt.probe(cell) as flow:
        for x in torch.randn(T, B, I).double():
            (h,) = cell(x, h)
        h.sum().backward()
    (site,) = flow
    assert site.statistics is not None
    assert site.statistics.precision == "float64"


class Shared(nn.Module):
    """Weights shared in depth: one layer applied to its own output, and a residual block likewise."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.norm, self.drop = nn.Linear(H, H), nn.LayerNorm(H), nn.Dropout(0.1)

    def forward(self, x: Tensor) -> Tensor:
        for _ in range(4):
            x = torch.relu(self.layer(x))
        for _ in range(4):
            x = x + self.drop(self.norm(torch.relu(self.layer(x))))
        return x


class ReadOut(nn.Module):
    """A layer applied to every step, none of which hears of another."""

    def __init__(self) -> None:
        super().__init__()
        self.inner, self.out = nn.Linear(H, H), nn.Linear(H, 1)

    def forward(self, x: Tensor) -> Tensor:
        return torch.stack([self.out(torch.tanh(self.inner(x_t))) for x_t in x.unbind(0)])


class Albert(nn.Module):
    """A transformer layer shared in depth."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.TransformerEncoderLayer(H, 1, 8, dropout=0.1, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        for _ in range(4):
            x = self.layer(x)
        return x


@pytest.mark.parametrize("make", [Shared, ReadOut, Albert])
def test_feed_forward_models_are_not_taken_for_recurrences(make: type[nn.Module]) -> None:
    with pytest.raises(bptt.NoRecurrenceError):
        bptt.measure(make(), torch.randn(T, B, H), loss=lambda y: y.sum())


def test_a_regular_module_with_read_outs_is_left_to_the_recorder() -> None:
    class Tagger(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.cell, self.out = nn.GRUCell(I, H), nn.Linear(H, I)

        def forward(self, x: Tensor) -> Tensor:
            h, y = torch.zeros(B, H), torch.zeros(B, I)
            for x_t in x:
                h = self.cell(x_t + y, h)
                y = self.out(h)
            return y

    flow = bptt.measure(Tagger(), torch.randn(16, B, I), loss=lambda y: y.sum())
    assert flow.sites == ["cell"]
    assert (flow["cell"].kind, flow["cell"].steps) == ("gru", 16)


class Stacked(nn.Module):
    """Two layers by hand in one loop."""

    def __init__(self) -> None:
        super().__init__()
        self.wx1, self.wh1, self.wx2, self.wh2 = (nn.Linear(H, H) for _ in range(4))

    def forward(self, x: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        first, second = [torch.zeros_like(x[0])], [torch.zeros_like(x[0])]
        for x_t in x:
            first.append(torch.tanh(self.wx1(x_t) + self.wh1(first[-1])))
            second.append(torch.tanh(self.wx2(first[-1]) + self.wh2(second[-1])))
        return first[1:], second[1:]


def test_two_layers_in_one_loop_are_two_sites() -> None:
    model, x = Stacked().double(), torch.randn(T, B, H).double()
    flow = bptt.measure(model, x, loss=lambda out: torch.stack(out[1]).pow(2).sum(), keep="full")
    first, second = model(x)
    loss = torch.stack(second).pow(2).sum()
    assert sorted(flow.sites) == ["wh1", "wh2"]
    for name, states in (("wh1", first), ("wh2", second)):
        true = torch.stack(torch.autograd.grad(loss, states, retain_graph=True))
        torch.testing.assert_close(flow[name].dh, true, rtol=1e-11, atol=1e-15)
    assert flow["wh1"].horizon is not None


def test_two_sequences_through_one_cell_stand_side_by_side() -> None:
    model = Linears()
    with bptt.probe(model) as flow:
        long, short = (model(torch.randn(B, steps, I), plain)[-1] for steps in (T, 5))
        (long - short).pow(2).sum().backward()
    site = flow["Linears"]
    assert (site.steps, site.batch) == (T, 2 * B)
    assert sorted(site.lengths.tolist()) == [5] * B + [T] * B


def test_a_detach_divides_the_run() -> None:
    model, x = Linears(), torch.randn(B, 12, I)
    with bptt.probe(model) as flow:
        h, loss = torch.zeros(B, H), torch.zeros(())
        for t in range(12):
            h = torch.tanh(model.wx(x[:, t]) + model.wh(h.detach() if t % 4 == 0 else h))
            loss = loss + h.pow(2).sum()
        loss.backward()
    assert (flow.sites, flow["wh"].steps, flow["wh"].batch) == (["wh"], 4, 3 * B)


def test_what_has_no_state_of_few_tensors_is_said() -> None:
    class Attends(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.wx, self.wh = nn.Linear(I, H), nn.Linear(H, H)

        def forward(self, x: Tensor) -> Tensor:
            past = [torch.zeros(B, H)]
            for x_t in x:
                past.append(torch.tanh(self.wx(x_t) + self.wh(torch.stack(past).mean(0))))
            return past[-1]

    flow = bptt.measure(Attends(), torch.randn(30, B, I), loss=lambda y: y.sum())
    assert flow.sites == []
    assert "written by hand" in flow.notes[0].reason


def test_a_hook_that_changes_gradients_is_noticed() -> None:
    model, x = Linears(), torch.randn(B, T, I)
    with bptt.probe(model, keep="full") as flow:
        h, states = torch.zeros(B, H), []
        for t in range(T):
            h = torch.tanh(model.wx(x[:, t]) + model.wh(h))
            h.register_hook(lambda grad: grad.clamp(-1e-3, 1e-3))
            h.retain_grad()
            states.append(h)
        h.pow(2).sum().backward()
    site = flow["wh"]
    torch.testing.assert_close(site.dh, torch.stack([h.grad for h in states if h.grad is not None]))
    assert site.credit is None
    assert "hook" in flow.notes[0].reason


def train(model: Loop, watch: bool, hooks: list[int]) -> list[Tensor]:
    torch.manual_seed(3)
    optimizer, seen = torch.optim.Adam(model.parameters(), 1e-2), []
    for _ in range(3):
        x = torch.randn(B, T, I)

        def step(x: Tensor = x) -> None:
            optimizer.zero_grad()
            ups = model(x, plain)
            if ups[-1].requires_grad:
                ups[-1].register_hook(lambda _: hooks.append(1))
            ups[3].retain_grad()
            loss = torch.stack(ups).pow(2).sum()
            loss.backward()
            assert ups[3].grad is not None
            grads = [p.grad.clone() for p in model.parameters() if p.grad is not None]
            seen.extend([loss.detach(), ups[3].grad, *grads])
            optimizer.step()

        if watch:
            with bptt.probe(model):
                step()
        else:
            step()
    return [*seen, torch.get_rng_state(), *(p.detach() for p in model.state_dict().values())]


@pytest.mark.parametrize("make", LOOPS)
def test_training_under_the_probe_is_bit_identical(make: type[Loop]) -> None:
    model = make()
    hooks: tuple[list[int], list[int]] = [], []
    plainly = train(copy.deepcopy(model), False, hooks[0])
    watched = train(model, True, hooks[1])
    assert all(torch.equal(a, b) for a, b in zip(plainly, watched, strict=True))
    assert len(hooks[0]) == len(hooks[1])
    assert torch.autograd.backward.__module__ == "torch.autograd"
    assert not hasattr(torch.autograd.backward, "__wrapped__")


def test_nothing_is_held_when_the_pass_is_over() -> None:
    model, kept = Linears(), []
    gc.collect()
    gc.disable()  # reference counts alone must free the graph
    try:
        with bptt.probe(model) as flow:
            for backward in (True, False):
                ups = model(torch.randn(B, T, I), plain)
                kept += [weakref.ref(up) for up in ups]
                loss = ups[-1].sum()
                if backward:
                    loss.backward()
                del ups, loss
            assert [ref for ref in kept if ref() is not None] == []
    finally:
        gc.enable()
    assert flow["Linears"].batch == B


def test_a_pass_that_fails_fails_as_before() -> None:
    model = Linears()
    loss = model(torch.randn(B, T, I), plain)[-1].sum()
    loss.backward()
    with pytest.raises(RuntimeError, match="second time"), bptt.probe(model):
        loss.backward()
    assert not hasattr(torch.autograd.backward, "__wrapped__")


class Counted(nn.Module):
    """Steps that a checkpoint runs again; a counter and running statistics show how often."""

    def __init__(self) -> None:
        super().__init__()
        self.wx, self.wh, self.norm = nn.Linear(I, H), nn.Linear(H, H), nn.BatchNorm1d(H)
        self.runs = 0

    def steps(self, x: Tensor, h: Tensor) -> Tensor:
        self.runs += 1
        for x_t in x.unbind(1):
            h = torch.tanh(self.norm(self.wx(x_t)) + self.wh(h))
        return h

    def forward(self, x: Tensor) -> Tensor:
        h = checkpoint(self.steps, x[:, : T // 2], x.new_zeros(B, H), use_reentrant=False)
        return checkpoint(self.steps, x[:, T // 2 :], h, use_reentrant=False)


def test_what_a_checkpoint_keeps_is_not_computed_again() -> None:
    torch.manual_seed(0)
    model, x = Counted().double(), torch.randn(B, T, I).double()
    twin, plain_twin = copy.deepcopy(model), copy.deepcopy(model)
    twin(x).sum().backward()
    with bptt.probe(model, keep="full") as flow:
        model(x).sum().backward()
    assert (model.runs, twin.runs) == (4, 4)
    torch.testing.assert_close(model.state_dict(), twin.state_dict(), rtol=0, atol=0)
    (site,), (note,) = flow, flow.notes
    assert "checkpoint" in note.reason
    with bptt.probe(plain_twin, keep="full") as plain_flow:
        plain_twin.steps(x, x.new_zeros(B, H)).sum().backward()
    (plain_site,) = plain_flow
    torch.testing.assert_close(site.dh, plain_site.dh, rtol=1e-12, atol=0)


def test_unpacking_is_left_to_the_pass_itself() -> None:
    model, x, unpacked = Linears().double(), torch.randn(B, T, I).double(), []

    def unpack(kept: Tensor) -> Tensor:
        unpacked.append(torch._C._current_graph_task_id())
        return kept

    with Monitor(model, budget=1e6) as monitor:
        with torch.autograd.graph.saved_tensors_hooks(lambda kept: kept, unpack):
            loss = loss_of(model(x, plain), "every")
        loss.backward()
    assert monitor.fault is None
    assert len(monitor.tally.sites) == 1
    assert -1 not in unpacked


def test_complex_states_are_measured() -> None:
    torch.manual_seed(0)
    w = nn.Parameter(torch.randn(H, H, dtype=torch.complex128) / 4)
    model, x = nn.ParameterList([w]), torch.randn(T, B, H, dtype=torch.complex128)

    def loss(states: list[Tensor]) -> Tensor:
        h = x.new_zeros(B, H)
        for x_t in x:
            h = torch.tanh(h @ w + x_t)
            states.append(h)
            if h.requires_grad:
                h.retain_grad()
        return (h.abs().square() + h.imag).sum()

    states: list[Tensor] = []
    with bptt.probe(model, keep="full") as flow:
        loss(states).backward()
    (site,) = flow
    true = torch.stack([h.grad for h in states if h.grad is not None])
    assert (site.steps, flow.notes) == (T, [])
    torch.testing.assert_close(site.dh, true, rtol=1e-12, atol=0)
    torch.testing.assert_close(site.grad_h, true.abs().square().sum(-1).sqrt(), rtol=1e-12, atol=0)
    torch.testing.assert_close(site.grad_state, site.grad_h, rtol=1e-11, atol=0)
    size = site.grad_h / site.grad_h[-1]
    torch.testing.assert_close(site.credit, size.log().mean(1).exp().flip(0), rtol=1e-9, atol=0)
