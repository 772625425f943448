"""The options of `bptt sweep`; what it does is imported when it was chosen."""

from pathlib import Path
from typing import Annotated

import typer


def sweep(
    context: typer.Context,
    cell: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CELLS",
            help="rnn, relu-rnn, gru, lstm; several with commas, or repeated.  [default: rnn,lstm]",
        ),
    ] = None,
    remedy: Annotated[
        list[str] | None,
        typer.Option(
            metavar="REMEDIES",
            help="none, chrono, 'orthogonal+forget_bias(value=1)', …  [default: none]",
        ),
    ] = None,
    task: Annotated[
        list[str] | None,
        typer.Option(
            metavar="TASKS", help="Train on these; without it, measure the reach of fresh layers."
        ),
    ] = None,
    radius: Annotated[
        list[str] | None,
        typer.Option(
            metavar="RADII",
            help="Spectral radii of the recurrent weights.  [default: 0.5,0.7,0.9,1,1.1,1.3]",
        ),
    ] = None,
    lag: Annotated[
        list[str] | None,
        typer.Option(
            metavar="LAGS", help="Steps back at which reach is read.  [default: 10,30,100,300]"
        ),
    ] = None,
    seeds: Annotated[
        int, typer.Option(metavar="N", help="How many, from 0 on, of every set-up.", min=1)
    ] = 1,
    hidden: Annotated[
        int | None, typer.Option(metavar="N", help="Units.  [default: 64, or the task's]", min=1)
    ] = None,
    length: Annotated[
        str | None, typer.Option(metavar="N", help="Steps of a task, or a range such as 50-200.")
    ] = None,
    updates: Annotated[
        int | None, typer.Option(metavar="N", help="After how many to give up a task.", min=1)
    ] = None,
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="Results; what is finished there is not done again.")
    ] = Path("runs/sweep"),
    ray: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="local, or a cluster: auto, HOST:PORT, ray://HOST:PORT.  [default: local, if Ray is installed]",
        ),
    ] = None,
    processes: Annotated[
        int | None,
        typer.Option(
            metavar="N", help="Plain processes of this machine; with --ray local, its cores."
        ),
    ] = None,
) -> None:
    """Measure reach over cells, spectral radii and lags, or train on tasks, on one process or a cluster.

    Exits with 0 if every point is finished, 1 if some failed, 2 if it could not be run.
    """

    def chosen() -> None:
        from bptt.cli._sweep import sweep

        sweep(
            cells=cell or [],
            remedies=remedy or [],
            tasks=task or [],
            radii=radius or [],
            lags=lag or [],
            seeds=seeds,
            hidden=hidden,
            length=length,
            updates=updates,
            out=out,
            ray=ray,
            processes=processes,
        )

    context.obj.append(chosen)
