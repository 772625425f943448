"""Closer looks: their numbers are those of `bptt.spectrum`, their cost is kept, and the training does not notice."""

import time
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import bptt
from bptt.doctor import Run, open_run
from bptt.doctor import _close as close_module
from bptt.doctor import _spectra as spectra_module


def run(rnn: nn.Module, out: Path, updates: int = 4, budget: float = 10.0) -> Run:
    """A training under a monitor with a run folder."""
    torch.manual_seed(0)
    optimizer = torch.optim.SGD(rnn.parameters(), lr=0.01)
    with bptt.Monitor(rnn, optimizer, out=out, budget=budget) as monitor:
        for _ in range(updates):
            optimizer.zero_grad()
            rnn(torch.randn(6, 3, 2))[0][-1].square().mean().backward()
            optimizer.step()
    assert monitor.fault is None, monitor.fault
    return open_run(out)


CELLS: dict[str, Any] = {
    "lstm": (lambda: nn.LSTM(2, 4), ["i", "f", "g", "o"]),
    "gru": (lambda: nn.GRU(2, 4, bidirectional=True), ["r", "z", "n"]),
    "rnn": (lambda: nn.RNN(2, 4, num_layers=2), ["hh"]),
    "projected": (lambda: nn.LSTM(2, 4, proj_size=3), ["i", "f", "g", "o"]),
}


# torch says so of every LSTM with projections on a CPU.
@pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN:UserWarning")
@pytest.mark.parametrize("name", CELLS)
def test_spectra_are_those_of_the_update(name: str, tmp_path: Path) -> None:
    make, gates = CELLS[name]
    torch.manual_seed(1)
    rnn = make()
    torch.manual_seed(0)
    truth = bptt.spectrum(rnn, torch.randn(6, 3, 2))  # what the first update will see
    spectra = run(rnn, tmp_path / "a").spectra
    assert spectra[0]["update"] == 1
    assert spectra[-1]["update"] == 4
    assert sorted(spectra[0]["sites"]) == sorted(truth)
    for site, told in spectra[0]["sites"].items():
        assert list(told["gates"]) == gates
        for gate, radius in truth[site].radius.items():
            block = told["gates"]["hh" if gate == "h" else gate]
            assert block["radius"] == pytest.approx(radius, 1e-4)
            largest = max(abs(complex(re, im)) for re, im in block["eigenvalues"])
            assert largest == pytest.approx(radius, 1e-4)
            assert len(block["eigenvalues"]) == 4
        steps = [t for t, _ in told["singular"]["largest"]]
        assert steps == list(range(6))
        values = truth[site].singular[:, 0]
        for key, column in (("largest", 0), ("median", values.shape[1] // 2), ("smallest", -1)):
            own = [v for _, v in told["singular"][key]]
            assert own == pytest.approx(values[:, column].tolist(), 1e-3, 1e-6)


def test_large_blocks_are_named_and_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spectra_module, "LARGEST", 3)
    found = run(nn.GRU(2, 4), tmp_path / "a")
    assert all("gates" not in site for each in found.spectra for site in each["sites"].values())
    (note,) = found.notes
    assert note["subject"] == "l0"
    assert note["reason"] == "left out, its eigenvalues: it has 4 units, more than 3"


def test_what_would_cost_too_much_is_named_and_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spectra_module, "LEAST", 1e4)
    found = run(nn.GRU(2, 4), tmp_path / "a", budget=0.02)
    assert all(each["sites"] == {} for each in found.spectra)
    assert len(found.notes) == 2, "eigenvalues and singular values, each told once"
    assert all("more than the budget has left" in note["reason"] for note in found.notes)


def test_weights_that_are_not_finite_are_named(tmp_path: Path) -> None:
    rnn = nn.RNN(2, 4)
    with torch.no_grad():
        rnn.get_parameter("weight_hh_l0")[0, 0] = torch.nan
    found = run(rnn, tmp_path / "a")
    assert any("recurrent weights are not finite" in note["reason"] for note in found.notes)


