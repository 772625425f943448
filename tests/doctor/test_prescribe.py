"""Remedies tried on copies: ranked by the measurement, and the model untouched."""

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import bptt
from bptt._errors import BpttError
from bptt.doctor import Prescription
from bptt.doctor._prescribe import Trial, rank
from bptt.remedies import RemedyError, table


class Reader(nn.Module):
    def __init__(self, rnn: nn.RNNBase) -> None:
        super().__init__()
        self.rnn, self.out = rnn, nn.Linear(rnn.hidden_size, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.rnn(x)[0][-1])


def loss(y: Tensor) -> Tensor:
    return (y - 1).square().mean()


def state(model: nn.Module, optimizer: torch.optim.Optimizer) -> Any:
    return copy.deepcopy((model.state_dict(), optimizer.state_dict(), torch.get_rng_state()))


def trained(rnn: nn.RNNBase) -> tuple[Reader, torch.optim.Optimizer, Tensor]:
    model, x = Reader(rnn), torch.randn(60, 3, 2)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    loss(model(x)).backward()
    optimizer.step()
    return model, optimizer, x


@pytest.mark.parametrize("updates", [0, 2])
def test_nothing_of_the_model_is_touched(updates: int) -> None:
    model, optimizer, x = trained(nn.LSTM(2, 12))
    before, grads = state(model, optimizer), [p.grad for p in model.parameters()]
    values = [grad.clone() for grad in grads if grad is not None]
    parts = (torch.autograd.backward, nn.utils.clip_grad_norm_)
    found = bptt.prescribe(model, x, loss=loss, optimizer=optimizer, updates=updates)
    torch.testing.assert_close(state(model, optimizer), before, rtol=0, atol=0)
    assert all(p.grad is grad for p, grad in zip(model.parameters(), grads, strict=True))
    assert all(torch.equal(a, b) for a, b in zip(grads, values, strict=True) if a is not None)
    assert parts == (torch.autograd.backward, nn.utils.clip_grad_norm_)
    assert all((row.loss is not None) == bool(updates) for row in found.rows)
    names = [row.prescription.remedy for row in found.rows if row.prescription]
    assert len(set(names)) == len(names)
    if updates:
        assert {"clip_norm", "chrono", "forget_bias"} <= set(names)
    else:
        assert {table()[name].kind for name in names} <= {"initialisation", "structure"}


def test_nor_are_the_buffers_of_what_computes_a_weight() -> None:
    cell = nn.utils.parametrizations.spectral_norm(nn.GRUCell(2, 6), "weight_hh")
    before = copy.deepcopy(cell.state_dict())
    bptt.prescribe(cell, torch.randn(3, 2), loss=lambda h: h.sum())
    torch.testing.assert_close(cell.state_dict(), before, rtol=0, atol=0)


@pytest.mark.parametrize(("kind", "best"), [(nn.LSTM, "chrono"), (nn.GRU, "chrono")])
def test_the_best_one_reaches_where_the_model_does_not(kind: Any, best: str) -> None:
    model, optimizer, x = trained(kind(2, 16))
    found = bptt.prescribe(model, x, loss=loss, lag=50)
    assert found.best is not None
    assert found.best.prescription is not None
    assert found.best.prescription.remedy in (best, "forget_bias")
    (as_it_is,) = [row for row in found.rows if row.prescription is None]
    assert (as_it_is.horizon or 0) < 20
    assert (found.best.horizon or 0) >= 50
    change = found.best.apply(model, optimizer)
    after = bptt.measure(model, x, loss=loss)["rnn.l0"].horizon
    assert after == found.best.horizon
    change.undo()
    assert bptt.measure(model, x, loss=loss)["rnn.l0"].horizon == as_it_is.horizon


def test_the_lines_that_make_it_permanent_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    model = Reader(nn.LSTM(2, 4))
    change = Prescription("forget_bias", {"value": 2.0}, "rnn.l0").apply(model)
    assert capsys.readouterr().out.splitlines() == list(change.lines)
    assert len(change.lines) == 2


def test_what_a_diagnosis_prescribes_can_be_applied_and_taken_back() -> None:
    model, optimizer, x = trained(nn.LSTM(2, 16))
    before = state(model, optimizer)
    diagnosis = bptt.diagnose(model, x, loss=loss)
    (finding,) = [each for each in diagnosis.findings if each.code == "VG101"]
    change = finding.prescriptions[0].apply(model, optimizer)  # type: ignore[attr-defined]
    assert not [e for e in bptt.diagnose(model, x, loss=loss).findings if e.code == "VG101"]
    change.undo()
    torch.testing.assert_close(state(model, optimizer), before, rtol=0, atol=0)


def test_repairs_of_the_loop_are_tried_where_a_finding_names_them() -> None:
    class Wrong(Reader):
        def forward(self, x: Tensor) -> Tensor:
            return self.out(self.rnn(x)[0][:, -1])

    model, x = Wrong(nn.GRU(2, 8)), torch.randn(12, 20, 2)
    found = bptt.prescribe(model, x, loss=loss)
    names = [row.prescription.remedy for row in found.rows if row.prescription]
    assert "batch_first" in names
    assert "keep_state" not in names


def test_exploding_or_lost_is_worse_than_short_and_sane() -> None:
    short = Trial(None, horizon=5, lags=99, rate=-1.0)
    explodes = Trial(None, horizon=99, lags=99, rate=0.5, growth=20.0)
    lost = Trial(None, horizon=99, lags=99, rate=0.0, loss=float("nan"))
    far = Trial(None, horizon=99, lags=99, rate=-0.01)
    order = sorted([short, explodes, lost, far], key=lambda each: rank(each, 99), reverse=True)
    assert order[:2] == [far, short]


def test_one_that_breaks_on_a_copy_is_a_row_with_its_reason() -> None:
    class Picky(Reader):
        def forward(self, x: Tensor) -> Tensor:
            if getattr(self.rnn, "nonlinearity", "tanh") != "tanh":
                raise ValueError("only tanh is implemented")
            return super().forward(x)

    found = bptt.prescribe(Picky(nn.RNN(2, 8)), torch.randn(30, 2, 2), loss=loss)
    reasons = {row.prescription.remedy: row.refused for row in found.refused if row.prescription}
    assert "only tanh" in reasons["identity_relu"]


@pytest.mark.parametrize(
    ("options", "word"),
    [({"updates": -1}, "updates"), ({"only": ["chromo"]}, "chromo"), ({"lag": 0}, "lag")],
)
def test_what_makes_no_sense_is_refused(options: dict[str, Any], word: str) -> None:
    with pytest.raises(BpttError, match=word):
        bptt.prescribe(nn.GRU(2, 3), torch.randn(9, 1, 2), loss=lambda out: out[0].sum(), **options)


def test_a_site_that_the_model_does_not_have_is_refused() -> None:
    with pytest.raises(RemedyError, match="decoder"):
        Prescription("forget_bias", {}, "decoder.l0").apply(Reader(nn.LSTM(2, 4)))
