"""Single files: flows, kept updates, settings, vocabularies, models, checkpoints, sweeps' results, `[tool.bptt]`.

Each is damaged blindly, or changed inside with checksums that fit again, and read as users' commands read it.
"""

import hashlib
import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn

import bptt
from bptt import BpttError, load_flow
from bptt.cli._sweep._folder import Folder
from bptt.cli._sweep._grid import Point
from bptt.doctor import replay
from bptt.doctor._config import ConfigError, read_config
from bptt.doctor._incident import Place
from bptt.doctor._keep import describe, keep, pack
from bptt.doctor._seen import Seen
from fuzz.draw import Draw
from fuzz.edits import VALUES, blind, change, sealed

Case = Callable[[bytes], None]


def _told(data: bytes) -> Any:
    """JSON that can be changed and written; None where it is none."""
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return None


def flows(scratch: Path) -> Case:
    """`bptt.load_flow`: refused with a sentence, or a flow that is the same when it is saved and loaded again."""
    path = scratch / "flow.json"
    torch.manual_seed(0)
    flow = bptt.measure(nn.GRU(1, 2), torch.randn(3, 1, 1), loss=lambda out: out[0].sum())
    flow.save(path)
    good, whole = path.read_bytes(), flow.to_dict()

    def case(data: bytes) -> None:
        draw, content = Draw(data), good
        unseen = draw.chance(2)
        if unseen:
            content = blind(good, draw)
        else:
            told = json.loads(good)
            for _ in range(1 + draw.below(3)):
                change(told, draw)
            content = sealed(told)
        path.write_bytes(content)
        try:
            found = load_flow(path)
        except bptt.FlowFileError:
            return
        assert not unseen or found.to_dict() == whole
        found.save(path)
        assert load_flow(path).to_dict() == found.to_dict()
        str(found)

    return case


def replays(scratch: Path) -> Case:
    """`bptt replay`: refused with a sentence, or run again and put into words."""
    path = scratch / "nonfinite.pt"
    rnn, x = nn.RNN(2, 3, nonlinearity="relu"), torch.full((4, 1, 2), 1e38)
    with torch.no_grad():
        for weight in rnn.parameters():
            weight.fill_(10.0)
        seen = Seen(rnn, "rnn_relu", (x,), {}, rnn(x))
    kept = pack([seen], [x], Place("forward", "l0", "inf", step=0), 7, lambda module: "rnn")
    keep(path, kept)
    good = path.read_bytes()
    values = (
        *VALUES,
        torch.zeros(0),
        torch.ones(2, 3),
        torch.ones(4, 1, 2, dtype=torch.int64),
        "LSTM",
        "input",
    )

    def altered(value: Any, draw: Draw) -> Any:
        """A copy with one entry, some levels down, of another value."""
        if isinstance(value, dict) and value and draw.below(4):
            key = draw.choice(list(value))
            return {**value, key: altered(value[key], draw)}
        if isinstance(value, list) and value and draw.below(4):
            n = draw.below(len(value))
            return [*value[:n], altered(value[n], draw), *value[n + 1 :]]
        return draw.choice(values)

    def case(data: bytes) -> None:
        draw = Draw(data)
        if draw.chance(2):
            path.write_bytes(blind(good, draw))
        else:
            inside = _file(altered(kept, draw))
            outside = {"format": 2, "sha256": hashlib.sha256(inside).hexdigest()}
            content = torch.frombuffer(bytearray(inside), dtype=torch.uint8)
            path.write_bytes(_file({**outside, "content": content}))
        try:
            found, place = replay(path)
        except BpttError:
            return
        f"update {found['update']}: {describe(found['place'])}"
        if place is not None:
            describe(place._asdict())

    return case


def sweeps(scratch: Path) -> Case:
    """A sweep's folder: refused with a sentence, or its rows go into the table."""
    file, point = scratch / "results.jsonl", Point("lstm", lags=(3, 9))
    result = {"horizon": 3, "rate": -0.5, "log10_left": [-1.0, None]}
    row = {
        "key": point.key,
        "point": {"cell": "lstm", "lags": [3, 9]},
        "bptt": "0.1.0",
        "result": result,
    }
    good = (json.dumps(row) + "\n").encode()

    def case(data: bytes) -> None:
        from bptt.cli._sweep._table import reach_map, reach_table

        draw = Draw(data)
        if draw.chance(2):
            file.write_bytes(blind(good * 2, draw))
        else:
            told = [json.loads(good)]
            change(told, draw)
            file.write_bytes(b"".join(json.dumps(each).encode() + b"\n" for each in told))
        try:
            results = Folder(scratch).results([point])
        except BpttError:
            return
        if results and "refused" not in results[0][1]:
            reach_table(results)
            reach_map(results)

    return case


