"""The first non-finite value: where it is, and that it comes about again from what was kept."""

import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from bptt.doctor import Monitor, ReplayError, replay
from bptt.rules import Incident

KINDS: list[Callable[..., nn.RNNBase]] = [nn.RNN, nn.GRU, nn.LSTM]
Spoil = Callable[[nn.Module, Tensor], Tensor]


def run(out: Path, module: nn.RNNBase, spoil: Spoil, updates: int = 9) -> Incident | None:
    """Train, and spoil the fifth update; `spoil` may change weights and returns the batch."""
    head = nn.Linear(module.hidden_size, 1)
    optimizer = torch.optim.SGD([*module.parameters(), *head.parameters()], lr=1e-3)
    with Monitor(budget=0.0, out=out) as monitor:
        for n in range(updates):
            x = torch.randn(12, 4, 3)
            x = spoil(module, x) if n == 4 else x
            loss = head(module(x)[0][-1]).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    assert monitor.fault is None, monitor.fault
    return monitor.case.evidence.incident


def nan_in_the_batch(module: nn.Module, x: Tensor) -> Tensor:
    x[5, 2, 1] = math.nan
    return x


@pytest.mark.parametrize("kind", KINDS)
def test_data_that_is_not_finite(kind: Callable[..., nn.RNNBase], tmp_path: Path) -> None:
    incident = run(tmp_path / "run", kind(3, 8), nan_in_the_batch)
    assert incident is not None
    assert (incident.where, incident.update, incident.what) == ("input", 5, "nan")
    kept, place = replay(tmp_path / "run")
    assert kept["update"] == 5
    assert place is not None
    assert place.where == "input"


@pytest.mark.parametrize("kind", KINDS)
def test_weights_that_are_not_finite_are_traced_to_their_layer(
    kind: Callable[..., nn.RNNBase], tmp_path: Path
) -> None:
    def spoil(module: nn.Module, x: Tensor) -> Tensor:
        with torch.no_grad():
            module.weight_hh_l1[0, 3] = math.inf  # type: ignore[index]
        return x

    incident = run(tmp_path / "run", kind(3, 8, num_layers=2), spoil)
    assert incident is not None
    assert (incident.where, incident.update, incident.site) == ("forward", 5, "l1")
    assert incident.gate == "weights"
    assert replay(tmp_path / "run")[1] is not None


def test_a_relu_recurrence_that_overflows(tmp_path: Path) -> None:
    def spoil(module: nn.Module, x: Tensor) -> Tensor:
        with torch.no_grad():
            module.weight_hh_l0.copy_(torch.eye(8) * 1e9)  # type: ignore[operator]
        return x

    module = nn.RNN(3, 8, nonlinearity="relu")
    incident = run(tmp_path / "run", module, spoil)
    assert incident is not None
    assert (incident.where, incident.update, incident.site) == ("forward", 5, "l0")
    assert incident.step is not None
    assert 3 <= incident.step <= 6
    assert not incident.outside
    assert incident.size is not None
    assert 1e20 < incident.size < math.inf
    _, place = replay(tmp_path / "run")
    assert place is not None
    assert (place.step, place.gate, place.sample, place.unit) == (
        incident.step,
        incident.gate,
        incident.sample,
        incident.unit,
    )


def test_a_gradient_that_is_not_finite(tmp_path: Path) -> None:
    module, updates = nn.GRU(3, 8), 6
    optimizer = torch.optim.SGD(module.parameters(), lr=1e-3)
    with Monitor(budget=0.0, out=tmp_path / "run") as monitor:
        for n in range(updates):
            h = module(torch.randn(12, 4, 3))[0]
            away = h[7] - h[7].detach() if n == 4 else h[7]
            loss = h[-1].square().mean() + away.square().sum(-1).sqrt().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    incident = monitor.case.evidence.incident
    assert incident is not None
    assert (incident.where, incident.update, incident.site) == ("backward", 5, "l0")
    assert (incident.step, incident.outside) == (7, True)
    assert [f.code for f in monitor.findings if f.severity == "error"] == ["NF602"]
    _, place = replay(tmp_path / "run")
    assert place is not None
    assert (place.where, place.step) == ("backward", 7)


def test_a_loss_scaler_that_skips_a_step_is_no_incident() -> None:
    model = nn.GRU(2, 4)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**120)
    with Monitor(budget=0.0) as monitor:
        for _ in range(9):
            optimizer.zero_grad()
            loss = 1e3 * model(torch.randn(5, 2, 2))[0].sum()
            scaler.scale(loss).backward()
            scaler.step(optimizer)
            scaler.update()
    assert scaler.get_scale() < 2.0**120, "no step was skipped"
    assert monitor.updates > 0
    assert monitor.case.evidence.incident is None


def test_nothing_to_replay(tmp_path: Path) -> None:
    with pytest.raises(ReplayError, match="is not there"):
        replay(tmp_path)
    (tmp_path / "nonfinite.pt").write_bytes(b"PK no torch file")
    with pytest.raises(ReplayError, match="damaged"):
        replay(tmp_path)
