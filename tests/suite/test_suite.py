"""The suite keeps what it promises: the manifest is whole, scripts are small and plain, the verdicts are right."""

import json
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from scripts import ROOT
from suite.page import confusion, summary
from suite.runner import SUITE, Case, Row, cases

CASES = cases()
RUNNER = SUITE / "runner.py"


def runner(*args: str) -> list[Row]:
    """The rows of a run of the suite's runner, in a process of its own: it forks."""
    done = subprocess.run(
        [sys.executable, str(RUNNER), *args], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return [Row.of(row) for row in json.loads(Path(args[args.index("--json") + 1]).read_text())]


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> list[Row]:
    """The whole suite, once."""
    return runner("--json", str(tmp_path_factory.mktemp("suite") / "rows.json"))


def test_the_manifest_names_every_script() -> None:
    files = set((SUITE / "scripts").rglob("*.py"))
    assert {case.path for case in CASES} == files
    assert len(CASES) >= 80


def test_every_rule_has_two_faults_and_two_near_misses() -> None:
    from bptt.rules import codes

    counts = Counter((case.about, case.faulty) for case in CASES)
    assert {about for about, _ in counts} == {*codes(), "none"}
    for code in codes():
        assert counts[code, True] >= 2, code
        assert counts[code, False] >= 2, code


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_script_is_small_and_plain(case: Case) -> None:
    text = case.path.read_text(encoding="utf-8")
    assert len(text.splitlines()) < 60
    assert not re.search(r"^\s*(?:import|from) bptt", text, re.MULTILINE)
    assert re.search(r"manual_seed\(\d+\)", text), "the script sets no seed"


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_verdict_is_right(case: Case, rows: list[Row]) -> None:
    (row,) = [row for row in rows if row.script == str(case)]
    assert row.right, summary([row])


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("script", ["vg101/pixel_rows", "op503/never_cleared", "none/seq2seq"])
def test_a_process_of_its_own_says_the_same(script: str, rows: list[Row], tmp_path: Path) -> None:
    (case,) = [case for case in CASES if str(case) == script]
    command = [sys.executable, "-m", "bptt", "run", "--out", str(tmp_path / "run"), str(case.path)]
    subprocess.run(command, cwd=ROOT, capture_output=True, check=True)
    said = json.loads((tmp_path / "run" / "findings.json").read_text(encoding="utf-8"))["findings"]
    (row,) = [row for row in rows if row.script == script]
    loud = {finding["code"] for finding in said if finding["severity"] != "advice"}
    assert loud == {code for code, severity in row.findings if severity != "advice"}


def test_a_wrong_verdict_is_seen() -> None:
    fault = Row("vg101/a", "VG101", True, [("EG201", "error")], [("VG101", "error")], 0, 1.0)
    quiet = Row("vg101/b", "VG101", False, [("VG102", "advice")], [], 0, 1.0)
    loud = Row("vg101/c", "VG101", False, [("EG202", "warning")], [], 0, 1.0)
    died = Row("vg101/d", "VG101", False, [], [], 1, 1.0, "exit code 1")
    assert [row.right for row in (fault, quiet, loud, died)] == [False, True, False, False]
    assert [row.said for row in (fault, quiet, loud)] == ["EG201", "none", "EG202"]
    text = summary([fault, quiet, loud, died])
    assert "0 of 1 faults" in text
    assert "1 of 3 healthy" in text
    assert re.search(r"^VG101 +1 ", confusion([fault, quiet, loud]), re.MULTILINE)
