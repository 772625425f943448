"""The options of `bptt watch` and `bptt compare`; what they do is imported when it was chosen."""

from pathlib import Path
from typing import Annotated

import typer


def watch(
    context: typer.Context,
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The run's folder.")],
    once: Annotated[
        bool, typer.Option("--once", help="Show what there is by now, and leave.")
    ] = False,
    wait: Annotated[
        float,
        typer.Option(metavar="S", help="Seconds for which the folder may be missing.", min=0),
    ] = 60.0,
) -> None:
    """Follow a run from another terminal, until it ends.

    Ctrl-C leaves the run alone. Exits with 0, or 2 if there is no run.
    """

    def chosen() -> None:
        from bptt.cli._watch import watch

        watch(folder, once=once, wait=wait)

    context.obj.append(chosen)


def compare(
    context: typer.Context,
    folders: Annotated[list[Path], typer.Argument(metavar="DIR DIR…", help="The runs' folders.")],
    json: Annotated[bool, typer.Option("--json", help="As JSON, for other programs.")] = False,
    html: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="Write a page with curves, too.")
    ] = None,
) -> None:
    """Show runs side by side: loss, reach, findings, speed, and what is different between them."""

    def chosen() -> None:
        from bptt.cli._compare import compare

        compare(folders, as_json=json, page=html)

    context.obj.append(chosen)