CONFIG = b"""[tool.bptt]
lag = 200
budget = 0.02
threshold = 1e-3
select = ["VG", "EG", "NF"]
ignore = ["VG102"]

[tool.bptt.options.VG101]
share = 0.6
"""
WORDS = (
    "nan",
    "inf",
    "-1",
    "0",
    "1e999",
    "9" * 400,
    "true",
    '"a"',
    "[]",
    "[1]",
    "{}",
    "{a=1}",
    "1979-05-27",
    "[[" * 900,
)


def configs(scratch: Path) -> Case:
    """`[tool.bptt]`: settings, or a sentence that names the file."""
    path = scratch / "pyproject.toml"

    def case(data: bytes) -> None:
        draw, content = Draw(data), CONFIG
        for _ in range(1 + draw.below(3)):
            rows = content.split(b"\n")
            n = draw.below(len(rows))
            if draw.chance(3):
                content = blind(content, draw)
            else:
                rows[n] = rows[n].split(b"=")[0] + b"= " + draw.choice(WORDS).encode()
                content = b"\n".join(rows)
        path.write_bytes(content)
        try:
            found = read_config(scratch)
        except ConfigError as refused:
            if not str(refused).startswith(str(path)):
                raise AssertionError(f"refused without its name: {refused}") from None
            return
        assert found.changed() == found

    return case


def models(scratch: Path) -> Case:
    """What `bptt eval`, `bptt sample` and `bptt train --resume` read: a model, a checkpoint, settings, a vocabulary."""
    from safetensors.torch import load, save

    from bptt.lm import Config
    from bptt.lm._config import LmError
    from bptt.lm._keep import _digest, check_fits, export, load_model, read_checkpoint, resumed
    from bptt.lm._model import LanguageModel
    from bptt.lm._sample import sample
    from bptt.lm._vocabulary import Bytes, Characters, Pairs, from_dict

    config = Config(hidden=3, embedding=2, cell="gru")
    model = LanguageModel(config, 4)
    export(scratch / "model.safetensors", model, Characters("ab"), 3)
    good = (scratch / "model.safetensors").read_bytes()
    weights, about = load(good), json.loads(good[8 : 8 + int.from_bytes(good[:8], "little")])
    about = json.loads(about["__metadata__"]["bptt"])
    saved = {f"model.{name}": value for name, value in model.state_dict().items()}
    checkpoint = _file({"bptt": {"config": config.to_json()}, "state_dict": saved})
    vocabularies = [
        each.to_dict() for each in (Bytes(), Characters("ab"), Pairs.of(["ab ab"], 260))
    ]

    def a_model(draw: Draw) -> None:
        if draw.chance(3):
            content = blind(good, draw)
        else:
            told = json.loads(json.dumps(about))
            change(told, draw)
            text = json.dumps(told)
            content = save(weights, {"bptt": text, "sha256": _digest(weights, text)})
        (scratch / "model.safetensors").write_bytes(content)
        found, vocabulary = load_model(scratch)
        "".join(sample(found, vocabulary, length=2))

    def a_checkpoint(draw: Draw) -> None:
        content = blind(checkpoint, draw) if draw.chance(2) else _rezipped(checkpoint, draw)
        (scratch / "last.ckpt").write_bytes(content)
        check_fits(scratch / "last.ckpt", read_checkpoint(scratch / "last.ckpt"), config, model)

    def settings(draw: Draw) -> None:
        told = json.loads(config.to_json())
        change(told, draw)
        text = (
            blind(config.to_json().encode(), draw) if draw.chance(3) else json.dumps(told).encode()
        )
        (scratch / "config.json").write_bytes(text)
        found = resumed(scratch)
        assert Config.read(found.to_json(), "again") == found
        assert found.rate > 0
        assert found.inputs > 0

    def a_vocabulary(draw: Draw) -> None:
        told = json.loads(json.dumps(draw.choice(vocabularies)))
        change(told, draw)
        found = from_dict(told, "here")
        assert len(found.lengths()) == found.size
        found.decode(found.encode("ab"))
        assert from_dict(json.loads(json.dumps(found.to_dict())), "again").size == found.size

    def case(data: bytes) -> None:
        draw = Draw(data)
        try:
            draw.choice((a_model, a_checkpoint, settings, a_vocabulary))(draw)
        except LmError:
            return

    return case


def _file(content: Any) -> bytes:
    """As torch saves it."""
    file = io.BytesIO()
    torch.save(content, file)
    return file.getvalue()


def _rezipped(data: bytes, draw: Draw) -> bytes:
    """An archive of torch's, one of its members damaged, its own checksums made to fit."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(out, "w") as new:
        members = old.namelist()
        changed = draw.choice([each for each in members if each.endswith(("data.pkl", "data/0"))])
        for each in members:
            content = old.read(each)
            new.writestr(each, blind(content, draw) if each == changed else content)
    return out.getvalue()
