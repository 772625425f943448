"""Streams: every symbol once an epoch, documents apart, the same from any step and for any number of processes."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bptt.lm import Config
from bptt.lm._stream import IGNORED, Batch, Stream, cut, head
from bptt.lm._tokens import Tokens, encode
from bptt.lm._vocabulary import END

TEXTS = ["abc", "d" * 50, "efghijk" * 9, "l", "mnop" * 30]


@pytest.fixture
def tokens(tmp_path: Path) -> Iterator[Tokens]:
    files = []
    for n, text in enumerate([*TEXTS, "held out"]):
        path = tmp_path / f"{n}.txt"
        path.write_text(text, encoding="utf-8")
        files.append(str(path))
    config = Config(files=tuple(files[:-1]), held_out=(files[-1],), length=4)
    found = encode(config, tmp_path / "tokens")
    yield found
    found.close()


def once(tokens: Tokens, B: int, T: int, **told: Any) -> list[Batch]:
    return list(Stream(tokens, tokens.training, B, T, **told))


@pytest.mark.parametrize(("B", "T"), [(1, 1), (1, 63), (3, 4), (7, 15)])
def test_each_symbol_is_a_target_once(tokens: Tokens, B: int, T: int) -> None:
    batches = once(tokens, B, T)
    targets = torch.cat([batch.targets.flatten() for batch in batches])
    kept = targets[targets != IGNORED]
    everything = tokens.read(1, tokens.held)
    assert sorted(kept.tolist()) == sorted(everything.tolist())
    assert sum(batch.counted for batch in batches) == len(kept) == sum(map(len, TEXTS)) + len(TEXTS)


def test_lanes_read_documents_from_a_fresh_state(tokens: Tokens) -> None:
    """Put together again lane by lane, what was read between two fresh states is one document and its end."""
    read: list[str] = []
    texts = ["".join(TEXTS[n]) for n in range(len(TEXTS))]
    batches = once(tokens, 2, 8)
    for lane in range(2):
        part: list[int] = []
        for batch in batches:
            kept = batch.targets[:, lane] != IGNORED
            if batch.fresh[lane] and part:
                read.append(tokens.vocabulary.decode(part))
                part = []
            if batch.fresh[lane] and kept.any():
                assert int(batch.ids[0, lane]) == END
            part += batch.targets[:, lane][kept].tolist()
        read += [tokens.vocabulary.decode(part)] if part else []
    assert sorted(read) == sorted(texts)


def test_inputs_are_the_targets_one_step_before(tokens: Tokens) -> None:
    for batch in once(tokens, 3, 8):
        counted = batch.targets[:-1] != IGNORED
        following = batch.targets[1:] != IGNORED
        assert torch.equal(batch.ids[1:][following], batch.targets[:-1][counted & following])


def test_an_endless_stream_is_the_same_from_any_step(tokens: Tokens) -> None:
    whole = iter(Stream(tokens, tokens.training, 3, 8, seed=5))
    batches = [next(whole) for _ in range(60)]
    again = iter(Stream(tokens, tokens.training, 3, 8, seed=5, start=lambda: 37))
    for expected in batches[37:]:
        found = next(again)
        assert found.step == expected.step
        assert torch.equal(found.ids, expected.ids)
        assert torch.equal(found.fresh, expected.fresh)
        assert torch.equal(found.targets, expected.targets)


def test_epochs_follow_without_a_break_in_another_order(tokens: Tokens) -> None:
    stream = iter(Stream(tokens, tokens.training, 1, 500, seed=0))  # a document a chunk
    epochs = [[next(stream).counted for _ in TEXTS] for _ in range(4)]
    lengths = sorted(len(text) + 1 for text in TEXTS)
    assert all(sorted(epoch) == lengths for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) > 1


@pytest.mark.parametrize("world", [2, 3])
def test_processes_share_the_lanes(tokens: Tokens, world: int) -> None:
    alone = once(tokens, 4, 8)
    each = [once(tokens, 4, 8, rank=rank, world=world) for rank in range(world)]
    for n, batch in enumerate(alone):
        for rank in range(world):
            assert torch.equal(each[rank][n].ids, batch.ids[:, rank::world])
            assert each[rank][n].counted == batch.counted


def test_long_documents_are_cut_into_equal_parts() -> None:
    ranges = np.array([[0, 3], [3, 1003]])
    parts = cut(ranges, 2, 4)
    assert parts[0].tolist() == [0, 3]
    assert (parts[1:, 0] == parts[:-1, 1]).all()
    sizes = parts[1:, 1] - parts[1:, 0]
    assert sizes.max() - sizes.min() <= 1
    assert sizes.max() <= -(-1003 // 8)
    assert cut(ranges, 2, 100).tolist() == ranges.tolist()  # never below 16 chunks


def test_the_head_of_a_text() -> None:
    ranges = np.array([[0, 3], [3, 10], [10, 20]])
    assert head(ranges, 5).tolist() == [[0, 3], [3, 5]]
    assert head(ranges, 100).tolist() == ranges.tolist()
