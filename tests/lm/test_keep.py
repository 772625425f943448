"""Checkpoints and models on the disk: a damaged one is refused by name, one of before there were checksums is read."""

import json
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save

from bptt._files import seal
from bptt.lm import Config, LmError, load_model, resumed
from bptt.lm._keep import Whole, export, read_checkpoint, write_config
from bptt.lm._model import LanguageModel
from bptt.lm._tokens import encode, load
from bptt.lm._vocabulary import Bytes

CASES = 150


def damaged(data: bytes, draw: random.Random) -> bytes:
    """A truncated file, one with flipped bits or a stretch of zeros, or one with a piece twice."""
    start, size = draw.randrange(len(data)), draw.choice([1, 20, 400])
    kind = draw.randrange(4)
    if kind == 0:
        return data[:start]
    if kind == 1:
        flipped = bytearray(data)
        flipped[start] ^= 1 << draw.randrange(8)
        return bytes(flipped)
    stop = min(start + size, len(data))
    piece = bytes(stop - start) if kind == 2 else 2 * data[start:stop]
    return data[:start] + piece + data[stop:]


def none_is_taken_as_good(path: Path, read: Callable[[], Any], same: Callable[[Any], bool]) -> int:
    """How many of the damaged files were refused; each that was not has the content of the good one."""
    whole, draw, refused = path.read_bytes(), random.Random(7), 0
    assert same(read())
    for _ in range(CASES):
        path.write_bytes(damaged(whole, draw))
        try:
            assert same(read())
        except LmError as error:
            refused += path.name in str(error)
    path.write_bytes(whole)
    return refused


def test_damaged_checkpoints(tmp_path: Path) -> None:
    config = json.loads(Config().to_json())
    content = {"bptt": {"config": config}, "w": torch.arange(500.0), "steps": [1, 2]}
    path = tmp_path / "last.ckpt"
    Whole().save_checkpoint(content, path)

    def same(found: dict[str, Any]) -> bool:
        return {**found, "w": 0} == {**content, "w": 0} and torch.equal(found["w"], content["w"])

    # The rest was damaged in the line that holds the checksum, or where its bytes were zeros before.
    assert none_is_taken_as_good(path, lambda: read_checkpoint(path), same) > 0.9 * CASES


def test_damaged_models(tmp_path: Path) -> None:
    vocabulary = Bytes()
    model = LanguageModel(replace(Config(), hidden=4, embedding=3), vocabulary.size)
    path = tmp_path / "model.safetensors"
    export(path, model, vocabulary, 7)

    def same(found: tuple[LanguageModel, Any]) -> bool:
        pairs = zip(found[0].state_dict().values(), model.state_dict().values(), strict=True)
        return found[1].size == vocabulary.size and all(torch.equal(a, b) for a, b in pairs)

    assert none_is_taken_as_good(path, lambda: load_model(path), same) > 0.9 * CASES


def test_a_training_of_which_a_file_is_damaged_does_not_go_on(tmp_path: Path) -> None:
    """Nor does one whose settings or text were changed by hand: another letter is another training."""
    text, run = tmp_path / "a.txt", tmp_path / "run"
    text.write_text("so it goes and so it goes. " * 40, encoding="utf-8")
    config = Config(files=(str(text),), hidden=4, batch=2, length=16, updates=1)
    write_config(run, config)
    encode(config, run / "tokens").close()
    draw = random.Random(3)

    def read() -> tuple[Config, bytes, list[int], int]:
        tokens = load(resumed(run), run / "tokens")
        if tokens is None:
            raise LmError("tokens.json, bounds.npy or tokens.bin is gone")
        found = tokens.read(0, len(tokens)).tobytes(), tokens.bounds.tolist(), tokens.held
        tokens.close()
        return resumed(run), *found

    good, refused = read(), 0
    for name in ("config.json", "tokens/tokens.json", "tokens/bounds.npy", "tokens/tokens.bin"):
        whole = (run / name).read_bytes()
        for _ in range(40):
            (run / name).write_bytes(damaged(whole, draw))
            try:
                assert read() == good, name
            except LmError:
                refused += 1
        for content in (b"", b"[" * 200_000):
            (run / name).write_bytes(content)
            with pytest.raises(LmError):
                read()
        (run / name).write_bytes(whole)
    assert refused > 150  # all but spaces of JSON, and zeros put where zeros were


def test_a_training_of_before_there_were_checksums_goes_on(tmp_path: Path) -> None:
    text, run = tmp_path / "a.txt", tmp_path / "run"
    text.write_text("so it goes and so it goes. " * 40, encoding="utf-8")
    config = Config(files=(str(text),), hidden=4, batch=2, length=16, updates=1, field="format")
    tokens = encode(config, run / "tokens")
    tokens.close()
    (run / "config.json").write_text(config.to_json(), encoding="utf-8")
    about = json.loads((run / "tokens" / "tokens.json").read_bytes())
    before = {name: about[name] for name in ("key", "held", "vocabulary")}
    (run / "tokens" / "tokens.json").write_text(json.dumps(before), encoding="utf-8")
    assert resumed(run) == config
    again = load(config, run / "tokens")
    assert again is not None
    assert (again.held, again.vocabulary.size) == (tokens.held, tokens.vocabulary.size)
    again.close()
    for name, old in (
        ("config.json", json.loads(config.to_json())),
        ("tokens/tokens.json", before),
    ):
        whole = (run / name).read_bytes()
        (run / name).write_bytes(seal(old, form=3))
        with pytest.raises(LmError, match=r"format 3, and this bptt reads up to 2"):
            load(resumed(run), run / "tokens")
        (run / name).write_bytes(whole)


def test_files_of_before_there_were_checksums_are_read(tmp_path: Path) -> None:
    model = LanguageModel(replace(Config(), hidden=4, embedding=3), Bytes().size)
    path = tmp_path / "model.safetensors"
    export(path, model, Bytes(), 7)
    with safe_open(path, framework="pt") as file:
        told = json.loads(file.metadata()["bptt"])
        weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    for version in (1, 2, 3):
        path.write_bytes(save(weights, {"bptt": json.dumps({**told, "version": version})}))
        if version == 1:
            assert load_model(path)[1].size == Bytes().size
            continue
        with pytest.raises(LmError, match="does not fit its checksum"):
            load_model(path)
    path.write_bytes(save(weights, {"bptt": "[" * 200_000}))
    with pytest.raises(LmError, match="is damaged"):
        load_model(path)
    torch.save({"bptt": {}, "w": torch.ones(2)}, tmp_path / "last.ckpt")
    assert read_checkpoint(tmp_path / "last.ckpt")["w"].sum() == 2


def test_a_checkpoint_that_would_run_code_is_refused(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return (tmp_path.joinpath("ran").touch, ())

    torch.save({"bptt": Trap()}, tmp_path / "last.ckpt")
    with pytest.raises(
        LmError, match=r"is not a checkpoint .* would run code .* convert it: `content"
    ):
        read_checkpoint(tmp_path / "last.ckpt")
    for old in (True, False):
        path = tmp_path / "model.pt"
        torch.save(Trap(), path, _use_new_zipfile_serialization=old)
        with pytest.raises(LmError, match=r"model\.pt is a pickle .* convert it: `safetensors"):
            load_model(path)
    assert not (tmp_path / "ran").exists()
