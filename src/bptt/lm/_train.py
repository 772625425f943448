"""A training from its settings to its result, in a folder from which it can be taken up again."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning.pytorch as L
import torch

from bptt.doctor import Logbook, RunFolder
from bptt.lm._callbacks import Begun, Keeper, Say, Stopped, Watch, signals_given_back
from bptt.lm._config import Config, LmError
from bptt.lm._keep import (
    CONFIG,
    LAST,
    LOG,
    MODEL,
    TOKENS,
    Whole,
    check_fits,
    export,
    read_checkpoint,
    write_config,
)
from bptt.lm._module import Point, Training
from bptt.lm._processes import Place, processes, quiet
from bptt.lm._stream import Stream, head
from bptt.lm._tokens import Tokens, encode, fingerprint, key_of, load


@dataclass(frozen=True)
class Result:
    """What came of a training.

    Attributes:
        folder: where it is.
        updates: how many were made, those before a resumption included.
        reason: `updates`, `time`, `patience`, or the signal that stopped it.
        points: the validations.
    """

    folder: Path
    updates: int
    reason: str
    points: list[Point]

    @property
    def bits(self) -> float:
        """Fewest bits per character; not a number if there was no validation."""
        return min((point.bits for point in self.points), default=math.nan)

    @property
    def stopped(self) -> bool:
        """Whether it was stopped from outside."""
        return self.reason.startswith("SIG")


def train(
    config: Config,
    out: str | Path,
    *,
    resume: bool = False,
    say: Say = print,
    bar: bool = False,
    begun: Begun | None = None,
) -> Result:
    """Train a language model on text.

    The loop is Lightning's. An update is a chunk of `config.length` steps of `config.batch` streams; the state is
    carried from chunk to chunk. n updates, a kill, and the rest by `resume` give the same weights, bit for bit on a
    CPU, as all at once, unless it is the clock that says when the learning rate falls (`minutes` without `updates`).

    Args:
        config: what to train on, and how.
        out: the run folder, empty or new; that of an earlier run keeps what it had under `earlier/`.
        resume: go on from the folder's last checkpoint.
        say: takes lines for the user.
        bar: whether to show a progress bar.
        begun: told of the monitor when it has begun, for who shows what it sees.

    Raises:
        LmError: a text that cannot be trained on, a folder that cannot be used, a loss that is not finite.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     text = Path(folder) / "text.txt"
        ...     _ = text.write_text("so it goes and so it goes. " * 40, encoding="utf-8")
        ...     config = Config(files=(str(text),), hidden=8, batch=2, length=16, updates=3)
        ...     result = train(config, Path(folder) / "run", say=lambda line: None)
        ...     result.updates, result.reason, [point.update for point in result.points]
        (3, 'updates', [3])
    """
    folder = Path(out).absolute()
    with processes() as place, quiet():
        tell = say if place.first else lambda _: None
        if resume and not (folder / CONFIG).is_file():
            raise LmError(f"{folder} has no {CONFIG}, so it is no training to resume")
        # Hours of work may be in them: a new training moves the files of an earlier one aside, and deletes none.
        theirs = () if resume else (CONFIG, LAST, MODEL, LOG)
        record = RunFolder(folder, also=theirs) if place.first else None
        log = Logbook(record, script="train", options={"budget": max(config.budget, 0.0)})
        log.begin()
        try:
            watch = Watch(config, log, begun if place.first else None)
            return _run(config, folder, place, watch, tell, resume=resume, bar=bar)
        finally:
            if log.folder is not None:  # it ended before there was a monitor to close it
                log.end("failed")
                log.release()
            if log.trouble is not None:
                tell(f"bptt: {log.trouble}")


def _run(
    config: Config,
    folder: Path,
    place: Place,
    watch: Watch,
    say: Say,
    *,
    resume: bool,
    bar: bool,
) -> Result:
    if place.first:
        write_config(folder, config)
    tokens = _tokens(config, folder / TOKENS, place, resume=resume)
    training = _module(config, tokens)
    if resume:
        check_fits(folder / LAST, read_checkpoint(folder / LAST), config, training.model)
    say(describe(training, tokens))
    keeper = Keeper(config, folder, tokens.vocabulary, say)
    trainer = _trainer(config, folder, place, [keeper, watch], training, bar=bar)
    reason = _fit(
        trainer, training, keeper, _streams(config, tokens, place, training), folder, resume
    )
    if place.first and not (folder / MODEL).exists():
        export(folder / MODEL, training.model, tokens.vocabulary, training.global_step)
    tokens.close()
    return Result(folder, training.global_step, reason, training.progress.points)


def _tokens(config: Config, folder: Path, place: Place, *, resume: bool) -> Tokens:
    """The text as symbols: encoded by the first process, then on each other machine that does not see its folder.

    A run that is resumed has them already, and goes on without the files they came from.
    """
    for turn in (place.first, place.local == 0):
        if turn and not (resume and key_of(folder)) and key_of(folder) != fingerprint(config):
            encode(config, folder).close()
        place.wait()
    tokens = load(config, folder)
    if tokens is None:
        raise LmError(f"{folder} has no encoded text; train anew")
    return tokens


def _module(config: Config, tokens: Tokens) -> Training:
    """Weights from the seed; the caller's random numbers are left alone."""
    updates = config.updates
    if not updates and not config.minutes:
        updates = math.ceil(config.epochs * tokens.held / (config.batch * config.length))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        return Training(config, tokens.vocabulary, updates)


