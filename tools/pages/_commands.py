"""The reference of the command line, from the commands themselves."""

from typing import Any

import typer
from typer.core import TyperGroup

from bptt.cli import app


def page() -> str:
    """Every command with the help that it prints."""
    group = typer.main.get_command(app)
    assert isinstance(group, TyperGroup)
    parts = [
        "# Commands",
        "Each command prints what stands here with `--help`. `python -m bptt` is the same as `bptt`.",
        _help(group, "bptt"),
    ]
    for name, command in sorted(group.commands.items()):
        if not command.hidden:
            parts += [f"## bptt {name}", _help(command, f"bptt {name}")]
    return "\n\n".join(parts) + "\n"


def _help(command: Any, name: str) -> str:  # Any: typer brings a click of its own, without types
    wide = {"max_content_width": 100, "terminal_width": 100}
    context = command.make_context(name, [], resilient_parsing=True, **wide)
    return f"```text\n{command.get_help(context)}\n```"
