"""The pytest plugin in a suite of a user's."""

import subprocess
import sys
from pathlib import Path

SUITE = """
import pytest
import torch
from torch import nn

from bptt.pytest_plugin import assert_healthy, assert_horizon


@pytest.fixture
def model():
    torch.manual_seed(0)
    return nn.GRU(2, 8)


@pytest.fixture
def batch():
    return torch.randn(60, 2, 2)


@pytest.mark.bptt_horizon(at_least=5)
def test_near(model, batch):
    pass


@pytest.mark.bptt_horizon(at_least=50)
def test_far(model, batch):
    pass


@pytest.mark.bptt_horizon(at_least=5)
def test_without_fixtures():
    pass


def test_functions(model, batch):
    assert assert_horizon(model, batch, at_least=5).sites == ["l0"]
    with pytest.raises(AssertionError, match="VG101"):
        assert_healthy(model, torch.randn(300, 2, 2))


def test_wrong(model, batch):
    with pytest.raises(ValueError, match="at_least is 0"):
        assert_horizon(model, batch, at_least=0)
    with pytest.raises(ValueError, match="no site 'l7'"):
        assert_horizon(model, batch, at_least=1, site="l7")
"""


def test_marker_and_functions(tmp_path: Path) -> None:
    (tmp_path / "test_theirs.py").write_text(SUITE, encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "--strict-markers", "-rA", str(tmp_path)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=240)
    said = done.stdout + done.stderr
    passed = {line.split("::")[1] for line in said.splitlines() if line.startswith("PASSED")}
    assert passed == {"test_near", "test_functions", "test_wrong"}, said
    assert "l0: the gradient reaches" in said
    assert "the test has no fixture model and no fixture batch" in said
