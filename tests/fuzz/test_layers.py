"""The short form of the fuzzing of layers; the long one is `benchmarks/fuzz/run.py layers`."""

import random
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
import torch

from fuzz import layers


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Layers this small take longest where threads wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.filterwarnings(
    "ignore::UserWarning"
)  # torch's, of zero-sized weights and non-contiguous ones
def test_three_hundred_layers_do_what_torchs_do(monkeypatch: pytest.MonkeyPatch) -> None:
    counts, compare = Counter[str](), layers.compare

    def counting(found: Any, expected: Any, layer: layers.Layer) -> None:
        compare(found, expected, layer)
        counts["refused" if isinstance(found, Exception) else "computed"] += 1

    monkeypatch.setattr(layers, "compare", counting)
    draw = random.Random(1)
    for _ in range(300):
        layers.case(draw.randbytes(40))
    # Most set-ups are such that there is something to compare, and some are not.
    assert counts["computed"] > 100, counts
    assert counts["refused"] > 30, counts
