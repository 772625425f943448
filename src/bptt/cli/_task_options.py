"""The options of `bptt task`; what it does is imported when it was chosen."""

from pathlib import Path
from typing import Annotated

import typer


def task(
    context: typer.Context,
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="The task; without it, the list of them.")
    ] = None,
    length: Annotated[
        str | None, typer.Option(metavar="N", help="Steps, or a range such as 50-200.")
    ] = None,
    cell: Annotated[
        str | None, typer.Option(metavar="CELL", help="rnn, relu-rnn, gru or lstm.")
    ] = None,
    remedy: Annotated[
        list[str] | None,
        typer.Option(
            metavar="REMEDY",
            help="Such as chrono or 'chrono(lag=100)', applied before the first update; may be repeated.",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(metavar="N", help="Of weights and data.", min=0)] = 0,
    updates: Annotated[
        int | None, typer.Option(metavar="N", help="After how many to give up.", min=1)
    ] = None,
    paper: Annotated[
        bool, typer.Option("--paper/--small", help="Published sizes, or small ones.")
    ] = False,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the run here as JSON.")
    ] = None,
    table: Annotated[
        bool, typer.Option("--table", help="Measured beside published numbers, and leave.")
    ] = False,
) -> None:
    """Train on a long-range task of the literature until it is solved.

    Exits with 0 if it was solved, 1 if not, 2 if it could not be run.
    """

    def chosen() -> None:
        from bptt.cli import _task

        if table:
            _task.published()
        elif name is None:
            _task.tasks()
        else:
            _task.task(
                name,
                length=length,
                cell=cell,
                remedies=remedy or [],
                seed=seed,
                updates=updates,
                paper=paper,
                out=out,
            )

    context.obj.append(chosen)
