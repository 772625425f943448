"""TensorBoard: horizons, rates and the rest beside a run's other curves, findings as text."""

import os
from collections.abc import Mapping, Sequence
from typing import Any

from bptt.doctor import Sink
from bptt.integrations._need import need
from bptt.rules import Finding


class TensorBoard(Sink):
    """Writes event files; `tensorboard --logdir WHERE` shows them.

    Args:
        where: a folder, made when the run begins; or a `SummaryWriter` that is there already, which stays open.

    Raises:
        NotInstalledError: TensorBoard is not there.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     sink = TensorBoard(folder)
        ...     sink.open()
        ...     sink.numbers(1, {"bptt/horizon/l0": 11.0})
        ...     sink.close("finished")
        ...     [each.name.split(".")[0] for each in Path(folder).iterdir()]
        ['events']
    """

    def __init__(self, where: str | os.PathLike[str] | Any) -> None:
        need("tensorboard", "TensorBoard", "tensorboard")
        given = not isinstance(where, (str, os.PathLike))
        self._folder: str | None = None if given else os.fspath(where)
        self._writer: Any = where if given else None

    def open(self) -> None:
        """Make the folder's file."""
        if self._writer is None:
            from torch.utils.tensorboard import SummaryWriter

            self._writer = SummaryWriter(self._folder)

    def numbers(self, update: int, numbers: Mapping[str, float]) -> None:
        """One scalar a name."""
        for name, value in numbers.items():
            self._writer.add_scalar(name, value, update)

    def findings(self, update: int, findings: Sequence[Finding]) -> None:
        """Set off by four blanks, so that a name is not taken for Markdown or HTML."""
        lines = [row for each in findings for row in f"{each.severity}: {each}".splitlines()]
        text = "\n".join(f"    {line}" for line in lines or ["nothing found"])
        self._writer.add_text("bptt/findings", text, update)

    def close(self, state: str) -> None:
        """Write what is left; a folder's file is closed."""
        self._writer.flush()
        if self._folder is not None:
            self._writer.close()
            self._writer = None