def _streams(
    config: Config, tokens: Tokens, place: Place, training: Training
) -> tuple[Stream, Stream]:
    """The training text without end, from the update that is next; the first of the validation text, once."""
    shares: dict[str, Any] = {"rank": place.rank, "world": place.world}
    sizes = (config.batch, config.length)
    return (
        Stream(
            *(tokens, tokens.training, *sizes),
            **shares,
            seed=config.seed,
            start=lambda: training.global_step,
        ),
        Stream(tokens, head(tokens.validation, config.validation_tokens), *sizes, **shares),
    )


def _trainer(
    config: Config,
    folder: Path,
    place: Place,
    callbacks: list[Any],
    training: Training,
    *,
    bar: bool,
) -> L.Trainer:
    return L.Trainer(
        **place.trainer(),
        default_root_dir=folder,
        callbacks=callbacks,
        plugins=[Whole()],
        max_steps=training.updates or -1,
        max_epochs=-1,
        min_epochs=0,
        val_check_interval=config.validate_every,
        check_val_every_n_epoch=None,
        num_sanity_val_steps=0,
        logger=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        enable_progress_bar=bar and place.first,
    )


def _fit(
    trainer: L.Trainer,
    training: Training,
    keeper: Keeper,
    streams: tuple[Stream, Stream],
    folder: Path,
    resume: bool,
) -> str:
    """Why it ended."""
    again = f"`bptt train --resume {folder}` goes on from it"
    try:
        with signals_given_back():
            trainer.fit(training, *streams, ckpt_path=folder / LAST if resume else None)
    except Stopped as stopped:
        keeper._say(f"stopped by {stopped} after update {keeper.saved:,}, which is saved; {again}")
        return str(stopped)
    except RuntimeError as error:
        if trainer.world_size == 1:
            raise
        # gloo and NCCL raise plain RuntimeErrors when whom they talk to is gone
        reason = str(error).splitlines()[0].split(". ")[0]
        raise LmError(
            f"this process lost the others ({reason}); one of them may have been killed. "
            f"The last checkpoint is of update {keeper.saved:,}; {again}, with any number of processes"
        ) from None
    return keeper.reason or "updates"


def describe(training: Training, tokens: Tokens) -> str:
    """Text and model in a line."""
    config = training.config
    weights = sum(p.numel() for p in training.model.parameters())
    held = len(tokens) - tokens.held
    return (
        f"{tokens.held:,} symbols to train on, {held:,} held out, {tokens.vocabulary.size:,} distinct "
        f"({config.tokens}) · {config.cell}, {config.layers} × {config.hidden} units, {weights:,} weights · "
        f"{config.batch} streams in chunks of {config.length}"
    )
