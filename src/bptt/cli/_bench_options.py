"""The options of `bptt bench`; what it does is imported when it was chosen."""

from pathlib import Path
from typing import Annotated

import typer


def bench(
    context: typer.Context,
    layer: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME", help="rnn, relu-rnn, gru or lstm; may be repeated.  [default: all]"
        ),
    ] = None,
    hidden: Annotated[
        list[int] | None,
        typer.Option(
            metavar="N", help="Hidden units, and as many inputs.  [default: 64, 256, 512]"
        ),
    ] = None,
    batch: Annotated[
        list[int] | None, typer.Option(metavar="N", help="Samples.  [default: 1, 32]")
    ] = None,
    mode: Annotated[
        str, typer.Option(metavar="MODE", help="padded, packed, no-grad or tokens.")
    ] = "padded",
    threads: Annotated[
        int | None, typer.Option(metavar="N", help="Threads.  [default: torch's own choice]")
    ] = None,
    seconds: Annotated[
        float, typer.Option(metavar="S", help="About how long each row is measured.")
    ] = 0.5,
    json: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write the table here as JSON.")
    ] = None,
) -> None:
    """Measure bptt.nn's layers against torch.nn's on this machine.

    Both layers' numbers are compared before they are timed; where they differ, it exits with 1.
    """

    def chosen() -> None:
        from bptt.cli._bench import bench

        bench(
            layer or [],
            hidden or [64, 256, 512],
            batch or [1, 32],
            mode=mode,
            threads=threads,
            seconds=seconds,
            json_file=json,
        )

    context.obj.append(chosen)
