"""What the loss says of the axes, which states are handed on without gradient, and who owns a loop's weights."""

import torch
from torch import Tensor, nn
from torch._subclasses import FakeTensorMode
from torch.nn.functional import cross_entropy, mse_loss

from bptt.doctor import Monitor
from bptt.doctor._handed import HandOvers
from bptt.doctor._loops import Loops
from bptt.doctor._loss import axes
from bptt.flow.record._names import Names


def test_next_tokens_tell_which_axis_is_time() -> None:
    stream = torch.randint(20, (7, 13))
    scores = torch.zeros(6 * 13, 20, requires_grad=True)
    ids, following = stream[:-1], stream[1:]
    first = cross_entropy(scores, following.reshape(-1))
    second = cross_entropy(scores, following.t().reshape(-1))
    assert axes(first.grad_fn, [ids]).shifted == (6, 13)
    assert axes(second.grad_fn, [ids.t()]).shifted == (6, 13)


def test_tags_and_copies_tell_nothing() -> None:
    ids = torch.randint(20, (6, 13))
    scores = torch.zeros(78, 20, requires_grad=True)
    for target in (ids, ids.roll(2, 0), torch.full((6, 13), 3)):
        assert axes(cross_entropy(scores, target.reshape(-1)).grad_fn, [ids]).shifted is None
    constant = torch.full((6, 13), 3)
    assert axes(cross_entropy(scores, constant.reshape(-1)).grad_fn, [constant]).shifted is None


def test_a_series_and_its_next_values() -> None:
    series = torch.randn(9, 5, 1)
    guess = torch.zeros(8, 5, 1, requires_grad=True)
    known = axes(mse_loss(guess, series[1:]).grad_fn, [series[:-1]])
    assert known == (8, 5, (8, 5))


def test_rows_of_the_targets() -> None:
    p = torch.zeros(5, 3, requires_grad=True)
    assert axes(mse_loss(p, torch.ones(5, 3)).grad_fn, []).rows == 5
    assert axes((p - torch.ones(5, 3)).square().mean().grad_fn, [])[:2] == (5, 3)
    two = mse_loss(p, torch.ones(5, 3)) + mse_loss(p[:2], torch.ones(2, 3))
    assert axes(two.grad_fn, []).rows is None


def test_a_state_out_of_no_grad_is_known_by_its_memory() -> None:
    cell, over = nn.GRUCell(2, 3), HandOvers()
    with torch.no_grad():
        h = cell(torch.randn(4, 2))
    over.quiet(cell, h)
    over.given(cell, h.clone())
    assert over.found == []
    over.given(cell, h)
    assert over.found == [(cell, cell, 1)]


def test_a_detached_state_is_known_in_the_next_module() -> None:
    encoder, decoder, over = nn.GRU(2, 3), nn.GRU(2, 3), HandOvers()
    _, h = encoder(torch.randn(5, 4, 2))
    over.ends(encoder, h)
    over.given(decoder, h)
    assert over.found == []  # gradient follows it
    over.given(decoder, (h.detach(),))
    assert over.found == [(encoder, decoder, 0)]


def looped(weight: Tensor, inlet: nn.Linear) -> Tensor:
    """Five steps by hand."""
    h = torch.zeros(4, len(weight))
    for _ in range(5):
        h = torch.tanh(inlet(torch.randn(4, 2)) + h @ weight)
    return h.square().mean()


def test_loops_know_their_weights() -> None:
    inlet, owned = nn.Linear(2, 6), torch.randn(6, 6, requires_grad=True)
    loops = Loops()
    loops.look([looped(owned, inlet).grad_fn], [])
    (facts,) = loops.facts(Names()).values()
    loops.update({id(owned)}, True)
    assert (facts.trains, facts.owned, facts.steps, facts.moved) == (True, True, 1, 0)
    with torch.no_grad():
        owned.add_(1.0)
    loops.update(set(), True)
    assert (facts.steps, facts.moved) == (2, 1)


def test_a_fixed_matrix_is_found_and_a_buffer_is_meant() -> None:
    inlet, fixed = nn.Linear(2, 6), torch.randn(6, 6)
    loops = Loops()
    loops.look([looped(fixed, inlet).grad_fn], [])
    assert [facts.trains for facts in loops.facts(Names()).values()] == [False]
    holder = nn.Module()
    holder.register_buffer("A", torch.randn(6, 6))
    loops = Loops()
    loops.look([looped(holder.get_buffer("A"), inlet).grad_fn], [])
    assert loops.facts(Names()) == {}


def test_tensors_without_numbers_lie_about() -> None:
    inlet, fixed = nn.Linear(2, 6), torch.randn(6, 6)
    with FakeTensorMode():
        fake = torch.empty(6, 6)
    loops = Loops()
    loops.look([looped(fixed, inlet).grad_fn], [])
    assert len(loops.facts(Names())) == 1
    assert type(fake) is not Tensor


def codes(model: nn.Module, optimizer: torch.optim.Optimizer, updates: int = 4) -> list[str]:
    """Of the findings on a model that returns its loss."""
    with Monitor(model, optimizer) as monitor:
        for _ in range(updates):
            optimizer.zero_grad()
            model().backward()
            optimizer.step()
    assert monitor.fault is None, monitor.fault
    return [finding.code for finding in monitor.findings]


class Compared(nn.Module):
    """A loss written out, with one target that is not a number."""

    def __init__(self, bad: float) -> None:
        super().__init__()
        self.rnn, self.bad = nn.GRU(2, 3), bad

    def forward(self) -> Tensor:
        """The mean squared error."""
        target = torch.zeros(4, 3)
        target[1, 2] = self.bad
        return ((self.rnn(torch.randn(5, 4, 2))[0][-1] - target) ** 2).mean()


def test_a_target_that_is_not_finite_is_the_datas_fault() -> None:
    for bad, wanted in ((float("nan"), ["NF603"]), (0.0, [])):
        model = Compared(bad)
        assert codes(model, torch.optim.SGD(model.parameters(), lr=0.01)) == wanted
