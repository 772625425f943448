"""States that were computed under `no_grad` amid a training pass."""

import copy

import torch
from torch import Tensor, nn

from bptt.remedies import keep_state


class WarmsUp(nn.Module):
    """All but the last steps run under `no_grad`, unless told otherwise."""

    def __init__(self, wake: bool = False) -> None:
        super().__init__()
        self.cell, self.wake = nn.GRUCell(1, 4), wake

    def forward(self, x: Tensor) -> Tensor:
        h = x.new_zeros(x.shape[1], 4)
        with torch.set_grad_enabled(self.wake):
            for x_t in x[:-1]:
                h = self.cell(x_t, h)
        return self.cell(x[-1], h)


def gradient(model: nn.Module, x: Tensor) -> Tensor:
    model.zero_grad()
    model(x).sum().backward()
    return model.get_parameter("cell.weight_hh").grad.clone()  # type: ignore[union-attr]


def test_a_state_made_under_no_grad_lets_the_gradient_through() -> None:
    x, cut, whole = torch.randn(7, 3, 1), WarmsUp(), WarmsUp(wake=True)
    whole.load_state_dict(cut.state_dict())
    before, wanted = gradient(cut, x), gradient(whole, x)
    change = keep_state(cut)
    torch.testing.assert_close(gradient(cut, x), wanted)
    assert not torch.allclose(before, wanted)
    assert change.counts["joined"] == 6
    change.undo()
    assert torch.equal(gradient(cut, x), before)


def test_evaluation_stays_without_gradients() -> None:
    x, model = torch.randn(5, 2, 1), WarmsUp()
    change = keep_state(model)
    with torch.no_grad():
        assert not model(x).requires_grad
        assert not torch.is_grad_enabled()
    assert change.counts["joined"] == 0
    assert not model.eval()(x)[:0].isnan().any()
    assert change.counts["joined"] == 0


def test_an_error_in_the_cell_leaves_gradients_off_where_the_script_had_them_off() -> None:
    class Breaks(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.cell, self.was = nn.GRUCell(1, 4), True

        def forward(self, x: Tensor) -> Tensor:
            with torch.no_grad():
                try:
                    self.cell(x.double())
                except (RuntimeError, ValueError):
                    self.was = torch.is_grad_enabled()
            return self.cell(x)

    model = Breaks()
    keep_state(model)
    model(torch.randn(2, 1))
    assert model.was is False


def test_a_copy_is_not_amid_a_pass() -> None:
    model = WarmsUp()
    keep_state(model)
    other = copy.deepcopy(model)
    assert other(torch.randn(3, 2, 1)).requires_grad
