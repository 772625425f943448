"""docs/papers.md: its tables and picture are of the measured numbers, and its sentences are true of them."""

import importlib.util
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import pytest
import torch

import bptt
from scripts import ROOT

BENCHMARKS = ROOT / "benchmarks"


@contextmanager
def importable() -> Iterator[None]:
    """benchmarks/ as a place of modules: its scripts import what they share."""
    sys.path.insert(0, str(BENCHMARKS))
    try:
        yield
    finally:
        sys.path.remove(str(BENCHMARKS))


def loaded(path: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.replace("/", "_")[:-3], ROOT / path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with importable():
        spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def papers() -> ModuleType:
    return loaded("docs/papers.py")


@pytest.fixture(scope="module")
def figure4() -> ModuleType:
    return loaded("benchmarks/figure4.py")


@pytest.fixture(scope="module")
def rows() -> dict[str, dict[str, Any]]:
    path = BENCHMARKS / "results" / "figure4.json"
    return {row["model"]: row for row in json.loads(path.read_text(encoding="utf-8"))["rows"]}


def test_the_tables_are_the_measured_ones(papers: ModuleType) -> None:
    text = "".join(page.read_text(encoding="utf-8") for page in papers.PAGES)
    assert {block["name"] for block in papers.BLOCK.finditer(text)} == set(papers.TABLES)
    assert papers.rewritten(text) == text


def test_a_changed_number_would_be_seen(
    papers: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = papers.PAGES[0].read_text(encoding="utf-8")
    changed = papers.saved("figure4")
    changed[0]["0"]["factor"] += 0.01
    monkeypatch.setattr(papers, "saved", lambda _: changed)
    assert papers.figure4() not in text


def test_the_picture_shows_the_measured_curves(
    figure4: ModuleType, rows: dict[str, dict[str, Any]]
) -> None:
    pictures = loaded("benchmarks/_pictures.py")
    drawn = pictures.drawn_from(pictures.PICTURES / "figure4.svg")
    assert drawn == pictures.digest(list(rows.values()))
    assert list(rows) == list(figure4.MODELS)
    rows["uRNN"]["0"]["log10"][0] += 1
    assert drawn != pictures.digest(list(rows.values()))
    rows["uRNN"]["0"]["log10"][0] -= 1


def test_the_phase_diagram_is_of_the_measured_numbers() -> None:
    pictures, phase = loaded("benchmarks/_pictures.py"), loaded("benchmarks/phase.py")
    path = BENCHMARKS / "results" / "phase.json"
    rows = json.loads(path.read_text(encoding="utf-8"))["rows"]
    assert pictures.drawn_from(phase.PICTURE) == pictures.digest(rows)
    assert [row["key"] for row in rows] == [point.key for point in phase.points()]
    reach = {(p.cell, p.remedy, p.radius): r["horizon"] for p, r in phase.results(rows)}
    # What docs/sweeps.md says of it.
    assert reach["rnn", "none", 1.0] < 100 < reach["rnn", "none", 1.3] < 1000
    assert reach["rnn", "none", 2.0] == reach["relu-rnn", "none", 1.6] == 1000
    assert reach["relu-rnn", "none", 1.3] < 100
    assert max(reach[cell, "none", r] for cell in ("gru", "lstm") for r in (0.3, 1.0, 2.0)) < 100
    assert min(n for (_, remedy, _), n in reach.items() if remedy == "chrono") > 300


def test_the_sentences_hold(rows: dict[str, dict[str, Any]]) -> None:
    start = {name: row["0"] for name, row in rows.items()}
    after = {name: row["100"]["left"] for name, row in rows.items()}
    assert 0.95 < start["uRNN"]["left"] < 1.05
    assert max(start[name]["left"] for name in ("tanh RNN", "LSTM, forget bias 1")) < 2e-3
    assert after["uRNN"] > 1e3 * max(after["tanh RNN"], after["LSTM, forget bias 1"])
    assert start["IRNN"]["left"] > 0.5
    assert max(after, key=lambda name: after[name]) == "IRNN"
    assert start["orthogonal tanh RNN"]["left"] < start["tanh RNN"]["left"]
    assert min(start, key=lambda name: start[name]["left"]) == "LSTM, forget bias 0"
    assert all(len(row[p]["log10"]) == 200 for row in rows.values() for p in ("0", "100"))


def test_the_unitary_matrix_is_one_and_keeps_gradients() -> None:
    urnn = loaded("benchmarks/_urnn.py")
    model = urnn.UnitaryRNN(2, 6, 1).double()
    weight = model.matrix()
    torch.testing.assert_close(weight @ weight.T, torch.eye(12).double())
    # As complex numbers: what acts on the imaginary part is what acts on the real one.
    torch.testing.assert_close(weight[:6, :6], weight[6:, 6:])
    torch.testing.assert_close(weight[6:, :6], -weight[:6, 6:])
    with torch.no_grad():
        model.bias.zero_()  # modReLU is the identity then
    x = torch.randn(9, 3, 2, dtype=torch.float64)
    flow = bptt.measure(model, x, loss=lambda out: out.square().sum())
    (site,) = flow
    torch.testing.assert_close(site.grad_h, site.grad_h[-1:].expand_as(site.grad_h))


def test_the_norms_are_those_of_autograd(
    figure4: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each sequence's own loss, with the state of every step kept by autograd in a loop over the cell."""
    task = figure4.adding(length=12)
    monkeypatch.setattr(figure4, "MEASURED", 5)
    model = figure4.MODELS["tanh RNN"](task).double()
    x, target = next(task.evaluation(5, seed=1))
    cell = torch.nn.RNNCell(2, 128).double()
    cell.load_state_dict({n.removesuffix("_l0"): p for n, p in model.rnn.state_dict().items()})
    states = [torch.zeros(5, 128, dtype=torch.float64)]
    for now in x.double():
        states.append(cell(now, states[-1]))
        states[-1].retain_grad()
    loss = task.score.loss(model.readout(states[-1]).unsqueeze(0), target.double())
    loss.backward()
    norms = torch.stack([5 * torch.linalg.vector_norm(h.grad, dim=1) for h in states[1:]])
    expected = norms.log().mean(1)
    found = figure4.norms(model.float(), task, 1)
    torch.testing.assert_close(torch.tensor(found).double(), expected, rtol=1e-4, atol=1e-5)
