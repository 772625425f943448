"""`auto` leaves to torch what torch does faster."""

from typing import Any

import pytest
import torch

from bptt.kernels import _choice, torch_is_faster

FORWARD = {"packed": False, "backward": False}
TRAINING = {"packed": False, "backward": True}


@pytest.mark.parametrize("fast_products", [False, True])
@pytest.mark.parametrize(
    ("cell", "H", "B", "dtype", "how", "otherwise", "on_fast_products"),
    [
        ("lstm", 512, 8, torch.float32, FORWARD, True, True),
        ("lstm", 512, 8, torch.float32, TRAINING, False, True),
        ("lstm", 512, 32, torch.float32, FORWARD, True, True),
        ("lstm", 256, 128, torch.float32, FORWARD, True, True),
        ("lstm", 256, 128, torch.float32, TRAINING, False, True),
        ("lstm", 1024, 32, torch.float32, FORWARD, False, True),
        ("lstm", 128, 32, torch.float32, FORWARD, False, True),
        ("lstm", 256, 8, torch.float32, FORWARD, False, True),
        ("lstm", 512, 1, torch.float32, FORWARD, False, False),
        ("lstm", 512, 8, torch.float64, FORWARD, False, False),
        ("lstm", 512, 8, torch.float32, {"packed": True, "backward": False}, False, False),
        ("gru", 512, 8, torch.float32, FORWARD, False, False),
    ],
)
def test_torch_keeps_its_fast_lstm(
    cell: str, H: int, B: int, dtype: torch.dtype, how: dict[str, bool], otherwise: bool,
    on_fast_products: bool, fast_products: bool, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(_choice, "available", lambda: True)
    monkeypatch.setattr(_choice, "fast_torch_products", lambda: fast_products)
    expected = on_fast_products if fast_products else otherwise
    assert torch_is_faster(cell, H, B, dtype, **how) is expected


def test_one_thread_alone_keeps_the_middle_sizes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_choice, "available", lambda: True)
    monkeypatch.setattr(_choice, "fast_torch_products", lambda: False)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    assert not torch_is_faster("lstm", 256, 32, torch.float32, **FORWARD)
    assert torch_is_faster("lstm", 512, 8, torch.float32, **FORWARD)


def test_without_the_library_all_is_torchs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_choice, "available", lambda: False)
    given: dict[str, Any] = {"packed": True, "backward": True}
    assert torch_is_faster("gru", 8, 1, torch.float64, **given)
