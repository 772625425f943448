"""`bptt check`, `rules`, `explain`, `replay`, and findings on the page and in `findings.json`."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parent / "scripts"
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def check(python: Run, tmp_path: Path) -> Run:
    """`check("script.py", …)` with the results in `tmp_path / "out"`."""
    return lambda *args: python("-m", "bptt", "check", "--out", str(tmp_path / "out"), *args)


@pytest.mark.parametrize(("way", "code", "found"), [("vanish", 1, ["VG101"]), ("fine", 0, [])])
def test_the_exit_code_says_whether_there_is_an_error(
    check: Run, tmp_path: Path, way: str, code: int, found: list[str]
) -> None:
    done = check("--updates", "5", SCRIPTS / "faults.py", way)
    assert done.returncode == code, done.stderr
    assert done.stdout == "", "the script was to be stopped before its last line"
    findings = json.loads((tmp_path / "out" / "findings.json").read_text())["findings"]
    assert [each["code"] for each in findings] == found
    run = json.loads((tmp_path / "out" / "run.json").read_text())
    assert (run["updates"], run["state"]) == (5, "finished")


def test_a_finding_stands_on_the_page_before_the_numbers(check: Run) -> None:
    lines = check("--updates", "4", SCRIPTS / "faults.py", "vanish").stderr.splitlines()
    title = next(n for n, line in enumerate(lines) if line.startswith("error VG101"))
    assert "rnn.l0" in lines[title] or "l0" in lines[title]
    assert "since update 1" in lines[title]
    site = next(n for n, line in enumerate(lines) if "gradient reaches" in line and "GRU" in line)
    assert title < site


def test_a_short_script_ends_by_itself_and_a_failing_one_fails(check: Run) -> None:
    assert check("--updates", "90", SCRIPTS / "faults.py", "fine").stdout == "end\n"


def test_the_scripts_own_failure_counts(check: Run) -> None:
    done = check(SCRIPTS / "leaves.py", "error")
    assert done.returncode == 1
    assert "Error" in done.stderr.splitlines()[-1]


def test_rules_are_chosen_on_the_command_line_and_in_the_project(
    check: Run, tmp_path: Path
) -> None:
    assert (
        check("--updates", "4", "--ignore", "VG", SCRIPTS / "faults.py", "vanish").returncode == 0
    )
    (tmp_path / "pyproject.toml").write_text('[tool.bptt]\nignore = ["VG101"]\n')
    assert check("--updates", "4", SCRIPTS / "faults.py", "vanish").returncode == 0
    done = check("--updates", "4", "--select", "VG101,NF", SCRIPTS / "faults.py", "vanish")
    assert done.returncode == 0, "what the project ignores is ignored"


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--select", "VG1O1"], "the nearest is VG101"),
        (["--lag", "0"], "lag is 0"),
        (["--updates", "0"], "updates is 0"),
        (["--threshold", "2"], "threshold is 2.0"),
    ],
)
def test_options_that_cannot_be_used(check: Run, options: list[str], sentence: str) -> None:
    done = check(*options, SCRIPTS / "faults.py", "fine")
    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 1
    assert sentence in done.stderr


def test_a_malformed_project_file_is_a_sentence(check: Run, tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool.bptt]\nbudgte = 1\n")
    done = check(SCRIPTS / "faults.py", "fine")
    assert done.returncode == 2
    assert "unknown entry 'budgte'; the nearest is 'budget'" in done.stderr


def test_a_nan_is_found_kept_and_replayed(bptt_run: Run, python: Run, tmp_path: Path) -> None:
    under = bptt_run("--budget", "0", SCRIPTS / "faults.py", "nan")
    assert (under.returncode, under.stdout) == (0, "end\n")
    (finding,) = json.loads((tmp_path / "out" / "findings.json").read_text())["findings"]
    assert (finding["code"], finding["update"], finding["severity"]) == ("NF603", 7, "error")
    again = python("-m", "bptt", "replay", "out")
    assert again.returncode == 0, again.stderr
    assert again.stdout.startswith("update 7: first input that is nan")
    page = python("-m", "bptt", "report", "out")
    assert (page.returncode, page.stdout) == (0, under.stderr)


def test_a_damaged_run_folder(bptt_run: Run, python: Run, tmp_path: Path) -> None:
    bptt_run("--budget", "0", SCRIPTS / "faults.py", "fine")
    (tmp_path / "out" / "findings.json").write_text('{"findings": [{"no": "code"}]}')
    done = python("-m", "bptt", "report", "out")
    assert (done.returncode, done.stdout) == (2, "")
    assert "findings.json is damaged" in done.stderr
    assert python("-m", "bptt", "replay", "out").returncode == 2


def test_rules_and_pages_need_no_torch(python: Run) -> None:
    done = python("-m", "bptt", "rules")
    assert done.returncode == 0
    assert len(done.stdout.splitlines()) == 19
    rows = json.loads(python("-m", "bptt", "rules", "--json").stdout)
    assert {row["code"] for row in rows} == {line[:5] for line in done.stdout.splitlines()}
    code = (
        "import sys\nfrom bptt.cli import main\nmain(['explain', 'vg101'])\n"
        "print({'torch', 'rich'} & set(sys.modules), file=sys.stderr)"
    )
    page = python("-c", code)
    assert (page.returncode, page.stderr) == (0, "set()\n")
    assert page.stdout.startswith("VG101 vanishing-through-time: ")
    assert "[tool.bptt.options.VG101]" in page.stdout


def test_explain_names_the_nearest(python: Run) -> None:
    done = python("-m", "bptt", "explain", "VG1O1")
    assert (done.returncode, done.stdout) == (2, "")
    assert "no rule 'VG1O1'; the nearest is VG101 vanishing-through-time" in done.stderr
