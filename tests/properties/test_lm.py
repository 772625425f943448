"""Language models: texts come back from their symbols, samples keep to top-p, settings are read again."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from bptt.lm import (
    UNKNOWN_BITS,
    Config,
    LanguageModel,
    LmError,
    context_curve,
    documents,
    evaluate,
    load_model,
    resumed,
    sample,
)
from bptt.lm import _text as text_module
from bptt.lm._keep import export
from bptt.lm._sample import draw
from bptt.lm._vocabulary import END, Bytes, Characters, Pairs, Vocabulary, dtype_of, from_dict
from properties.drawn import refused, seeds, times

PAIRS = Pairs.of(["a word, and another word: größer\n" * 3], 270)
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=30)
# Drawn in words and made by the test: the checker of types looks at random items, which no strategy may.
vocabularies = st.sampled_from(["bytes", "pairs"]) | st.lists(texts, max_size=3)
configs = st.fixed_dictionaries({
    "cell": st.sampled_from(["rnn", "relu-rnn", "gru", "lstm"]),
    "layers": st.integers(1, 2),
    "hidden": st.integers(1, 6),
    "embedding": st.integers(0, 3),
    "backend": st.sampled_from(["auto", "torch"]),
})  # fmt: skip


def made(drawn: str | list[str]) -> Vocabulary:
    """A vocabulary: bytes, pairs, or the characters of texts."""
    if isinstance(drawn, list):
        return Characters.of(drawn)
    return Bytes() if drawn == "bytes" else PAIRS


floats = st.floats() | st.floats(0, 2) | st.sampled_from([0.0, 1.0, 5e-324, 1e300])


@times(100)
@given(vocabularies, texts, texts)
def test_texts_come_back_from_their_symbols(drawn: str | list[str], text: str, more: str) -> None:
    vocabulary = made(drawn)
    ids = vocabulary.encode(text)
    assert len(ids) == 0 or ids.max() < vocabulary.size
    assert END not in ids
    known = set(getattr(vocabulary, "characters", text + more))
    assert vocabulary.decode([*ids, END]) == "".join(c if c in known else "\ufffd" for c in text)
    lengths = vocabulary.lengths()
    assert len(lengths) == vocabulary.size
    assert lengths[ids].sum() == len(text)
    assert lengths[END] == 0
    if not isinstance(vocabulary, Pairs):  # merges go across
        assert [*ids, *vocabulary.encode(more)] == [*vocabulary.encode(text + more)]
    assert 2 ** (8 * dtype_of(vocabulary.size).itemsize) >= vocabulary.size
    again = from_dict(vocabulary.to_dict(), "a file")
    assert again.size == vocabulary.size
    assert [*again.encode(text)] == [*ids]


@times(100)
@given(st.lists(texts, min_size=1, max_size=4), st.integers(1, 9), st.booleans())
def test_files_are_their_text(
    tmp_path_factory: pytest.TempPathFactory, contents: list[str], block: int, mark: bool
) -> None:
    """However many bytes are read at a time, and wherever that cuts."""
    folder, before = tmp_path_factory.mktemp("texts"), text_module.BLOCK
    paths = [folder / str(n) for n in range(len(contents))]
    for path, content in zip(paths, contents, strict=True):
        path.write_bytes(b"\xef\xbb\xbf" * mark + content.encode())
    text_module.BLOCK = block
    try:
        if not all(mark or content for content in contents):
            with pytest.raises(LmError, match="is empty"):
                list(map(list, documents(paths)))
            return
        found = ["".join(document) for document in documents(paths)]
    finally:
        text_module.BLOCK = before
    assert [text.removeprefix("\ufeff") for text in found] == [
        content.removeprefix("\ufeff") for content in contents
    ]


@times(150)
@given(
    st.lists(st.floats(-1e6, 1e6) | st.just(-math.inf), min_size=1, max_size=12).filter(
        lambda scores: max(scores) > -math.inf
    ),
    st.floats(0, 10) | st.sampled_from([5e-324, 1e-300, 1e300]),
    st.floats(0, 1, exclude_min=True) | st.sampled_from([5e-324, 1.0]),
    seeds,
)  # fmt: skip
def test_what_is_drawn_is_among_the_most_probable(
    scores: list[float], temperature: float, top_p: float, seed: int
) -> None:
    given_ = torch.tensor(scores, dtype=torch.float64)
    found = draw(given_, temperature, top_p, torch.Generator().manual_seed(seed))
    assert scores[found] > -math.inf
    if temperature == 0:
        assert scores[found] == max(scores)
        return
    chances = ((given_ - given_.max()) / temperature).exp()
    chances /= chances.sum()
    more_probable = float(chances[chances > chances[found]].sum())
    assert more_probable < top_p + 1e-12
    assert found == draw(given_, temperature, top_p, torch.Generator().manual_seed(seed))


def model_of(config: Config, vocabulary: Vocabulary, gain: float = 1.0) -> LanguageModel:
    """A model whose weights follow from the settings."""
    torch.manual_seed(config.hidden)
    model = LanguageModel(config, vocabulary.size)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter *= gain
    return model


@times(40)
@given(
    configs,
    vocabularies,
    st.data(),
    st.integers(-1, 12),
    floats,
    floats,
    st.integers(-(2**65), 2**65),
)
def test_a_sample_is_of_the_vocabulary_or_refused(
    told: dict[str, Any],
    drawn: str | list[str],
    data: st.DataObject,
    length: int,
    temperature: float,
    top_p: float,
    seed: int,
) -> None:
    config, vocabulary = Config(**told), made(drawn)
    model = model_of(config, vocabulary, 3.0)
    prompt = data.draw(texts | st.text(getattr(vocabulary, "characters", "ab") or "a", max_size=4))
    asked: dict[str, Any] = {
        "prompt": prompt, "length": length, "temperature": temperature, "top_p": top_p, "seed": seed,
    }  # fmt: skip
    try:
        found = list(sample(model, vocabulary, **asked))
    except LmError as error:
        refused(error)
        unknown = set(prompt) - set(getattr(vocabulary, "characters", prompt))
        good = length >= 0 and 0 <= temperature < math.inf and 0 < top_p <= 1 and abs(seed) < 2**63
        assert unknown or not good
        return
    assert sum(map(len, found)) <= length
    if isinstance(vocabulary, Characters):
        assert set("".join(found)) <= set(vocabulary.characters)
    assert found == list(sample(model, vocabulary, **asked))


@times(25)
@given(configs, vocabularies, st.lists(texts, min_size=1, max_size=4))
def test_bits_are_those_of_each_document_by_itself(
    told: dict[str, Any], drawn: str | list[str], contents: list[str]
) -> None:
    config, vocabulary = Config(**told), made(drawn)
    model = model_of(config, vocabulary)
    if not any(contents):
        with pytest.raises(LmError, match="nothing in it"):
            evaluate(model, vocabulary, [[text] for text in contents])
        return
    found = evaluate(model, vocabulary, [[text] for text in contents])
    nats, symbols, unknown = 0.0, 0, 0
    for text in contents:
        ids = [END, *vocabulary.encode(text).tolist(), END]
        logits = model(torch.tensor(ids[:-1]).unsqueeze(1))[0][:, 0]
        nats += float(F.cross_entropy(logits, torch.tensor(ids[1:]), reduction="sum").detach())
        symbols += len(ids) - 1
        unknown += ids.count(vocabulary.unknown) if vocabulary.unknown is not None else 0
    assert found.symbols == symbols
    assert found.characters == sum(map(len, contents))
    assert found.unknown == unknown
    assert found.nats == pytest.approx(nats, rel=1e-4)
    bits = nats / math.log(2) + unknown * UNKNOWN_BITS
    assert found.bits == pytest.approx(bits / max(found.characters, 1), rel=1e-4)
    assert found.perplexity == pytest.approx(math.exp(nats / symbols), rel=1e-3)


@times(40)
@given(configs, st.integers(1, 9), st.integers(1, 3), st.data())
def test_chunks_with_the_state_carried_on_are_the_text_at_once(
    told: dict[str, Any], steps: int, batch: int, data: st.DataObject
) -> None:
    model = model_of(Config(**told), Characters("abc"))
    ids = torch.randint(5, (steps, batch), generator=torch.Generator().manual_seed(steps))
    cut = data.draw(st.integers(1, steps))
    with torch.no_grad():
        whole, end = model(ids)
        first, state = model(ids[:cut])
        rest = [model(part, state) for part in (ids[cut:],) if len(part)]
    pieces = [first, *(logits for logits, _ in rest)]
    torch.testing.assert_close(torch.cat(pieces), whole, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(rest[-1][1] if rest else state, end, rtol=1e-4, atol=1e-5)
    assert whole.shape == (steps, batch, 5)


@times(15)
@given(configs, st.integers(-1, 20), st.integers(0, 9), st.integers(-2, 5), st.integers(4, 30))
def test_a_context_curve_has_a_point_for_every_power_of_two(
    told: dict[str, Any], longest: int, targets: int, seed: int, length: int
) -> None:
    vocabulary = Characters("ab")
    model = model_of(Config(**told), vocabulary)
    try:
        found = context_curve(
            model, vocabulary, [["ab" * length]], longest=longest, targets=targets, seed=seed
        )
    except LmError as error:
        refused(error)
        assert longest < 1 or targets < 2 or seed < 0
        return
    assert found.given == [2**n for n in range(len(found.given))]
    assert found.given[-1] <= longest < 2 * found.given[-1]
    assert len(found.bits) == len(found.errors) == len(found.given)
    assert found.errors[-1] == 0
    assert found.used in found.given
    assert all(math.isfinite(bits) and bits >= 0 for bits in found.bits)


@times(25)
@given(configs, st.booleans(), vocabularies)
def test_a_model_is_loaded_as_it_was_saved(
    tmp_path_factory: pytest.TempPathFactory,
    told: dict[str, Any],
    tie: bool,
    drawn: str | list[str],
) -> None:
    config, vocabulary = Config(**told), made(drawn)
    config = replace(config, tie=tie, embedding=0) if tie else config
    path: Path = tmp_path_factory.mktemp("model") / "model.safetensors"
    model = model_of(config, vocabulary)
    export(path, model, vocabulary, 3)
    found, symbols = load_model(path)
    assert found.config == config
    assert symbols.to_dict() == vocabulary.to_dict()
    for name, value in model.state_dict().items():
        assert torch.equal(value, found.state_dict()[name])


settings = st.fixed_dictionaries({}, optional={
    "files": st.lists(st.text(max_size=5), max_size=2).map(tuple), "field": st.text(max_size=4),
    "cell": st.sampled_from(["rnn", "relu-rnn", "gru", "lstm", "GRU"]), "tie": st.booleans(),
    "layers": st.integers(-1, 2**33), "hidden": st.integers(0, 700), "embedding": st.integers(-1, 600),
    "tokens": st.sampled_from(["chars", "bpe", "x"]),
    "dropout": floats, "weight_drop": floats, "lr": floats, "clip": floats, "epochs": floats, "minutes": floats,
    "budget": floats, "seed": st.integers(-1, 2**64), "warmup": st.integers(-1, 9), "bf16": st.booleans(),
})  # fmt: skip


@times(150)
@given(settings, settings)
def test_settings_are_refused_or_read_again(
    tmp_path_factory: pytest.TempPathFactory, told: dict[str, Any], changed: dict[str, Any]
) -> None:
    try:
        config = Config(**told)
    except LmError as error:
        refused(error)
        return
    assert not any(
        isinstance(value, float) and math.isnan(value) for value in vars(config).values()
    )
    assert Config.read(config.to_json(), "a file") == config
    assert config.rate > 0
    assert config.inputs > 0
    folder: Path = tmp_path_factory.mktemp("run")
    (folder / "config.json").write_text(config.to_json(), encoding="utf-8")
    try:
        expected = replace(config, **changed)
    except LmError:
        with pytest.raises(LmError):
            resumed(folder, **changed)
        return
    assert resumed(folder, **changed) == expected