def test_the_last_weights_are_told_where_the_budget_had_no_room_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Probes at updates 1 to 4; 2 and 4 are no milestones and would cost more than is left."""
    monkeypatch.setattr(close_module, "SHARE", 0.0)
    rnn = nn.GRU(2, 4)
    spectra = run(rnn, tmp_path / "a").spectra
    assert [each["update"] for each in spectra if each["sites"]] == [1, 3, 4]
    assert "singular" not in spectra[-1]["sites"]["l0"], "the last look has its weights only"


def test_attribution_comes_with_milestones_and_as_the_budget_allows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(close_module, "SHARE", 0.0)
    records = run(nn.GRU(2, 4), tmp_path / "a").records
    there = {each["update"]: "attribution" in each["sites"]["l0"] for each in records}
    assert there == {1: True, 2: False, 3: True, 4: False}
    monkeypatch.undo()
    records = run(nn.GRU(2, 4), tmp_path / "b").records
    assert all("attribution" in each["sites"]["l0"] for each in records)


def test_closer_looks_keep_to_their_share() -> None:
    looks = close_module.CloseLooks(budget=0.02)
    looks.begin(milestone=True, elapsed=0.0)
    looks.seconds = 0.5
    looks.begin(milestone=False, elapsed=10.0)  # 0.25 of 2 % of 10 s are 0.05 s
    assert not looks._attributes
    looks.begin(milestone=True, elapsed=10.0)
    assert looks._attributes
    looks.seconds = 1.5
    looks.begin(milestone=True, elapsed=10.0)
    assert not looks._attributes
    looks.begin(milestone=False, elapsed=1000.0)
    assert looks._attributes


def test_nothing_changes_and_no_random_number_is_drawn(tmp_path: Path) -> None:
    def train(watched: bool) -> tuple[list[float], torch.Tensor]:
        torch.manual_seed(3)
        rnn = nn.LSTM(2, 4, num_layers=2, dropout=0.5)
        optimizer = torch.optim.SGD(rnn.parameters(), lr=0.1)
        out = tmp_path / ("run" if watched else "alone")
        monitor = bptt.Monitor(rnn, optimizer, out=out, budget=10.0)
        losses: list[float] = []
        if watched:
            monitor.start()
        for _ in range(4):
            optimizer.zero_grad()
            loss = rnn(torch.randn(6, 3, 2))[0][-1].square().mean()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        monitor.close()
        assert monitor.fault is None
        return losses, torch.get_rng_state()

    alone, seen = train(False), train(True)
    assert alone[0] == seen[0]
    assert torch.equal(alone[1], seen[1])
    assert len(open_run(tmp_path / "run").records) == 4


def test_updates_are_written_with_each_probe_and_every_second(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    began, now = time.perf_counter(), [0.0]
    rnn = nn.GRU(2, 4)
    optimizer = torch.optim.SGD(rnn.parameters(), lr=0.1)
    with bptt.Monitor(rnn, optimizer, out=tmp_path / "a", budget=0.0) as monitor:
        monkeypatch.setattr(time, "perf_counter", lambda: began + now[0])
        loss = torch.zeros(())
        for update in range(1, 7):
            now[0] += 0.4
            optimizer.zero_grad()
            loss = rnn(torch.randn(6, 3, 2))[0][-1].square().mean()
            loss.backward()
            nn.utils.clip_grad_norm_(rnn.parameters(), 1e-3)
            optimizer.step()
            written = open_run(tmp_path / "a").updates
            assert len(written) >= update - 3
        monkeypatch.undo()
    (last, found) = open_run(tmp_path / "a").updates[-1], open_run(tmp_path / "a")
    assert [each["update"] for each in found.updates] == [1, 2, 3, 4, 5, 6]
    assert last["loss"][0] == pytest.approx(loss.item(), 1e-5)
    assert last["norm"][2] > 1e-3, "before clipping"
    assert (last["clip"], last["clipped"]) == (1e-3, 1.0)
    assert last["ratio"] > 0
    assert found.run["model"] == {"parameters": sum(p.numel() for p in rnn.parameters())}
    assert monitor.log.series.as_dicts() == found.updates


def test_a_loop_by_hand_has_a_series_too(tmp_path: Path) -> None:
    torch.manual_seed(0)
    w = (torch.randn(4, 4) / 2).requires_grad_()
    with bptt.Monitor(out=tmp_path / "a", budget=0.0):
        for _ in range(5):
            h = torch.ones(2, 4)
            for _ in range(6):
                h = torch.tanh(h @ w)
            h.square().sum().backward()
            with torch.no_grad():
                assert w.grad is not None
                w -= 0.1 * w.grad
                w.grad = None
    found = open_run(tmp_path / "a")
    assert [each["update"] for each in found.updates] == [1, 2, 3, 4]
    assert found.run["model"] == {"parameters": 16}
