"""The command line: parses, then calls. A subcommand's code is imported when it was chosen."""

import os
import signal
import sys
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Annotated, Any

import typer

from bptt.cli._bench_options import bench
from bptt.cli._lm_options import evaluate, sample, train
from bptt.cli._sweep_options import sweep
from bptt.cli._task_options import task
from bptt.cli._view_options import compare, watch

app = typer.Typer(
    name="bptt",
    help="See how far back in time a recurrent network's gradient reaches, and what is wrong with it.",
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


Script = Annotated[
    str, typer.Argument(metavar="SCRIPT", help="The training script, or with -m a module.")
]
Args = Annotated[
    list[str] | None,
    typer.Argument(metavar="ARGS", help="The script's own arguments, passed on untouched."),
]
Module = Annotated[bool, typer.Option("-m", help="SCRIPT is a module, as for python -m.")]
Budget = Annotated[
    float | None,
    typer.Option(
        metavar="SHARE",
        help="Share of the run's time for probes; 0 probes the first update only.  [default: 0.02]",
    ),
]
Out = Annotated[
    Path | None, typer.Option(metavar="DIR", help="Run folder.  [default: runs/SCRIPT-DATE-TIME]")
]
Threshold = Annotated[
    float | None,
    typer.Option(
        metavar="SHARE", help="Credit below this share counts as not reached.  [default: 0.001]"
    ),
]
Lag = Annotated[int | None, typer.Option(metavar="N", help="Steps back that the task needs.")]
Select = Annotated[
    list[str] | None,
    typer.Option(metavar="CODE", help="Ask this rule or family only, such as VG; may be repeated."),
]
Ignore = Annotated[
    list[str] | None,
    typer.Option(metavar="CODE", help="Do not ask this rule or family; may be repeated."),
]

# Options end at SCRIPT: whatever stands behind it, --help too, belongs to the script.
_ENDS_AT_SCRIPT = {"allow_interspersed_args": False}


@app.command(
    context_settings=_ENDS_AT_SCRIPT,
    short_help="Run an unchanged training script and say what is wrong.",
)
def run(
    context: typer.Context,
    script: Script,
    args: Args = None,
    module: Module = False,
    budget: Budget = None,
    out: Out = None,
    threshold: Threshold = None,
    lag: Lag = None,
    fix: Annotated[
        bool,
        typer.Option(
            "--fix",
            help="Repair what is found as the script runs, and say everything that is done.",
        ),
    ] = False,
    to: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KIND:DIR",
            help="Send the numbers to tensorboard:DIR or mlflow:DIR, too; may be repeated.",
        ),
    ] = None,
    select: Select = None,
    ignore: Ignore = None,
) -> None:
    """Run an unchanged training script: which of its time steps get gradient, and what is wrong.

    Exits with the script's own exit code; 2 if it could not be started.
    """

    def chosen() -> None:
        from bptt.cli._run import run

        told = _told(budget=budget, threshold=threshold, lag=lag, select=select, ignore=ignore)
        run(script, args or [], module=module, out=out, told=told, fix=fix, to=to or ())

    context.obj.append(chosen)


@app.command(
    context_settings=_ENDS_AT_SCRIPT,
    short_help="Run a few updates of a script, for continuous integration.",
)
def check(
    context: typer.Context,
    script: Script,
    args: Args = None,
    module: Module = False,
    updates: Annotated[
        int, typer.Option(metavar="N", help="Updates after which the script is stopped.")
    ] = 30,
    out: Out = None,
    threshold: Threshold = None,
    lag: Lag = None,
    select: Select = None,
    ignore: Ignore = None,
) -> None:
    """Run a few updates of a training script, then stop it: for continuous integration.

    Exits with 1 on a finding of severity error, with the script's own code if it fails, else 0.
    """

    def chosen() -> None:
        from bptt.cli._run import check

        told = _told(threshold=threshold, lag=lag, select=select, ignore=ignore)
        check(script, args or [], module=module, out=out, told=told, updates=updates)

    context.obj.append(chosen)


def _told(**options: Any) -> dict[str, Any]:
    """What was said on the command line; codes may also stand with commas between them."""
    for name in ("select", "ignore"):
        words = options.get(name)
        options[name] = tuple(w for word in words for w in word.split(",")) if words else None
    return {name: value for name, value in options.items() if value is not None}


@app.command(short_help="Print the page of an earlier run again; write report.html.")
def report(
    context: typer.Context,
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The run's folder.")],
) -> None:
    """Print the page of an earlier run again, and write its report.html."""

    def chosen() -> None:
        from bptt.cli._report import report

        report(folder)

    context.obj.append(chosen)


@app.command()
def rules(
    context: typer.Context,
    json: Annotated[bool, typer.Option("--json", help="As JSON, for other programs.")] = False,
) -> None:
    """List the rules: code, name, and what each says."""

    def chosen() -> None:
        from bptt.cli._rules import rules

        rules(as_json=json)

    context.obj.append(chosen)


@app.command()
def explain(
    context: typer.Context,
    code: Annotated[str, typer.Argument(metavar="CODE", help="A rule's code or name.")],
) -> None:
    """Print a rule's page: what it means, why it is bad, what to do."""

    def chosen() -> None:
        from bptt.cli._rules import explain

        explain(code)

    context.obj.append(chosen)


@app.command()
def replay(
    context: typer.Context,
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The run's folder.")],
) -> None:
    """Repeat the update in which something stopped being finite.

    Exits with 0 if it comes about again, 1 if not, 2 if nothing was kept.
    """

    def chosen() -> None:
        from bptt.cli._replay import replay

        replay(folder)

    context.obj.append(chosen)


app.command()(bench)
app.command()(task)
app.command(short_help="Train a language model on text, watched; resumes bit for bit.")(train)
app.command("eval", short_help="Bits per character of a trained model on other text.")(evaluate)
app.command()(sample)
app.command(short_help="Measure reach, or train on tasks, over a grid of settings.")(sweep)
app.command()(watch)
app.command(short_help="Show runs side by side: loss, reach, findings, speed.")(compare)


def main(argv: list[str] | None = None) -> None:
    """Parse the command line and do what it says.

    The chosen subcommand runs after the parser has left: a script's exceptions and exit codes must
    reach the interpreter, not a parser that has its own ideas about them.
    """
    chosen: Chosen = []
    # The script brings its own sys.argv, and its output is its own affair, flushed or closed.
    guest = (sys.argv[1:] if argv is None else argv)[:1] in (["run"], ["check"])
    try:
        typer.main.get_command(app).main(argv, prog_name="bptt", obj=chosen)
    except SystemExit as left:
        if left.code or not chosen:
            raise
    try:
        for command in chosen:
            command()
        if not guest and sys.stdout is not None:  # None: started without one
            sys.stdout.flush()
    except BrokenPipeError:
        if guest or sys.stdout is None:
            raise
        # Whoever read our output has enough (`bptt rules | head`). The interpreter flushes once more as it leaves.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(128 + signal.SIGPIPE) from None
