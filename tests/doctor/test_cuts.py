"""What is detached, padded or not finite in loops that no module holds."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import rnn

from bptt.doctor import Monitor
from bptt.doctor._behind import INNER, NAME
from bptt.doctor._detached import Detached
from bptt.rules import Finding

STEPS, BATCH, WIDTH = 6, 8, 5
Loss = Callable[[dict[str, Tensor]], Tensor]


def weights() -> dict[str, Tensor]:
    made = {"u": torch.randn(2, WIDTH), "w": torch.randn(WIDTH, WIDTH), "v": torch.randn(WIDTH, 1)}
    return {name: (0.4 * value).requires_grad_() for name, value in made.items()}


def trained(loss: Loss, updates: int = 3) -> list[Finding]:
    """What is said of a loop of bare weights that is trained on this loss."""
    w = weights()
    optimizer = torch.optim.SGD(w.values(), lr=0.01)
    with Monitor(None, optimizer) as monitor:
        for _ in range(updates):
            optimizer.zero_grad()
            loss(w).backward()
            optimizer.step()
    assert monitor.fault is None
    return monitor.findings


def looped(back: Callable[[Tensor], Tensor]) -> Loss:
    """The last state's loss; `back` is what each state passes on its way to the next step."""

    def loss(w: dict[str, Tensor]) -> Tensor:
        h = torch.zeros(BATCH, WIDTH)
        for x in torch.randn(STEPS, BATCH, 2):
            h = torch.tanh(x @ w["u"] + back(h) @ w["w"])
        return (h @ w["v"]).square().mean()

    return loss


def by_numpy(h: Tensor) -> Tensor:
    return torch.from_numpy(h.detach().numpy().copy())


@pytest.mark.parametrize("back", [Tensor.detach, lambda h: h.data, by_numpy])
def test_bare_weights_that_meet_their_own_state_cut_off(back: Callable[[Tensor], Tensor]) -> None:
    if back is Tensor.detach:  # the method as scripts call it
        back = lambda h: h.detach()  # noqa: E731
    (found,) = [each for each in trained(looped(back)) if each.code == "TR401"]
    assert found.severity == "error"
    assert found.evidence["cuts"] == STEPS - 1


def test_a_state_beside_its_input_is_known_in_one_product() -> None:
    both = torch.randn(2 + WIDTH, WIDTH).mul(0.4).requires_grad_()

    def loss(w: dict[str, Tensor]) -> Tensor:
        h = torch.zeros(BATCH, WIDTH)
        for x in torch.randn(STEPS, BATCH, 2):
            h = torch.tanh(torch.cat([x, h.detach()], 1) @ both)
        return (h @ w["v"]).square().mean()

    assert "TR401" in [each.code for each in trained(loss)]


def logged(w: dict[str, Tensor]) -> Tensor:
    """States are detached for a log; the next step gets them whole."""
    trace, h = [], torch.zeros(BATCH, WIDTH)
    for x in torch.randn(STEPS, BATCH, 2):
        h = torch.tanh(x @ w["u"] + h @ w["w"])
        trace.append(h.detach())
    return (h @ w["v"]).square().mean() + 0 * torch.stack(trace).sum()


def critic(w: dict[str, Tensor]) -> Tensor:
    """Another weight reads the states detached: it shapes none of them."""
    h, loss = torch.zeros(BATCH, WIDTH), torch.zeros(())
    for x in torch.randn(STEPS, BATCH, 2):
        h = torch.tanh(x @ w["u"] + h @ w["w"])
        loss = loss + (h.detach() @ w["v"]).square().mean()
    return loss + h.square().mean()


def through_a_plant(w: dict[str, Tensor]) -> Tensor:
    """A controller observes a detached state; the gradient goes the plant's way."""
    state, loss = torch.randn(BATCH, WIDTH), torch.zeros(())
    for _ in range(STEPS):
        state = 0.9 * state + 0.1 * torch.tanh(state.detach() @ w["w"])
        loss = loss + state.square().mean()
    return loss + 0 * (w["u"].sum() + w["v"].sum())


@pytest.mark.parametrize("loss", [logged, critic, through_a_plant])
def test_what_is_detached_and_still_hands_its_gradient_on_is_no_cut(loss: Loss) -> None:
    assert [str(each) for each in trained(loss) if each.code == "TR401"] == []


def test_a_critic_of_detached_states_is_no_loop() -> None:
    cell, head = nn.GRUCell(2, WIDTH), nn.Linear(WIDTH, 1)
    optimizer = torch.optim.SGD([*cell.parameters(), *head.parameters()], lr=0.01)
    with Monitor(None, optimizer) as monitor:
        for _ in range(3):
            optimizer.zero_grad()
            h, loss = torch.zeros(BATCH, WIDTH), torch.zeros(())
            for x in torch.randn(STEPS, BATCH, 2):
                h = cell(x, h)
                loss = loss + head(h.detach()).square().mean()
            (loss + h.square().mean()).backward()
            optimizer.step()
    assert monitor.fault is None
    assert "TR401" not in [each.code for each in monitor.findings]


