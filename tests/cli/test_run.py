"""What `bptt run` leaves of a training script, however the script ends."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

SCRIPTS = Path(__file__).parent / "scripts"
Run = Callable[..., subprocess.CompletedProcess[str]]


def results(folder: Path) -> tuple[dict[str, Any], dict[str, Any], list[dict[str, Any]]]:
    """`run.json`, `findings.json` and the lines of `flow.jsonl`."""
    run, findings = (
        json.loads((folder / f"{name}.json").read_text()) for name in ("run", "findings")
    )
    lines = (folder / "flow.jsonl").read_text().splitlines()
    return run, findings, [json.loads(line) for line in lines]


def test_training_is_the_same_bit_for_bit_and_is_measured(
    bptt_run: Run, python: Run, tmp_path: Path
) -> None:
    plain = python(SCRIPTS / "learn.py", "end")
    under = bptt_run("--budget", "10", SCRIPTS / "learn.py", "end")
    assert (under.stdout, under.returncode) == (plain.stdout, 0)
    assert "threads 1" in under.stdout, "torch was imported before the script set its threads"

    run, findings, lines = results(tmp_path / "out")
    assert (run["state"], run["exit_code"], run["updates"], run["probes"]) == ("finished", 0, 5, 5)
    assert run["argv"] == ["end"]
    assert [line["update"] for line in lines] == [1, 2, 3, 4, 5]
    assert list(lines[0]["sites"]) == ["rnn.l0", "rnn.l1"]
    site = findings["sites"]["rnn.l1"]
    assert (site["kind"], site["steps"]) == ("gru", 20)
    assert 0 < site["horizon"] < 20
    assert site["rate"] < 0
    assert findings["findings"] == []
    for name in ("rnn.l0", "rnn.l1"):
        assert re.search(rf"^{name}  GRU · gradient reaches .* steps", under.stderr, re.MULTILINE)
    assert "\x1b" not in under.stderr, "escape sequences where there is no terminal"
    assert oct((tmp_path / "out").stat().st_mode)[-3:] == "700"


def test_the_first_update_is_probed_on_the_smallest_budget(bptt_run: Run, tmp_path: Path) -> None:
    assert bptt_run("--budget", "0", SCRIPTS / "learn.py", "end").returncode == 0
    assert [line["update"] for line in results(tmp_path / "out")[2]] == [1]


def test_an_exception_keeps_the_results(bptt_run: Run, python: Run, tmp_path: Path) -> None:
    plain, under = (run(SCRIPTS / "learn.py", "error") for run in (python, bptt_run))
    assert under.stderr.endswith(plain.stderr[plain.stderr.index("RuntimeError") :])
    assert under.stderr.count("/bptt/") == 0, "a frame of bptt in the traceback"
    run, _, lines = results(tmp_path / "out")
    assert (under.returncode, run["state"], run["exit_code"]) == (1, "failed", 1)
    assert lines


@pytest.mark.parametrize("end", [">&-", "| head -1", "-c"])
def test_what_becomes_of_its_output_is_the_scripts_affair(end: str, tmp_path: Path) -> None:
    """Started without one, left by its reader, closed by itself: it ends as under Python."""
    script = tmp_path / "train.py"
    close = "sys.stdout.close()" if end == "-c" else ""
    script.write_text(f"import sys\nfor n in range(199999): print(n)\n{close}\n", encoding="utf-8")
    pipe = "" if end == "-c" else end
    ends = []
    for run in ("", "-m bptt run --out out"):
        line = f"{sys.executable} {run} {script} {pipe}; exit ${{PIPESTATUS[0]}}"
        done = subprocess.run(["bash", "-c", line], cwd=tmp_path, capture_output=True, text=True)
        ends.append((done.returncode, done.stdout[:2], done.stderr.strip().splitlines()[-1:]))
    assert ends[0][:2] == ends[1][:2]
    assert ("BrokenPipeError" in str(ends[1])) == ("BrokenPipeError" in str(ends[0]))


def test_a_killed_run_keeps_what_it_had(bptt_run: Run, python: Run, tmp_path: Path) -> None:
    assert bptt_run(SCRIPTS / "learn.py", "kill").returncode == -signal.SIGKILL
    run, findings, lines = results(tmp_path / "out")
    assert run["state"] == "running"
    assert lines
    assert list(findings["sites"]) == ["rnn.l0", "rnn.l1"]
    page = python("-m", "bptt", "report", "out")
    assert page.stdout.splitlines()[0].endswith("killed")


def test_ctrl_c_is_not_lost_where_python_drops_it(
    bptt_run: Run, python: Run, tmp_path: Path
) -> None:
    """In a weak reference's callback, as every import runs one."""
    plain, under = python(SCRIPTS / "drops.py"), bptt_run(SCRIPTS / "drops.py")
    assert (plain.returncode, plain.stdout) == (0, "went on\n")
    assert (under.returncode, under.stdout) == (-signal.SIGINT, "")
    assert "Exception ignored" not in under.stderr
    assert results(tmp_path / "out")[0]["state"] == "interrupted"
    own = bptt_run(SCRIPTS / "drops.py", "handler")
    assert (own.returncode, own.stdout) == (0, "heard\nwent on\n")
    assert "Exception ignored" in own.stderr


