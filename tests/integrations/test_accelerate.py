"""examples/accelerate_adding.py under a monitor of all modules: updates are counted, not batches."""

import runpy
from collections.abc import Iterator

import pytest
from accelerate.state import AcceleratorState

import bptt
from scripts import EXAMPLES, numbers


@pytest.fixture(autouse=True)
def _left_as_it_was() -> Iterator[None]:
    yield
    AcceleratorState._reset_state(reset_partial_state=True)


@pytest.mark.parametrize(
    ("length", "reaches_all", "errors"),
    [("150", False, ["VG101"]), ("10", True, [])],
    ids=["out of reach", "in reach"],
)
def test_the_example(
    length: str,
    reaches_all: bool,
    errors: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    options = ["--updates", "12", "--length", length, "--batch", "4", "--hidden", "16"]
    monkeypatch.setattr("sys.argv", ["accelerate_adding.py", *options])
    with bptt.Monitor() as monitor:  # as `bptt run` watches a script
        runpy.run_path(str(EXAMPLES / "accelerate_adding.py"), run_name="__main__")
    assert len(numbers(r"mean squared error ([\d.]+)", capsys.readouterr().out)) == 1
    assert monitor.fault is None
    assert monitor.updates == 12  # of 24 batches
    assert monitor.flow is not None
    site = monitor.flow["rnn.l0"]
    assert (site.horizon == site.steps - 1) == reaches_all
    assert [each.code for each in monitor.findings if each.severity == "error"] == errors
