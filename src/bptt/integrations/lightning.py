"""Lightning: a monitor as a callback of its `Trainer`."""

from collections.abc import Mapping, Sequence
from typing import Any

from bptt.doctor import Monitor, Sink
from bptt.integrations._need import need
from bptt.integrations._watch import Watch
from bptt.rules import Finding

need("lightning", "Lightning", "lm")

from lightning.pytorch import LightningModule, Trainer  # noqa: E402 - after the sentence for those who lack it
from lightning.pytorch.callbacks import Callback  # noqa: E402


class MonitorCallback(Callback):
    """Watches `Trainer.fit` as `bptt.Monitor` watches a loop; sites are named as in the module's state dict.

    Losses, gradients, parameters and random numbers are bit-identical to the run without it. Optimizers may be several,
    and may be stepped by hand (`automatic_optimization = False`). Sanity checks and validation count for nothing.

    Args:
        log: whether the numbers go to the trainer's own loggers, too, by the trainer's count of steps.
        settings: as for `bptt.Monitor`: `budget`, `out`, `threshold`, `lag`, `select`, `ignore`, `options`, `sinks`.

    Attributes:
        monitor: that of the last training, None before the first.
        findings: what the rules say of it.

    Raises:
        BpttError: a setting that a monitor does not have; at the begin of training, one that it cannot use.
        NotInstalledError: at the import of this module, without Lightning.

    Example:
        >>> import lightning.pytorch as L, torch
        >>> class Last(L.LightningModule):
        ...     def __init__(self):
        ...         super().__init__()
        ...         self.rnn = torch.nn.GRU(1, 4)
        ...     def training_step(self, batch):
        ...         return self.rnn(batch)[0][-1].square().mean()
        ...     def configure_optimizers(self):
        ...         return torch.optim.SGD(self.parameters(), lr=0.1)
        >>> watch = MonitorCallback(log=False)
        >>> quiet = dict(logger=False, enable_progress_bar=False, enable_model_summary=False)
        >>> trainer = L.Trainer(max_steps=2, accelerator="cpu", callbacks=[watch], enable_checkpointing=False, **quiet)
        >>> trainer.fit(Last(), torch.ones(2, 5, 1, 1))  # doctest: +SKIP
        >>> watch.monitor.flow["rnn.l0"].reach()  # doctest: +SKIP
        'all 5 steps'
    """

    def __init__(self, *, log: bool = True, **settings: Any) -> None:
        self._log, self._watch = log, Watch(settings)

    @property
    def monitor(self) -> Monitor | None:
        """The monitor of the last training."""
        return self._watch.monitor

    @property
    def findings(self) -> list[Finding]:
        """What the rules say of it, the worst first."""
        return self._watch.findings

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin."""
        own = [_Loggers(trainer)] if self._log and trainer.loggers else []
        self._watch.start(pl_module, trainer.optimizers, *own)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """End, with what the rules say of all of it."""
        self._watch.close("finished")

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        """End, and keep what is there."""
        if trainer.world_size > 1 and not isinstance(exception, KeyboardInterrupt):
            self._watch.leave()
        self._watch.close("interrupted" if isinstance(exception, KeyboardInterrupt) else "failed")


class _Loggers(Sink):
    """The loggers that a trainer has."""

    def __init__(self, trainer: Trainer) -> None:
        self._trainer, self._before = trainer, trainer.global_step

    def open(self) -> None:
        """They are open."""

    def numbers(self, update: int, numbers: Mapping[str, float]) -> None:
        for logger in self._trainer.loggers:
            logger.log_metrics(dict(numbers), step=self._before + update)

    def findings(self, update: int, findings: Sequence[Finding]) -> None:
        """Loggers have no place for words; their counts are among the numbers."""

    def close(self, state: str) -> None:
        """They are the trainer's to close."""
