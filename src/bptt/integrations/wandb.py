"""Weights & Biases: numbers by their own count of updates, findings as a table and in the run's summary."""

from collections.abc import Mapping, Sequence
from typing import Any

from bptt.doctor import Sink
from bptt.integrations._need import need
from bptt.rules import Finding

COLUMNS: list[Any] = ["update", "code", "site", "severity", "finding"]


class WeightsAndBiases(Sink):
    """Logs to a run of W&B, also offline (`WANDB_MODE=offline`).

    Rows carry `bptt/update`, which is the horizontal axis of every `bptt/…` chart: a script's own `run.log` may count
    its steps as it likes. The run's summary holds the verdict as `bptt/verdict`.

    Args:
        run: what `wandb.init` gave, and stays open; None takes the run that is going on when training begins, or
            begins one, which ends with the training.
        init: arguments of `wandb.init` for a run that is begun; `project` is `bptt` unless told.

    Raises:
        NotInstalledError: wandb is not there.

    Example:
        >>> sink = WeightsAndBiases(project="memory", mode="offline")
        >>> bptt.Monitor(model, optimizer, sinks=[sink])  # doctest: +SKIP
    """

    def __init__(self, run: Any = None, **init: Any) -> None:
        need("wandb", "wandb", "wandb")
        self._given, self._init = run, {"project": "bptt", **init}
        self._run: Any = None
        self._own = False

    def open(self) -> None:
        """Take the run, or begin one."""
        import wandb

        run = self._given or wandb.run
        self._own = run is None
        self._run = run or wandb.init(**self._init)
        self._run.define_metric("bptt/*", step_metric="bptt/update")

    def numbers(self, update: int, numbers: Mapping[str, float]) -> None:
        """One row."""
        self._run.log({"bptt/update": update, **numbers})

    def findings(self, update: int, findings: Sequence[Finding]) -> None:
        """A table, and the codes in the summary."""
        import wandb

        rows: list[Any] = [
            [each.update, each.code, each.site, each.severity, str(each)] for each in findings
        ]
        self._run.log(
            {"bptt/update": update, "bptt/table": wandb.Table(columns=COLUMNS, data=rows)}
        )
        self._run.summary["bptt/verdict"] = [
            f"{each.code} {each.site}".strip() for each in findings
        ]

    def close(self, state: str) -> None:
        """End the run, if it was begun here."""
        if self._own:
            self._run.finish(exit_code=0 if state == "finished" else 1)
        self._run = None
