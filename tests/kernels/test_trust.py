"""The compiled layers in a program that forks, runs threads, changes their number, and never ends."""

import itertools
import resource
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from torch import Tensor

from bptt.nn import GRU, LSTM, RNN
from scripts import python

LAYERS = {"RNN": RNN, "GRU": GRU, "LSTM": LSTM}

# One sample a thread at most, so that threads meet once a step; and enough that each takes its own.
SIZES = [(20, 1, 130), (20, 16, 40)]


def update(name: str, T: int, B: int, H: int, seed: int = 0) -> list[Tensor]:
    """Output and every gradient of a layer whose weights and input come from the seed alone."""
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    layer = LAYERS[name](H, H, backend="native", bidirectional=True)
    with torch.no_grad():
        for p in layer.parameters():
            p.copy_(draw(*p.shape) / H**0.5)
    x = draw(T, B, H).requires_grad_()
    y = layer(x)[0]
    return [y.detach(), *torch.autograd.grad(y, [x, *layer.parameters()], draw(*y.shape))]


def assert_same(found: list[Tensor], expected: list[Tensor]) -> None:
    for a, b in zip(found, expected, strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize(("T", "B", "H"), SIZES)
@pytest.mark.parametrize("name", LAYERS)
def test_number_of_threads_may_change_between_calls(name: str, T: int, B: int, H: int) -> None:
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        expected = update(name, T, B, H)
        for threads in (2, 5, 1, 3, 2):
            torch.set_num_threads(threads)
            assert_same(update(name, T, B, H), expected)
    finally:
        torch.set_num_threads(before)


def test_many_threads_use_layers_at_once() -> None:
    """Eight threads, each on layers of its own; every result is the one that a single thread gives."""
    tasks = [(name, *size, seed) for name, size, seed in itertools.product(LAYERS, SIZES, range(4))]
    expected = [update(*task) for task in tasks]
    with ThreadPoolExecutor(8) as threads:
        for found, one in zip(
            threads.map(lambda task: update(*task), tasks), expected, strict=True
        ):
            assert_same(found, one)


def test_threads_share_one_layer() -> None:
    """A layer's forward pass writes nothing to it: eight threads read the same one."""
    layer, x = LSTM(40, 40, backend="native"), torch.randn(8, 20, 16, 40)
    with torch.no_grad():
        expected = [layer(each)[0] for each in x]
        with ThreadPoolExecutor(8) as threads:
            assert_same(list(threads.map(lambda each: layer(each)[0], x)), expected)


def test_a_forked_child_uses_layers(tmp_path: Path) -> None:
    """torch's threads are not there after fork, and its own sum of a large tensor never returns there; layers do.

    Results go through numpy, whose copies need no threads.
    """
    script = tmp_path / "forks.py"
    script.write_text(
        textwrap.dedent(
            """
            import os, signal, sys
            import torch
            from bptt.nn import LSTM

            torch.set_num_threads(2)
            layer, x, dy = LSTM(128, 128), torch.randn(20, 16, 128), torch.ones(20, 16, 128)

            def update():
                layer.zero_grad()
                y = layer(x)[0]
                y.backward(dy)
                return [t.detach().numpy().copy() for t in (y, layer.weight_hh_l0.grad)]

            expected = update()
            for _ in range(3):
                child = os.fork()
                if child == 0:
                    signal.alarm(60)
                    found = update()
                    os._exit(0 if all((a == b).all() for a, b in zip(found, expected)) else 3)
                print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
            print(all((a == b).all() for a, b in zip(update(), expected)))
            """
        ),
        encoding="utf-8",
    )
    assert python(script).split() == ["0", "0", "0", "True"]


def test_a_sub_interpreter_is_told(tmp_path: Path) -> None:
    """torch's import never returns there; bptt's says why it cannot be, and the first interpreter goes on."""
    script = tmp_path / "interpreters.py"
    script.write_text(
        textwrap.dedent(
            """
            try:
                import _interpreters as interpreters
            except ImportError:
                import _xxsubinterpreters as interpreters
            other = interpreters.create()
            try:
                failed = interpreters.run_string(other, "import bptt")
            except interpreters.RunFailedError as fault:
                failed = fault
            print(failed)
            import bptt
            print(bptt.__version__)
            """
        ),
        encoding="utf-8",
    )
    said = python(script)
    assert "ImportError" in said
    assert "sub-interpreter" in said
    assert said.split()[-1][0].isdigit()


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_stays_flat() -> None:
    """A call that kept a kibibyte would add two mebibytes here. The long form is benchmarks/soak_native.py."""
    page = resource.getpagesize()

    def resident() -> int:
        return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * page

    def calls(count: int) -> None:
        for kind, option in itertools.product(LAYERS.values(), (None, 0.1, ("norm", 0.1))):
            layer = kind(8, 8, backend="native", grad_clip=option)
            x = torch.randn(5, 3, 8)
            for _ in range(count):
                layer.zero_grad()
                layer(x)[0].sum().backward()
                with torch.no_grad():
                    layer(x)

    calls(50)
    before = resident()
    calls(230)
    assert resident() - before < 1 << 20
