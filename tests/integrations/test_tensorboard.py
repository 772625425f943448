"""TensorBoard's own reader finds the numbers and the words."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from bptt import BpttError
from bptt.integrations import tensorboard as room
from bptt.integrations.tensorboard import TensorBoard
from bptt.rules import Finding


def read(folder: Path) -> Any:
    found = EventAccumulator(str(folder))
    found.Reload()
    return found


def test_a_run_is_in_the_event_file(watched: Callable[..., Any], tmp_path: Path) -> None:
    flows = watched(TensorBoard(tmp_path))
    found = read(tmp_path)
    for name in ("horizon", "rate", "unreached"):
        drawn = [(each.step, each.value) for each in found.Scalars(f"bptt/{name}/l0")]
        expected = [(update, getattr(flow["l0"], name)) for update, flow in flows]
        assert drawn == [(update, pytest.approx(value)) for update, value in expected]
    assert [each.step for each in found.Scalars("bptt/findings/error")] == [1, 3, 4]
    assert [each.step for each in found.Scalars("bptt/gradient_norm/max")] == [3, 4]
    words = found.Tensors("bptt/findings/text_summary")[-1].tensor_proto.string_val[0].decode()
    assert words.startswith("    error: VG101 vanishing-through-time l0:")


def test_a_writer_of_the_users_stays_open(tmp_path: Path) -> None:
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(tmp_path) as writer:
        sink = TensorBoard(writer)
        sink.open()
        sink.numbers(1, {"bptt/horizon/l0": 3.0})
        sink.close("finished")
        writer.add_scalar("loss", 0.5, 2)
    found = read(tmp_path)
    assert [each.value for each in found.Scalars("bptt/horizon/l0")] == [3.0]
    assert [each.value for each in found.Scalars("loss")] == [0.5]


def test_names_are_not_taken_for_markdown(tmp_path: Path) -> None:
    sink = TensorBoard(tmp_path)
    sink.open()
    sink.findings(1, [Finding("VG101", "x", "</script>", "error", "# one\n[two](three)")])
    sink.close("finished")
    words = (
        read(tmp_path).Tensors("bptt/findings/text_summary")[0].tensor_proto.string_val[0].decode()
    )
    assert words == "    error: VG101 x </script>: # one\n    [two](three)"


def test_without_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*told: str) -> None:
        raise BpttError(" ".join(told))

    monkeypatch.setattr(room, "need", missing)
    with pytest.raises(BpttError, match="tensorboard TensorBoard tensorboard"):
        TensorBoard("anywhere")
