"""`bptt train`, `eval`, `sample` as on a shell: what they print, exit codes, sentences for what cannot be."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bptt.cli import _eval, _sample, _train
from bptt.lm import Config, train

Run = Callable[..., subprocess.CompletedProcess[str]]
TEXT = "so it goes and so it goes and so it went. " * 60


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run, not to be changed."""
    folder = tmp_path_factory.mktemp("lm")
    (folder / "text.txt").write_text(TEXT, encoding="utf-8")
    told: dict[str, Any] = {"hidden": 16, "batch": 4, "length": 16, "updates": 60, "lr": 0.02}
    train(Config(files=(str(folder / "text.txt"),), **told), folder / "run", say=lambda line: None)
    return folder


def test_as_on_a_shell(python: Run, tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text(TEXT, encoding="utf-8")
    sizes = ("--hidden", "8", "--batch", "2", "--length", "16", "--updates", "3")
    done = python("-W", "error", "-m", "bptt", "train", "text.txt", "--out", "run", *sizes)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0].endswith("2 streams in chunks of 16")
    assert lines[1].startswith("update 3 · ")
    assert lines[2].startswith("3 updates; the best model has ")
    assert lines[3] == f"How far its gradients reached: {tmp_path / 'run' / 'report.html'}"
    assert (tmp_path / "run" / "model.safetensors").exists()
    page = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert "A gradient in layers.0.l0 reaches" in page


def test_eval(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = run / "other.txt"
    other.write_text(TEXT[:600] + "漢字", encoding="utf-8")
    _eval.evaluate(run / "run", [other], field="text", context=16, json_file=run / "found.json")
    said = capsys.readouterr().out.splitlines()
    found = json.loads((run / "found.json").read_text(encoding="utf-8"))
    assert said[0].startswith(f"{found['bits']:.4f} bits per character")
    assert said[1].startswith("2 characters are unknown to the model; each costs 20.09 bits")
    assert (found["characters"], found["symbols"], found["unknown"]) == (602, 603, 2)
    assert found["context"]["given"] == [1, 2, 4, 8, 16]
    assert found["context"]["bits"][-1] < found["context"]["bits"][0]
    assert found["context"]["horizon"] == {"layers.0.l0": 15}
    assert said[-1] == "layers.0.l0: gradient reaches 15 of 16 steps"


def test_sample(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = []
    for seed, temperature in ((0, 1.0), (0, 1.0), (1, 1.0), (0, 0.0), (1, 0.0)):
        told: dict[str, Any] = {"length": 40, "top_p": 0.9, "prompt": "so it "}
        _sample.sample(run / "run", seed=seed, temperature=temperature, **told)
        said.append(capsys.readouterr().out)
    assert said[0] == said[1] != said[2]
    assert said[3] == said[4]  # without a draw the seed says nothing
    assert said[0].startswith("so it ")
    assert set("".join(said)) <= set(TEXT) | {"\n"}


@pytest.mark.parametrize(
    ("files", "told", "sentence"),
    [
        (["absent.txt"], {}, "absent.txt cannot be read: No such file"),
        (["text.txt"], {"cell": "gur"}, "cell is 'gur', expected one of"),
        (["text.txt"], {"length": 5000}, "fewer than one chunk of 5000"),
    ],
)
def test_what_cannot_be_trained_is_a_sentence(
    run: Path,
    files: list[str],
    told: dict[str, Any],
    sentence: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    with pytest.raises(SystemExit) as left:
        _train.train([run / name for name in files], tmp_path / "new", None, told)
    assert left.value.code == 2
    said = capsys.readouterr().err
    assert said.startswith("bptt: ")
    assert sentence in said


@pytest.mark.parametrize(
    ("files", "out", "told", "what"),
    [
        (["a"], None, {}, "a text was given with --resume"),
        ([], Path("x"), {}, "--out was given with --resume"),
        ([], None, {"weight_drop": 0.1}, "--weight-drop was given with --resume"),
    ],
)
def test_what_may_not_change_when_resuming(
    run: Path,
    files: list[str],
    out: Path | None,
    told: dict[str, Any],
    what: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit):
        _train.train([Path(name) for name in files], out, run / "run", told)
    assert capsys.readouterr().err.startswith(f"bptt: {what}")


@pytest.mark.parametrize(
    ("told", "sentence"),
    [
        ({"prompt": "Ω"}, "the prompt has 'Ω'"),
        ({"temperature": -1.0}, "temperature is -1.0"),
        ({"top_p": 0.0}, "top_p 0.0"),
    ],
)
def test_what_cannot_be_sampled_is_a_sentence(
    run: Path, told: dict[str, Any], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    usual: dict[str, Any] = {"prompt": "", "length": 5, "temperature": 1.0, "top_p": 1.0, "seed": 0}
    with pytest.raises(SystemExit) as left:
        _sample.sample(run / "run", **(usual | told))
    assert left.value.code == 2
    assert sentence in capsys.readouterr().err
