"""Texts: what can be read, what is refused with which sentence, and how it becomes symbols."""

import json
import math
import random
import socket
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from bptt.lm import Config, LmError, addresses, documents
from bptt.lm import _text as text_module
from bptt.lm._tokens import encode, load
from bptt.lm._vocabulary import END, Bytes, Characters, Pairs, Vocabulary, dtype_of, from_dict

TEXT = "Größe 漢字 𝄞 and plain words, plain words and more.\n" * 30


def read(*paths: Path, field: str = "text") -> list[str]:
    return ["".join(document) for document in documents(paths, field=field)]


def test_a_plain_file_is_one_document(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_module, "BLOCK", 7)  # cuts characters of several bytes in two
    path = tmp_path / "a.txt"
    path.write_bytes(b"\xef\xbb\xbf" + TEXT.encode())  # with the mark that some editors put there
    (document,) = documents([path])
    blocks = list(document)
    assert "".join(blocks) == TEXT
    assert len(blocks) > 50


def test_rows_are_documents(tmp_path: Path) -> None:
    lines = tmp_path / "a.jsonl"
    lines.write_text("".join(json.dumps({"body": t, "n": 1}) + "\n" for t in ("one", "", "two")))
    assert read(lines, field="body") == ["one", "two"]


def test_rows_are_read_without_a_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`datasets` asked its servers to count each file that it opened, and swallowed the error."""
    asked: list[object] = []

    def trap(*args: object, **_: object) -> None:
        asked.append(args[0])
        raise OSError("no network")

    monkeypatch.setattr(socket, "getaddrinfo", trap)
    (tmp_path / "a.jsonl").write_text('{"text": "one"}\n', encoding="utf-8")
    assert [list(each) for each in documents([tmp_path / "a.jsonl"])] == [["one"]]
    assert asked == []


def test_parquet(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    import pyarrow as pa

    parquet.write_table(pa.table({"text": ["one", "two"]}), tmp_path / "a.parquet")
    assert read(tmp_path / "a.parquet") == ["one", "two"]


def _binary(path: Path) -> None:
    path.write_bytes(b"abc\0def")


def _latin(path: Path) -> None:
    path.write_bytes("Größe".encode("latin1"))


def _truncated(path: Path) -> None:
    path.write_bytes("漢".encode()[:2])


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda path: path.touch(), "is empty, expected text"),
        (lambda path: path.mkdir(), "is a folder, expected a file"),
        (lambda path: None, "cannot be read: No such file"),
        (_binary, r"is binary \(a zero byte at 3\)"),
        (_latin, r"is not UTF-8 .* near byte 2\).*iconv"),
        (_truncated, "is not UTF-8"),
    ],
    ids=["empty", "folder", "missing", "binary", "latin1", "cut short"],
)
def test_what_cannot_be_read_is_a_sentence(
    tmp_path: Path, make: Callable[[Path], None], sentence: str
) -> None:
    path = tmp_path / "a.txt"
    make(path)
    with pytest.raises(LmError, match=sentence):
        read(path)


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ('{"body": "x"}', "whose 'text' is NoneType, expected text; its fields are 'body'"),
        ('{"text": 3}', "whose 'text' is int"),
        ("no json", "is not a file of JSON lines"),
        ('{"text": ""}', "no row with text"),
    ],
)
def test_rows_that_do_not_fit_are_a_sentence(tmp_path: Path, line: str, sentence: str) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(line + "\n", encoding="utf-8")
    with pytest.raises(LmError, match=sentence):
        read(path)


def test_the_default_corpus_is_split_by_year() -> None:
    train, validation, test = addresses()
    total = len(train) + len(validation) + len(test)
    assert len(validation) + len(test) == math.ceil(total / 10)
    assert train[0].startswith("Fellow-Citizens of the Senate and House")  # Washington, 1790
    assert "ISIS" not in "".join(train)
    assert "ISIS" in "".join(validation + test)


# Symbols.

VOCABULARIES = {
    "bytes": lambda: Bytes(),
    "chars": lambda: Characters.of([TEXT]),
    "bpe": lambda: Pairs.of([TEXT], 300),
}


@pytest.mark.parametrize("kind", VOCABULARIES)
def test_a_vocabulary_gives_the_text_back(kind: str) -> None:
    vocabulary: Vocabulary = VOCABULARIES[kind]()
    ids = vocabulary.encode(TEXT)
    assert vocabulary.decode([*ids, END]) == TEXT
    assert END not in ids
    assert ids.max() < vocabulary.size == len(vocabulary.lengths())
    assert vocabulary.lengths()[ids].sum() == len(TEXT)  # characters, whatever a symbol is
    assert vocabulary.lengths()[END] == 0
    again = from_dict(json.loads(json.dumps(vocabulary.to_dict())), "here")
    assert np.array_equal(again.encode(TEXT), ids)


def test_pairs_merge() -> None:
    vocabulary = Pairs.of([TEXT], 300)
    assert 257 < vocabulary.size <= 300
    assert len(vocabulary.encode(TEXT)) < len(TEXT.encode()) / 2


def test_unknown_characters() -> None:
    vocabulary = Characters("ab")
    assert vocabulary.encode("aXb").tolist() == [2, 1, 3]
    assert vocabulary.decode([1]) == "�"


@pytest.mark.parametrize(
    "content", [{"kind": "wordpiece"}, {}, None, {"kind": "bpe", "tokenizer": 3}]
)
def test_a_damaged_vocabulary_is_a_sentence(content: object) -> None:
    with pytest.raises(LmError, match="the vocabulary in here"):
        from_dict(content, "here")


def test_the_smallest_integers() -> None:
    assert [dtype_of(n).itemsize for n in (256, 257, 65536, 65537)] == [1, 2, 2, 4]


# On disk.


def test_symbols_on_disk_are_the_text(tmp_path: Path) -> None:
    letters = random.Random(0)
    texts = ["".join(letters.choices("abcdef \n", k=n)) for n in (40, 300, 7)]
    files = []
    for n, text in enumerate(texts):
        files.append(tmp_path / f"{n}.txt")
        files[-1].write_text(text, encoding="utf-8")
    config = Config(files=tuple(map(str, files[:2])), held_out=(str(files[2]),), length=8)
    encode(config, tmp_path / "tokens").close()
    tokens = load(config, tmp_path / "tokens")
    assert tokens is not None
    spelt = [tokens.vocabulary.decode(tokens.read(int(a), int(b - a))) for a, b in tokens.training]
    assert spelt == texts[:2]
    ((start, end),) = tokens.validation.tolist()
    assert tokens.vocabulary.decode(tokens.read(start, end - start)) == texts[2]
    assert (tmp_path / "tokens" / "tokens.bin").stat().st_size == sum(map(len, texts)) + 4
    tokens.close()


def test_the_last_tenth_is_held_out(tmp_path: Path) -> None:
    one = tmp_path / "one.txt"
    one.write_text("ab" * 500, encoding="utf-8")
    tokens = encode(Config(files=(str(one),), length=8), tmp_path / "a")
    assert (tokens.held, len(tokens)) == (901, 1002)
    tokens.close()
    rows = tmp_path / "many.jsonl"
    rows.write_text((json.dumps({"text": "x" * 99}) + "\n") * 20, encoding="utf-8")
    tokens = encode(Config(files=(str(rows),), length=8), tmp_path / "b")
    assert tokens.held == 1800  # where the nineteenth document begins
    tokens.close()


def test_a_text_shorter_than_a_chunk_is_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("too short", encoding="utf-8")
    with pytest.raises(LmError, match="fewer than one chunk of 128; give more text"):
        encode(Config(files=(str(path),)), tmp_path / "tokens")
