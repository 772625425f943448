"""What happens around the updates: the monitor, checkpoints, the end."""

import json
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

import lightning.pytorch as L
import torch
from lightning.pytorch.callbacks import Callback

from bptt.doctor import Logbook, Monitor
from bptt.lm._config import Config
from bptt.lm._files import write_text
from bptt.lm._keep import LAST, LOG, MODEL, export
from bptt.lm._module import Point, Training
from bptt.lm._vocabulary import Vocabulary

Say = Callable[[str], None]
Begun = Callable[[Monitor, int, int], None]
"""Told of the monitor, the updates made before, and those to be made in all (0 if the clock says)."""
SIGNALS = (signal.SIGINT, signal.SIGTERM)
"""What asks a run to save and stop."""


@contextmanager
def signals_given_back() -> Iterator[None]:
    """Whoever handled the signals before does so again afterwards; Lightning leaves its own handlers behind."""
    before = {number: signal.getsignal(number) for number in SIGNALS}
    try:
        yield
    finally:
        with suppress(ValueError):  # not the main thread, whose handlers nobody has changed then
            for number, handler in before.items():
                signal.signal(number, handler)


class Stopped(BaseException):
    """The run was asked to stop from outside, and has saved a checkpoint. Not an Exception: Lightning passes it on."""


class Watch(Callback):
    """A monitor for the time of the training; what it finds lands in the run folder.

    Args:
        config: its budget.
        log: where it writes.
        begun: told when the monitor has begun.
    """

    def __init__(self, config: Config, log: Logbook, begun: Begun | None = None) -> None:
        self._budget, self._log, self._begun = config.budget, log, begun
        self.monitor: Monitor | None = None

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Begin."""
        assert isinstance(pl_module, Training)
        if self._budget >= 0:
            optimizer = trainer.optimizers[0]
            self.monitor = Monitor(pl_module.model, optimizer, budget=self._budget, out=self._log)
            self.monitor.start()
            if self._begun is not None:
                self._begun(self.monitor, pl_module.global_step, pl_module.updates or 0)

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """End, with what the rules say of all of it."""
        self.close("finished")

    def on_exception(
        self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException
    ) -> None:
        """End, and keep what is there."""
        if isinstance(exception, RuntimeError) and trainer.world_size > 1 and self.monitor:
            self.monitor.pause()  # others may be gone: its end would wait for their last words
            self.monitor = None
        self.close("interrupted" if isinstance(exception, Stopped) else "failed")

    def close(self, state: str) -> None:
        """Write the last results; a second call does nothing."""
        if self.monitor is not None:
            self.monitor.close(state)
        elif self._log.folder is not None:
            self._log.end(state)
            self._log.release()


class Keeper(Callback):
    """Saves, says how it goes, and ends the run: after its updates, its time, validations without a better one, or when
    it is told to by SIGTERM or Ctrl-C.

    Of several processes all stop at the same update: before each next one they tell each other, and their clock is the
    first process's.

    Args:
        config: how often, and when to end.
        folder: the run folder.
        vocabulary: kept with the model.
        say: takes a line for the user.
    """

    def __init__(self, config: Config, folder: Any, vocabulary: Vocabulary, say: Say) -> None:
        self._config, self._folder, self._vocabulary, self._say = config, folder, vocabulary, say
        self._asked = 0
        self._began = self._before = 0.0
        self.reason = ""
        self.saved = 0

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Start the clock; take over the signals, Lightning's own handler being one that may wait for others."""
        assert isinstance(pl_module, Training)
        self._began, self._before = time.perf_counter(), pl_module.progress.seconds
        self.saved = pl_module.global_step
        try:
            for number in SIGNALS:
                signal.signal(number, self._ask)
        except ValueError:  # not the main thread: whoever runs it there sees to its end
            pass

    def _ask(self, number: int, frame: FrameType | None) -> None:
        self._asked = number
        signal.signal(number, signal.SIG_DFL)  # who asks twice does not want to wait

    def on_train_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """After each update: what time is it, is anybody asked to stop, is a checkpoint due?"""
        assert isinstance(pl_module, Training)
        config, update = self._config, pl_module.global_step
        asked = self._agree(trainer, pl_module)
        if asked:
            self.save(trainer)
            raise Stopped(signal.Signals(asked).name)
        if config.minutes and pl_module.progress.seconds >= 60 * config.minutes:
            self.reason = "time"
        if pl_module.updates and update >= pl_module.updates:
            self.reason = "updates"
        if self.reason:
            trainer.should_stop = True  # after one more validation, which Lightning runs
        elif update % config.save_every == 0 and update % config.validate_every:
            self.save(trainer)

    def _agree(self, trainer: L.Trainer, training: Training) -> int:
        """The signal that any process was sent, else 0; the clock is set."""
        seconds = self._before + time.perf_counter() - self._began
        if trainer.world_size > 1:
            first = trainer.is_global_zero
            told = torch.tensor(
                [float(self._asked), seconds if first else 0.0],
                dtype=torch.float64,
                device=training.device,
            )
            asked = told.clone()
            torch.distributed.all_reduce(told)
            torch.distributed.all_reduce(asked[:1], torch.distributed.ReduceOp.MAX)
            self._asked, seconds = int(asked[0]), float(told[1])
        training.progress.seconds = seconds
        return self._asked

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Say how it went, keep the model if it is the best yet, save."""
        assert isinstance(pl_module, Training)
        progress, config = pl_module.progress, self._config
        point = progress.points[-1]
        if trainer.is_global_zero:
            self._say(line(point, progress.waited == 0))
            lines = [json.dumps(vars(each)) + "\n" for each in progress.points]
            write_text(self._folder / LOG, "".join(lines))
            if progress.waited == 0:
                export(self._folder / MODEL, pl_module.model, self._vocabulary, point.update)
        self.save(trainer)
        if config.patience and progress.waited >= config.patience and not self.reason:
            self.reason, trainer.should_stop = "patience", True

    def save(self, trainer: L.Trainer) -> None:
        """A checkpoint in the place of the last one."""
        trainer.save_checkpoint(self._folder / LAST)
        self.saved = trainer.global_step


def line(point: Point, best: bool) -> str:
    """A validation in words."""
    return (
        f"update {point.update:,} · {point.seconds / 60:.1f} min · training {point.training:.3f} bits per symbol · "
        f"held out {point.bits:.4f} bits per character, perplexity {point.perplexity:.2f}"
        + (" · best" if best else "")
    )
