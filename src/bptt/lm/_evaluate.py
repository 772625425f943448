"""What a model is worth on a text, and how much of the past it uses."""

import math
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from bptt._errors import UnmeasurableError
from bptt.flow import measure
from bptt.lm._config import LmError
from bptt.lm._model import LanguageModel, nats
from bptt.lm._module import Tally, unless
from bptt.lm._stream import Stream
from bptt.lm._text import Document
from bptt.lm._tokens import Ranges, Tokens, put
from bptt.lm._vocabulary import Vocabulary

LANES, STEPS = 32, 256


@contextmanager
def encoded(vocabulary: Vocabulary, texts: Iterable[Document]) -> Iterator[Tokens]:
    """Texts as symbols of a given vocabulary, in a file that goes with the context.

    Raises:
        LmError: there is no text in them.
    """
    with tempfile.TemporaryDirectory(prefix="bptt-") as folder:
        path, bounds = Path(folder) / "tokens.bin", []
        try:
            with path.open("wb") as file:
                put(file, vocabulary, texts, bounds)
        except OSError as error:
            raise LmError(f"{path} could not be written: {error.strerror}") from None
        cuts = np.array(bounds, np.int64)
        if cuts[-1] < 1 or int(cuts[-1]) < len(cuts):
            raise LmError("the text has nothing in it to predict; give more")
        tokens = Tokens(path, vocabulary, cuts, held=int(cuts[-1]))
        try:
            yield tokens
        finally:
            tokens.close()


@torch.no_grad()
def evaluate(model: LanguageModel, vocabulary: Vocabulary, texts: Iterable[Document]) -> Tally:
    """Bits per character and perplexity of texts, documents kept apart and each one's end predicted too.

    A document that is longer than a 32nd of the text, and than 4,096 symbols, is read in parts, each from a zero state.

    Args:
        model, vocabulary: as `load_model` gives them.
        texts: documents.

    Example:
        >>> from bptt.lm import Config
        >>> from bptt.lm._vocabulary import Bytes
        >>> model = LanguageModel(Config(hidden=4), V=256)
        >>> _ = [torch.nn.init.zeros_(p) for p in model.parameters()]
        >>> found = evaluate(model, Bytes(), [["seven b"]])
        >>> found.symbols, found.characters, round(found.bits, 4)  # 8 bits a symbol, the end too
        (8, 7, 9.1429)
    """
    was, tally, lengths = model.training, Tally(), torch.from_numpy(vocabulary.lengths())
    model.eval()
    with encoded(vocabulary, texts) as tokens:
        stream = Stream(tokens, tokens.training, LANES, STEPS, least=1)
        state = model.start(LANES)
        for batch in stream:
            logits, state = model(batch.ids, unless(batch, state))
            loss = float(nats(logits, batch.targets))
            tally.add(loss, batch.targets, lengths, vocabulary.unknown)
    model.train(was)
    return tally


@dataclass(frozen=True)
class ContextCurve:
    """Loss by how many symbols before the target the model was given, and how far its gradient reaches.

    Attributes:
        given: 1, 2, 4, …
        bits: `[len(given)]` bits per symbol, over the same targets.
        errors: their standard errors against the last, paired target by target.
        targets: how many.
        horizon: a layer's site and its gradient horizon in steps, on chunks of `steps`.
        steps: T of the chunks that the horizon was measured on.
        used: the fewest symbols given with which the loss is within 0.01 bits of the last.
    """

    given: list[int]
    bits: list[float]
    errors: list[float]
    targets: int
    horizon: dict[str, int | None]
    steps: int

    @property
    def used(self) -> int:
        """What the model does use."""
        near = (
            n for n, bits in zip(self.given, self.bits, strict=True) if bits < self.bits[-1] + 0.01
        )
        return next(near)


def context_curve(
    model: LanguageModel,
    vocabulary: Vocabulary,
    texts: Iterable[Document],
    *,
    longest: int = 1024,
    targets: int = 512,
    seed: int = 0,
) -> ContextCurve:
    """What the model could learn to use, its gradient horizon, beside what it does use, its loss by context given.

    Targets are drawn at random among those with `longest` symbols of their document before them. For each
    n = 1, 2, 4, … the model reads the n symbols before a target from a zero state; the targets stay the same, so the
    curve falls by what the symbols further back tell it. The horizon is measured on the longest contexts, with a loss
    at every step.

    Args:
        model, vocabulary: as `load_model` gives them.
        texts: documents.
        longest: the most symbols given, rounded down to a power of two.
        targets: how many are drawn.
        seed: of the draw.

    Raises:
        LmError: no document is long enough.

    Source: Khandelwal, He, Qi & Jurafsky (2018), arXiv 1805.04623, do so by words.
    """
    if longest < 1 or targets < 2:
        raise LmError(f"longest is {longest} and targets {targets}, expected at least 1 and 2")
    if seed < 0:
        raise LmError(f"seed is {seed}, expected 0 or more")
    given = [2**k for k in range(longest.bit_length())]
    most = given[-1]
    with encoded(vocabulary, texts) as tokens:
        places = _draw(tokens.training, most, targets, seed)
        rows = [tokens.read(int(place) - most, most + 1).astype(np.int64) for place in places]
    windows = torch.from_numpy(np.stack(rows, 1))
    was = model.training
    model.eval()
    losses = torch.stack([_losses(model, windows[most - n :]) for n in given])
    model.train(was)
    apart = (losses - losses[-1]).std(1) / math.sqrt(targets)
    horizon, steps = _horizon(model, windows)
    return ContextCurve(given, losses.mean(1).tolist(), apart.tolist(), targets, horizon, steps)


def _draw(ranges: Ranges, most: int, targets: int, seed: int) -> list[int]:
    """Positions of targets with `most` inputs of their own document before them."""
    sizes = np.maximum(ranges[:, 1] - ranges[:, 0] - most + 1, 0)
    if not sizes.sum():
        raise LmError(
            f"no document has {most:,} symbols, so no target has as many before it; give a longer text, or a smaller "
            "--context"
        )
    drawn = np.random.default_rng(seed).integers(int(sizes.sum()), size=targets)
    index = np.searchsorted(np.cumsum(sizes), drawn, side="right")
    return (ranges[index, 0] + most + drawn - (np.cumsum(sizes) - sizes)[index]).tolist()


@torch.no_grad()
def _losses(model: LanguageModel, windows: Tensor) -> Tensor:
    """`[targets]` bits of the last symbol of each window after the others."""
    found = []
    room = 2**25 // (
        len(windows) * model.readout.out_features
    )  # scores of every step are held at once
    for part in windows.split(min(max(room, 1), 128), 1):
        logits = model(part[:-1])[0][-1]
        found.append(F.cross_entropy(logits, part[-1], reduction="none") / math.log(2))
    return torch.cat(found).double()


def _horizon(model: LanguageModel, windows: Tensor) -> tuple[dict[str, int | None], int]:
    part = windows[:, :8]
    try:
        flow = measure(model, part[:-1], loss=lambda out: nats(out[0], part[1:]) / part[1:].numel())
    except UnmeasurableError:
        return {}, len(part) - 1
    return {site: flow[site].horizon for site in flow.sites}, len(part) - 1
