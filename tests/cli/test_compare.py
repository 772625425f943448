"""`bptt compare`: two folders in, a table or JSON out."""

import json
from pathlib import Path

import pytest

from bptt.cli._compare import compare
from bptt.doctor import Logbook, RunFolder


def a_run(folder: Path, horizon: int, state: str = "finished") -> Path:
    log = Logbook(RunFolder(folder), script="train.py")
    log.begin()
    digest = {
        "kind": "gru",
        "steps": 128,
        "horizon": horizon,
        "lags": 127,
        "rate": -0.1,
        "unreached": 0.1,
    }
    record = {"update": 1, "time": 0.1, "cost": 0.0, "sites": {"rnn.l0": digest}, "notes": []}
    log.add(record, 1, 0.01)
    log.end(state, 0)
    log.release()
    return folder


def test_a_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs = [a_run(tmp_path / "before", 11), a_run(tmp_path / "after", 127)]
    compare(runs, as_json=False)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["before", "after"]
    reach = next(line for line in lines if "reach" in line)
    assert reach.split() == ["≠", "reach", "11", "of", "128", "all", "128", "(+1055", "%)"]
    assert not any("damaged" in line for line in lines)


def test_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs = [a_run(tmp_path / "a", 11), a_run(tmp_path / "b", 127, "failed")]
    compare(runs, as_json=True)
    told = json.loads(capsys.readouterr().out)
    assert told["version"] == 1
    assert [run["state"] for run in told["runs"]] == ["finished", "failed"]
    assert {"group": "site rnn.l0", "row": "reach"} in told["different"]
    assert {"group": "run", "row": "updates"} not in told["different"]


def test_a_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs = [a_run(tmp_path / "before", 11), a_run(tmp_path / "after", 127)]
    page = tmp_path / "compared.html"
    compare(runs, as_json=False, page=page)
    assert capsys.readouterr().out.splitlines()[-1] == f"To look at: {page}"
    assert "Gradients reach furthest in <bdi>after</bdi>." in page.read_text(encoding="utf-8")
    compare(runs, as_json=True, page=page)
    assert json.loads(capsys.readouterr().out)["version"] == 1


def test_a_page_that_cannot_be_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs = [a_run(tmp_path / "before", 11), a_run(tmp_path / "after", 127)]
    with pytest.raises(SystemExit) as left:
        compare(runs, as_json=False, page=tmp_path / "no" / "compared.html")
    assert left.value.code == 2
    out, err = capsys.readouterr()
    assert (out, len(err.splitlines())) == ("", 1)
    assert "compared.html could not be written: No such file or directory" in err


def test_damage_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs = [a_run(tmp_path / "a", 11), a_run(tmp_path / "b", 12)]
    with (runs[1] / "flow.jsonl").open("ab") as flow:
        flow.write(b"{half")
    compare(runs, as_json=False)
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith(f"damaged: {runs[1]}: flow.jsonl")


@pytest.mark.parametrize("names", [[], ["a"], ["a", "nothing"]])
def test_what_cannot_be_compared(
    tmp_path: Path, names: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    a_run(tmp_path / "a", 11)
    with pytest.raises(SystemExit) as left:
        compare([tmp_path / name for name in names], as_json=False)
    assert left.value.code == 2
    assert capsys.readouterr().err.startswith("bptt: ")
