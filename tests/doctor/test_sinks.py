"""Sinks: every probe is a row of the numbers that the monitor has, and a sink's fault is its own."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import bptt
from bptt import BpttError
from bptt.doctor import Sink
from bptt.doctor._sinks import Outlets, of_norms, of_sites
from bptt.rules import Finding


class Kept(Sink):
    """Keeps what it is given."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []

    def open(self) -> None:
        self.calls.append(("open",))

    def numbers(self, update: int, numbers: Mapping[str, float]) -> None:
        self.calls.append(("numbers", update, dict(numbers)))

    def findings(self, update: int, findings: Sequence[Finding]) -> None:
        self.calls.append(("findings", update, [each.code for each in findings]))

    def close(self, state: str) -> None:
        self.calls.append(("close", state))

    def of(self, kind: str) -> list[tuple[Any, ...]]:
        return [call[1:] for call in self.calls if call[0] == kind]


class Failing(Sink):
    """Raises at the given call."""

    def __init__(self, at: str) -> None:
        self.at, self.calls = at, 0

    def _call(self, name: str) -> None:
        self.calls += 1
        if name == self.at:
            raise OSError(f"{name}: no space left\nand more")

    def open(self) -> None:
        self._call("open")

    def numbers(self, update: int, numbers: Mapping[str, float]) -> None:
        self._call("numbers")

    def findings(self, update: int, findings: Sequence[Finding]) -> None:
        self._call("findings")

    def close(self, state: str) -> None:
        self._call("close")


def trained(
    updates: int = 12, steps: int = 150, **told: Any
) -> tuple[bptt.Monitor, list[float], nn.RNN]:
    """A vanishing network, trained under a monitor; the gradient norm of each update."""
    torch.manual_seed(0)
    net, norms = nn.RNN(1, 8), []
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01)
    with bptt.Monitor(net, optimizer, **told) as monitor:
        for _ in range(updates):
            optimizer.zero_grad()
            net(torch.randn(steps, 2, 1))[0][-1].square().mean().backward()
            norms.append(
                math.hypot(*(float(p.grad.norm()) for p in net.parameters() if p.grad is not None))
            )
            optimizer.step()
    return monitor, norms, net


def test_every_probe_is_a_row(tmp_path: Path) -> None:
    kept = Kept()
    monitor, norms, _ = trained(sinks=[kept], out=tmp_path / "run")
    rows = kept.of("numbers")
    records = [
        json.loads(row) for row in (tmp_path / "run" / "flow.jsonl").read_text().splitlines()
    ]
    records = [each for each in records if "sites" in each]
    assert [update for update, _ in rows[:-1]] == [each["update"] for each in records]
    assert {1, 3, 10} <= {update for update, _ in rows}
    for (_, row), record in zip(rows, records, strict=False):
        for name, value in record["sites"]["l0"].items():
            if name in ("horizon", "rate", "unreached"):
                assert row[f"bptt/{name}/l0"] == pytest.approx(value)
    # The first probe is harvested before the first step, the last row after the last one.
    begun = [0, *(update - 1 for update, _ in rows[:-1]), len(norms)]
    for (_, row), start, stop in zip(rows, begun[:-1], begun[1:], strict=True):
        since = norms[start:stop]
        assert row.get("bptt/gradient_norm/max") == (pytest.approx(max(since)) if since else None)
        mean = sum(since) / len(since) if since else None
        assert row.get("bptt/gradient_norm/mean") == (pytest.approx(mean) if since else None)
    found = [each.severity for each in monitor.findings]
    assert rows[-1][1]["bptt/findings/error"] == found.count("error") > 0
    assert kept.calls[0] == ("open",)
    assert kept.calls[-1] == ("close", "finished")


def test_findings_come_when_they_change_and_at_the_end() -> None:
    kept = Kept()
    monitor, _, _ = trained(sinks=[kept])
    told = kept.of("findings")
    assert told[0][0] == 1
    assert "VG101" in told[0][1]
    assert told[-1] == (12, [each.code for each in monitor.findings])
    assert len(told) < len(kept.of("numbers"))


def test_the_training_is_the_same() -> None:
    _, norms, net = trained(sinks=[Kept(), Failing("numbers")])
    _, plain, other = trained()
    assert norms == plain
    assert all(map(torch.equal, net.parameters(), other.parameters()))


@pytest.mark.parametrize("at", ["numbers", "findings", "close"])
def test_a_sink_that_fails_is_left_and_named(at: str) -> None:
    failing, kept = Failing(at), Kept()
    monitor, _, _ = trained(sinks=[failing, kept])
    assert monitor.fault is None
    note = {
        "subject": "Failing",
        "reason": f"nothing more was sent there after it failed: {at}: no space left",
    }
    assert note in monitor.tally.notes
    assert failing.calls == {"numbers": 2, "findings": 3}.get(at, failing.calls)
    assert kept.of("close") == [("finished",)]


def test_a_sink_that_cannot_be_opened_is_told_before_the_training() -> None:
    kept, net = Kept(), nn.RNN(1, 2)
    monitor = bptt.Monitor(net, sinks=[kept, Failing("open"), Kept()])
    with pytest.raises(BpttError, match=r"^Failing cannot be opened: open: no space left$"):
        monitor.start()
    assert kept.calls == [("open",), ("close", "failed")]
    with bptt.Monitor(net):  # nothing was left behind
        pass


def test_of_several_processes_the_first_sends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "1")
    kept = Kept()
    trained(2, sinks=[kept])
    assert kept.calls == []


def test_another_process_sends_nothing() -> None:
    kept = Kept()
    outlets = Outlets([kept], list, print)
    outlets.open()
    outlets.leave()
    outlets.row(1, {}, [])
    outlets.end("finished", 1, [])
    assert kept.calls == [("open",)]


def test_how_the_run_ended() -> None:
    kept, net = Kept(), nn.RNN(1, 2)
    monitor = bptt.Monitor(net, sinks=[kept])
    with pytest.raises(RuntimeError), monitor:
        raise RuntimeError
    monitor.close()
    assert kept.of("close") == [("failed",)]


def test_what_is_not_finite_is_left_out() -> None:
    class Odd:
        horizon, rate, unreached = None, -math.inf, math.nan

    assert of_sites({"l0": Odd()}) == {}
    assert of_norms([math.nan, math.inf]) == {}
    assert of_norms([1e308, 1e308, math.nan])["bptt/gradient_norm/mean"] == pytest.approx(1e308)
