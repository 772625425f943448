"""The command line: parses, then calls. A subcommand's code is imported when it was chosen."""

from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    name="bptt",
    help="See how far back in time a recurrent network's gradient reaches.",
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
)

Chosen = list[Callable[[], None]]


def _version(show: bool) -> None:
    if show:
        typer.echo(f"bptt {metadata.version('bptt')}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_version, is_eager=True, help="Print the version and leave."
        ),
    ] = False,
) -> None:
    """See how far back in time a recurrent network's gradient reaches."""


# Options end at SCRIPT: whatever stands behind it, --help too, belongs to the script.
@app.command(context_settings={"allow_interspersed_args": False})
def run(
    context: typer.Context,
    script: Annotated[
        str, typer.Argument(metavar="SCRIPT", help="The training script, or with -m a module.")
    ],
    args: Annotated[
        list[str] | None,
        typer.Argument(metavar="ARGS", help="The script's own arguments, passed on untouched."),
    ] = None,
    module: Annotated[
        bool, typer.Option("-m", help="SCRIPT is a module, as for python -m.")
    ] = False,
    budget: Annotated[
        float,
        typer.Option(
            metavar="SHARE",
            help="Share of the run's time for probes; 0 probes the first update only.",
        ),
    ] = 0.02,
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Run folder.  [default: runs/SCRIPT-DATE-TIME]"),
    ] = None,
    threshold: Annotated[
        float, typer.Option(metavar="SHARE", help="Credit below this share counts as not reached.")
    ] = 1e-3,
) -> None:
    """Run an unchanged training script and see which of its time steps get gradient.

    Exits with the script's own exit code; 2 if it could not be started.
    """

    def chosen() -> None:
        from bptt.cli._run import run

        run(script, args or [], module=module, budget=budget, out=out, threshold=threshold)

    context.obj.append(chosen)


@app.command()
def report(
    context: typer.Context,
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The run's folder.")],
) -> None:
    """Print the page of an earlier run again."""

    def chosen() -> None:
        from bptt.cli._report import report

        report(folder)

    context.obj.append(chosen)


def main(argv: list[str] | None = None) -> None:
    """Parse the command line and do what it says.

    The chosen subcommand runs after the parser has left: a script's exceptions and exit codes must
    reach the interpreter, not a parser that has its own ideas about them.
    """
    chosen: Chosen = []
    try:
        typer.main.get_command(app).main(argv, prog_name="bptt", obj=chosen)
    except SystemExit as left:
        if left.code or not chosen:
            raise
    for command in chosen:
        command()
