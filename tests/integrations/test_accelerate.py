"""examples/accelerate_adding.py: updates are counted, not batches, and the verdict is that of the task's length."""

import runpy
from collections.abc import Iterator

import pytest
from accelerate.state import AcceleratorState

from scripts import EXAMPLES


@pytest.fixture(autouse=True)
def _left_as_it_was() -> Iterator[None]:
    yield
    AcceleratorState._reset_state(reset_partial_state=True)


@pytest.mark.parametrize(
    ("length", "reach", "codes"),
    [("150", "of 150 steps", ["VG101"]), ("10", "all 10 steps", [])],
    ids=["out of reach", "in reach"],
)
def test_the_example(
    length: str,
    reach: str,
    codes: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    options = ["--updates", "12", "--length", length, "--batch", "4", "--hidden", "16"]
    monkeypatch.setattr("sys.argv", ["accelerate_adding.py", *options])
    runpy.run_path(str(EXAMPLES / "accelerate_adding.py"), run_name="__main__")
    first, second, *rest = capsys.readouterr().out.splitlines()
    assert first.startswith("12 updates, mean squared error ")
    assert second.startswith("rnn.l0: gradient reaches ")
    assert second.endswith(reach)
    assert [each.split()[0] for each in rest][: len(codes)] == codes
    assert bool(rest) == bool(codes)
