"""Nothing here reaches for a network: hubs, trackers and their reports of use stay off."""

from collections.abc import Callable

import pytest
import torch
from torch import nn

import bptt
from bptt.doctor import Sink

OFF = {
    "ACCELERATE_DISABLE_RICH": "1",
    "DO_NOT_TRACK": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_OFFLINE": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "WANDB_ERROR_REPORTING": "false",
    "WANDB_MODE": "offline",
    "WANDB_SILENT": "true",
}


@pytest.fixture(autouse=True)
def _offline(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in OFF.items():
        monkeypatch.setenv(name, value)


Watched = Callable[[Sink], list[tuple[int, bptt.Flow]]]


@pytest.fixture
def watched() -> Watched:
    """Trains a vanishing network for four updates with a sink; gives the updates probed, and their flows."""

    def train(sink: Sink) -> list[tuple[int, bptt.Flow]]:
        torch.manual_seed(0)
        net, flows = nn.RNN(1, 8), []
        optimizer = torch.optim.SGD(net.parameters(), lr=0.01)
        with bptt.Monitor(net, optimizer, sinks=[sink]) as monitor:
            monitor.on_probe(lambda flow, found: flows.append((monitor.updates + 1, flow)))
            for _ in range(4):
                optimizer.zero_grad()
                net(torch.randn(120, 2, 1))[0][-1].square().mean().backward()
                optimizer.step()
        assert monitor.fault is None
        assert monitor.tally.notes == []
        assert [each.code for each in monitor.findings if each.severity == "error"] == ["VG101"]
        return flows

    return train
