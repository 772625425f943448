"""Hugging Face Transformers: a monitor as a callback of its `Trainer`."""

from typing import Any

from bptt.doctor import Monitor
from bptt.integrations._need import need
from bptt.integrations._watch import Watch
from bptt.rules import Finding

need("transformers", "Transformers", "transformers")

from transformers import TrainerCallback  # noqa: E402 - after the sentence for those who lack it


class MonitorCallback(TrainerCallback):
    """Watches `Trainer.train` as `bptt.Monitor` watches a loop; sites are named as in the model's state dict.

    Losses, gradients, parameters and random numbers are bit-identical to the run without it. With accumulated gradients
    an update is a step of the optimizer, as elsewhere. A `Trainer` does not tell its callbacks of exceptions: the next
    training ends what one has left open, and so does `close`.

    Args:
        settings: as for `bptt.Monitor`: `budget`, `out`, `threshold`, `lag`, `select`, `ignore`, `options`, `sinks`.

    Attributes:
        monitor: that of the last training, None before the first.
        findings: what the rules say of it.

    Raises:
        BpttError: a setting that a monitor does not have; at the begin of training, one that it cannot use.
        NotInstalledError: at the import of this module, without Transformers.

    Example:
        >>> watch = MonitorCallback(lag=100, budget=0.05)
        >>> trainer = transformers.Trainer(model, arguments, train_dataset=data, callbacks=[watch])  # doctest: +SKIP
        >>> trainer.train()  # doctest: +SKIP
        >>> watch.findings  # doctest: +SKIP
        [Finding(code='VG101', name='vanishing-through-time', site='rnn.l0', ...)]
    """

    def __init__(self, **settings: Any) -> None:
        self._watch = Watch(settings)

    @property
    def monitor(self) -> Monitor | None:
        """The monitor of the last training."""
        return self._watch.monitor

    @property
    def findings(self) -> list[Finding]:
        """What the rules say of it, the worst first."""
        return self._watch.findings

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Begin."""
        self._watch.start(kwargs["model"], [kwargs["optimizer"]])

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """End, with what the rules say of all of it."""
        self._watch.close("finished")

    def close(self, state: str = "failed") -> None:
        """End a training that an exception has cut short; after its own end nothing happens."""
        self._watch.close(state)
