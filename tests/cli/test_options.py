"""The command line itself: every option is on a list, and asking for help costs nothing."""

import subprocess
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
import typer.main

from bptt.cli import app

Run = Callable[..., subprocess.CompletedProcess[str]]


def options() -> list[str]:
    """Every subcommand's options and arguments, one a line."""
    root: Any = typer.main.get_command(app)
    commands = {"": root} | {f" {name}": each for name, each in sorted(root.commands.items())}
    return [
        f"bptt{name} {'/'.join(parameter.opts) if parameter.opts[0][0] == '-' else parameter.name.upper()}"
        for name, command in commands.items()
        for parameter in sorted(command.params, key=lambda each: each.name)
    ]


def test_no_option_appears_by_accident() -> None:
    frozen = Path(__file__).with_name("options.txt").read_text(encoding="utf-8").splitlines()
    assert options() == frozen


def test_the_list_of_commands_says_each_in_a_whole_line(capsys: pytest.CaptureFixture[str]) -> None:
    root: Any = typer.main.get_command(app)
    root.main(["--help"], prog_name="bptt", standalone_mode=False, terminal_width=80)
    listed = capsys.readouterr().out.partition("Commands:")[2]
    assert "..." not in listed
    assert all(f"\n  {name} " in listed for name in root.commands)


def test_help_imports_no_torch(python: Run) -> None:
    code = (
        "import sys\n"
        "from bptt.cli import main\n"
        "try:\n    main(['run', '--help'])\n"
        "finally:\n    print({'torch', 'rich', 'numpy'} & set(sys.modules), file=sys.stderr)"
    )
    done = python("-c", code)
    assert (done.returncode, done.stderr) == (0, "set()\n")
    assert "--budget" in done.stdout


def test_version(python: Run) -> None:
    done = python("-m", "bptt", "--version")
    assert (done.returncode, done.stdout) == (0, f"bptt {metadata.version('bptt')}\n")


def test_unknown_option_is_a_sentence(python: Run) -> None:
    done = python("-m", "bptt", "run", "--bugdet", "1", "train.py")
    assert (done.returncode, done.stdout) == (2, "")
    assert "No such option: --bugdet" in done.stderr


def test_report_of_no_run(python: Run) -> None:
    done = python("-m", "bptt", "report", "absent")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("bptt: absent is not a run folder of bptt")
