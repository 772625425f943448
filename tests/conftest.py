"""What every test shares: a fixed number of threads, a fixed seed, hypothesis without a clock."""

import os
import signal
from collections.abc import Iterator

import hypothesis
import pytest
import torch

# torch's first call in a process is slow, so a deadline would fail the first example and no other;
# derandomised, so that a failure on one machine is a failure on all.
hypothesis.settings.register_profile("tests", deadline=None, derandomize=True, print_blob=True)
# `pytest --hypothesis-profile=long --timeout=0 tests/properties`: fifty times as many, and others every time.
hypothesis.settings.register_profile("long", deadline=None, max_examples=5000, print_blob=True)
hypothesis.settings.load_profile("tests")

# The order in which floating-point sums are taken depends on the number of threads. The scripts
# that tests start train small models, which one thread does fastest.
torch.set_num_threads(2)
os.environ["OMP_NUM_THREADS"] = "1"

# Test processes side by side ignore Ctrl-C, and so would the programs that tests start and then interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def _seed() -> Iterator[None]:
    """Each test starts from seed 0, in float32, with gradients on; leaves the latter two so, and torch unwrapped."""
    torch.manual_seed(0)
    yield
    wrapped = hasattr(torch.autograd.backward, "__wrapped__")
    left = (torch.get_default_dtype(), torch.is_grad_enabled())
    torch.set_default_dtype(torch.float32)
    torch.set_grad_enabled(True)
    assert left == (torch.float32, True), "a test changed torch's default dtype or gradient mode"
    assert not wrapped, (
        "a test left torch.autograd.backward wrapped: a monitor or a probe was not ended"
    )
