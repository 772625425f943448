"""A script under `bptt run` finds and leaves everything as it would under python."""

import signal
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., subprocess.CompletedProcess[str]]

SCRIPTS = Path(__file__).parent / "scripts"


def same(bptt_run: Run, python: Run, *command: str | Path, **options: Path) -> None:
    """What the script prints and how it leaves is the same; bptt's page stands before its last words."""
    plain, under = python(*command, **options), bptt_run(*command, **options)
    assert under.stdout == plain.stdout
    assert under.returncode == plain.returncode
    assert under.stderr.endswith(plain.stderr), under.stderr
    assert under.stderr.startswith("bptt · "), under.stderr


@pytest.mark.parametrize(
    "command",
    [
        ["whoami.py", "--help", "--out", "there", "--", "-m", ""],
        ["./whoami.py"],
        ["../scripts/whoami.py"],
        [SCRIPTS / "whoami.py"],
        ["folder", "one"],
        ["-m", "pkg.train", "--help", "-x"],
        ["-m", "pkg", "two"],
        ["-m", "pkg.train", "--fail"],
        ["-m", "pkg.absent"],
        ["-m", "absent"],
    ],
    ids=lambda command: " ".join(map(str, command)).replace(str(SCRIPTS), ""),
)
def test_script_sees_what_python_shows(
    bptt_run: Run, python: Run, command: list[str | Path]
) -> None:
    same(bptt_run, python, *command, cwd=SCRIPTS)


def test_link_to_a_script_finds_its_neighbours(bptt_run: Run, python: Run, tmp_path: Path) -> None:
    link = tmp_path / "link.py"
    link.symlink_to(SCRIPTS / "whoami.py")
    same(bptt_run, python, "link.py")


def test_archive(bptt_run: Run, python: Run, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "train.pyz", "w") as archive:
        archive.write(SCRIPTS / "folder" / "__main__.py", "__main__.py")
    same(bptt_run, python, "train.pyz", "one")


@pytest.mark.parametrize(
    "way",
    ["end", "int", "true", "text", "none", "error", "nested", "hook", "bad-hook", "atexit", "fork"],
)
def test_script_leaves_as_under_python(bptt_run: Run, python: Run, way: str) -> None:
    if way == "bad-hook":  # its traceback names a frame of ours: the hook is called by one
        plain, under = python(SCRIPTS / "leaves.py", way), bptt_run(SCRIPTS / "leaves.py", way)
        assert under.returncode == plain.returncode == 1
        assert "ZeroDivisionError" in under.stderr
        assert under.stderr.endswith(plain.stderr[plain.stderr.index("Original exception") :])
    else:
        same(bptt_run, python, SCRIPTS / "leaves.py", way)


def test_interrupt_kills_as_under_python(bptt_run: Run, python: Run) -> None:
    same(bptt_run, python, SCRIPTS / "leaves.py", "interrupt")
    assert bptt_run(SCRIPTS / "leaves.py", "interrupt").returncode == -signal.SIGINT


def test_quitting_at_once_keeps_code_and_results(bptt_run: Run, tmp_path: Path) -> None:
    under = bptt_run(SCRIPTS / "leaves.py", "os-exit")
    assert (under.returncode, under.stdout) == (7, "before\n")
    assert (tmp_path / "out" / "run.json").exists()


@pytest.mark.parametrize("start", ["fork", "spawn", "forkserver"])
def test_processes_import_the_script_and_not_bptt(bptt_run: Run, python: Run, start: str) -> None:
    same_workers = bptt_run(SCRIPTS / "spawns.py", start)
    plain = python(SCRIPTS / "spawns.py", start)
    expected = plain.stdout
    if start == "fork":  # the child is a copy of this process
        expected = expected.replace("{False}", "{True}")
    assert (same_workers.stdout, same_workers.returncode) == (expected, 0)
    assert same_workers.stderr.count("bptt · ") == 1, "a worker printed a page"


@pytest.mark.parametrize(
    ("source", "code"),
    [
        (b"print(1)\nx = = 1\n", 1),
        (b"print('\xff')\n", 1),
        (b"\x7fELF\x00\x00", 1),
        (b"def f():\nreturn 1", 1),
    ],
    ids=["syntax", "encoding", "binary", "indent"],
)
def test_what_is_not_python(
    bptt_run: Run, python: Run, tmp_path: Path, source: bytes, code: int
) -> None:
    (tmp_path / "train.py").write_bytes(source)
    plain, under = python("train.py"), bptt_run("train.py")
    assert (under.stdout, under.returncode) == (plain.stdout, code)
    assert "Traceback" not in under.stderr
    assert under.stderr.splitlines()[-1].partition(":")[0] in ("SyntaxError", "IndentationError")
    assert not (tmp_path / "out").exists(), "a run folder for a script that never ran"


def test_absent_script(bptt_run: Run, python: Run, tmp_path: Path) -> None:
    plain, under = python("absent.py"), bptt_run("absent.py")
    assert under.returncode == plain.returncode == 2
    message = "can't open file '{}': [Errno 2] No such file or directory\n"
    assert under.stderr == "bptt: " + message.format(tmp_path / "absent.py")
    assert not (tmp_path / "out").exists()


def test_folder_that_is_no_script(bptt_run: Run, python: Run, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    plain, under = python("empty"), bptt_run("empty")
    assert under.returncode == plain.returncode == 1
    assert under.stderr == f"bptt: can't find '__main__' module in '{tmp_path / 'empty'}'\n"