def test_a_carried_state_of_a_loop_by_hand_is_known() -> None:
    """One input feature: its weight is multiplied, and no product says that data enters."""
    inlet = torch.randn(1, WIDTH).requires_grad_()
    state = torch.zeros(BATCH, WIDTH)

    def loss(w: dict[str, Tensor]) -> Tensor:
        nonlocal state
        h, total = state, torch.zeros(())
        for x in torch.randn(STEPS, BATCH, 1):
            drive = torch.einsum("bi,ih->bh", x, inlet)
            h = 0.97 * h + 0.03 * torch.tanh(drive + torch.einsum("bh,hk->bk", h, w["w"]))
            total = total + (h @ w["v"]).square().mean()
        state = h.detach()
        return total + 0 * w["u"].sum()

    (found,) = [each for each in trained(loss) if each.code == "TR402"]
    assert found.severity == "warning"
    assert found.evidence["steps"] == STEPS


def test_the_wrappers_are_gone_when_nobody_listens() -> None:
    before = torch.Tensor.__dict__["detach"], torch.Tensor.__dict__["detach_"]
    first, second = Detached(), Detached()
    first.watch(True)
    second.watch(True)
    first.watch(False)
    assert torch.Tensor.__dict__["detach"] is not before[0]
    second.watch(False)
    assert (torch.Tensor.__dict__["detach"], torch.Tensor.__dict__["detach_"]) == before
    assert "data" not in torch.Tensor.__dict__
    assert NAME not in vars(INNER)


def test_what_is_detached_stays_what_it_is() -> None:
    seen, w = Detached(), torch.randn(3, 3, requires_grad=True)
    seen.watch(True)
    try:
        h = torch.tanh(torch.ones(2, 3) @ w)
        assert h.data.data_ptr() == h.detach().data_ptr() == h.data_ptr()
        assert not h.data.requires_grad
        w.data = torch.zeros(3, 3)
        assert not w.any()
        assert len(seen.now) == 1, "two names of one tensor are one"
    finally:
        seen.watch(False)


class Tagger(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.rnn, self.head = nn.GRU(2, WIDTH), nn.Linear(WIDTH, 1)

    def forward(self, sequences: list[Tensor]) -> tuple[Tensor, Tensor]:
        packed = rnn.pack_sequence(sequences, enforce_sorted=False)
        return rnn.pad_packed_sequence(self.rnn(packed)[0])


def unmasked(model: Tagger, out: Tensor, inside: Tensor) -> Tensor:
    return (model.head(out)[..., 0] - 1.0).square().mean()


def masked(model: Tagger, out: Tensor, inside: Tensor) -> Tensor:
    return (model.head(out)[..., 0] - 1.0).square()[inside].mean()


def mean_of_the_steps(model: Tagger, out: Tensor, inside: Tensor) -> Tensor:
    mean = out.sum(0) / inside.sum(0).unsqueeze(-1)
    return (model.head(mean) - 1.0).square().mean()


@pytest.mark.parametrize(
    ("loss", "codes"), [(unmasked, ["TR403"]), (masked, []), (mean_of_the_steps, [])]
)
def test_rows_behind_packed_sequences(
    loss: Callable[[Tagger, Tensor, Tensor], Tensor], codes: list[str]
) -> None:
    model = Tagger()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    with Monitor(model, optimizer) as monitor:
        for _ in range(3):
            optimizer.zero_grad()
            out, lengths = model([torch.randn(n, 2) for n in (4, 9, 3, 7, 5, 6)])
            loss(model, out, torch.arange(len(out)).unsqueeze(1) < lengths).backward()
            optimizer.step()
    assert monitor.fault is None
    assert [each.code for each in monitor.findings if each.code == "TR403"] == codes


def divided(w: dict[str, Tensor]) -> Tensor:
    """From step 3 on, sample 2 is divided by nothing."""
    h = torch.zeros(BATCH, WIDTH)
    for t, x in enumerate(torch.randn(STEPS, BATCH, 2)):
        h = torch.tanh(x @ w["u"] + h @ w["w"])
        scale = torch.ones(BATCH, 1)
        scale[2] = float(t != 3)
        h = h / scale
    return (h @ w["v"]).square().mean()


def test_the_first_state_of_a_loop_by_hand_that_is_not_finite() -> None:
    w = weights()
    optimizer = torch.optim.SGD(w.values(), lr=0.01)
    with Monitor(None, optimizer) as monitor:
        divided(w).backward()
        optimizer.step()
    assert monitor.fault is None
    incident = monitor.case.evidence.incident
    assert incident is not None
    assert (incident.where, incident.step, incident.sample) == ("forward", 3, 2)
    assert incident.site != "loss"
    assert incident.size is not None
    assert math.isfinite(incident.size)


def test_two_streams_of_one_cell_that_are_carried_are_no_cuts() -> None:
    states = [torch.zeros(BATCH, WIDTH), torch.zeros(BATCH, WIDTH)]

    def loss(w: dict[str, Tensor]) -> Tensor:
        total = torch.zeros(())
        for n in range(2):
            h = states[n].detach()
            for x in torch.randn(STEPS, BATCH, 2):
                h = torch.tanh(x @ w["u"] + h @ w["w"])
                total = total + (h @ w["v"]).square().mean()
            states[n] = h
        return total

    assert [str(each) for each in trained(loss, 10) if each.code == "TR401"] == []