def test_ctrl_c_as_a_module_of_ours_is_imported_is_no_fault_of_ours(
    bptt_run: Run, tmp_path: Path
) -> None:
    under = bptt_run(SCRIPTS / "drops.py", "import")
    assert (under.returncode, under.stdout) == (-signal.SIGINT, "")
    assert results(tmp_path / "out")[0]["state"] == "interrupted"


def test_ctrl_c_keeps_the_results_and_kills_as_python_would(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "bptt", "run", "--out", str(tmp_path / "out")]
    process = subprocess.Popen(
        [*command, str(SCRIPTS / "learn.py"), "wait"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    while process.stdout.readline() != "waiting\n":
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == -signal.SIGINT
    assert stderr.endswith("KeyboardInterrupt\n")
    run, _, lines = results(tmp_path / "out")
    assert (run["state"], run["exit_code"]) == ("interrupted", 130)
    assert lines


@pytest.mark.parametrize("start", ["fork", "spawn"])
def test_loader_workers(bptt_run: Run, python: Run, tmp_path: Path, start: str) -> None:
    plain = python(SCRIPTS / "loads.py", start)
    under = bptt_run("--budget", "10", SCRIPTS / "loads.py", start)
    assert (under.stdout, under.returncode) == (plain.stdout, 0)
    assert len(results(tmp_path / "out")[2]) == 6


@pytest.mark.parametrize(
    ("way", "sentence"),
    [
        (
            "nothing",
            "no recurrence (nn.RNN, nn.GRU, nn.LSTM, a cell, or a loop by hand) was seen in ",
        ),
        (
            "linear",
            "no recurrence (nn.RNN, nn.GRU, nn.LSTM, a cell, or a loop by hand) was seen in ",
        ),
        ("forward", "no gradient came back"),
        ("unused", "no gradient came back"),
    ],
)
def test_nothing_to_measure_is_said(bptt_run: Run, tmp_path: Path, way: str, sentence: str) -> None:
    under = bptt_run(SCRIPTS / "idle.py", way)
    assert under.returncode == 0
    assert sum(sentence in line for line in under.stderr.splitlines()) == 1, under.stderr
    run, findings, _ = results(tmp_path / "out")
    assert sentence in run["sentence"]
    assert findings["sites"] == {}
    assert sentence in findings["notes"][-1]["reason"]


def test_a_script_without_torch(bptt_run: Run) -> None:
    under = bptt_run(SCRIPTS / "leaves.py", "end")
    assert f"bptt: {SCRIPTS / 'leaves.py'} did not import torch" in under.stderr


def test_results_that_cannot_be_written_do_not_stop_the_training(
    bptt_run: Run, python: Run, tmp_path: Path
) -> None:
    (tmp_path / "results").mkdir()
    plain = python(SCRIPTS / "learn.py", "cleanup", tmp_path / "results")
    under = bptt_run("--budget", "10", SCRIPTS / "learn.py", "cleanup", tmp_path / "out")
    assert (under.stdout, under.returncode) == (plain.stdout, 0)
    assert "gradient reaches" in under.stderr, "what was measured before is shown"
    assert "the script was not affected" in under.stderr


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--out", "file"], "cannot write to the run folder"),
        (["--out", "file/below"], "cannot write to the run folder"),
        (["--out", "full"], "is not empty and not a run folder of bptt"),
        (["--budget", "-1"], "budget is -1.0"),
        (["--budget", "nan"], "budget is nan"),
        (["--threshold", "0"], "threshold is 0.0"),
        (["--threshold", "1"], "threshold is 1.0"),
    ],
)
def test_options_that_cannot_be_used(
    python: Run, tmp_path: Path, options: list[str], sentence: str
) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.tex").write_text("")
    under = python("-m", "bptt", "run", *options, SCRIPTS / "leaves.py", "end")
    assert (under.returncode, under.stdout) == (2, "")
    assert under.stderr.startswith("bptt: ")
    assert sentence in under.stderr
    assert len(under.stderr.splitlines()) == 1
    assert sorted(os.listdir(tmp_path)) == ["file", "full"]
    assert os.listdir(tmp_path / "full") == ["thesis.tex"]


def test_default_folder_and_its_report(python: Run, tmp_path: Path) -> None:
    under = python("-m", "bptt", "run", SCRIPTS / "learn.py", "end")
    (folder,) = (tmp_path / "runs").iterdir()
    assert re.fullmatch(r"learn-\d{8}-\d{6}", folder.name)
    assert f"Results: runs/{folder.name}\n" in under.stderr
    again = python("-m", "bptt", "report", f"runs/{folder.name}")
    assert (again.returncode, again.stdout) == (0, under.stderr)


def test_of_several_processes_the_first_is_watched(bptt_run: Run, tmp_path: Path) -> None:
    under = bptt_run(SCRIPTS / "leaves.py", "int", RANK="1")
    assert (under.returncode, under.stdout, under.stderr) == (3, "before\n", "")
    assert not (tmp_path / "out").exists()
