"""The command line: parses, then calls. A subcommand's code is imported when it was chosen."""

from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Annotated, Any

import typer

from bptt.cli._sweep_options import sweep
from bptt.cli._task_options import task

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


@app.command(context_settings=_ENDS_AT_SCRIPT)
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
    select: Select = None,
    ignore: Ignore = None,
) -> None:
    """Run an unchanged training script: which of its time steps get gradient, and what is wrong.

    Exits with the script's own exit code; 2 if it could not be started.
    """

    def chosen() -> None:
        from bptt.cli._run import run

        told = _told(budget=budget, threshold=threshold, lag=lag, select=select, ignore=ignore)
        run(script, args or [], module=module, out=out, told=told, fix=fix)

    context.obj.append(chosen)


@app.command(context_settings=_ENDS_AT_SCRIPT)
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


@app.command()
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


app.command()(task)


def _whole(what: str) -> Any:
    return typer.Option(metavar="N", help=what)


def _number(what: str, metavar: str = "X") -> Any:
    return typer.Option(metavar=metavar, help=what)


Model = Annotated[
    Path,
    typer.Argument(metavar="MODEL", help="The folder of a training, or its model.safetensors."),
]
Field = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="Field of JSON lines and parquet rows.  [default: text]"),
]


@app.command()
def train(
    context: typer.Context,
    files: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="TEXT",
            help="Plain text in UTF-8, JSON lines or parquet.  [default: the State of the Union]",
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Run folder.  [default: runs/TEXT-DATE-TIME]")
    ] = None,
    resume: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Go on from this run's last checkpoint.")
    ] = None,
    held_out: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE", help="Text to validate on; may be repeated.  [default: last tenth]"
        ),
    ] = None,
    field: Field = None,
    tokens: Annotated[
        str | None, typer.Option(metavar="KIND", help="chars, bytes or bpe.  [default: chars]")
    ] = None,
    vocabulary: Annotated[int | None, _whole("Symbols of bpe.  [default: 4096]")] = None,
    cell: Annotated[
        str | None,
        typer.Option(metavar="CELL", help="rnn, relu-rnn, gru or lstm.  [default: lstm]"),
    ] = None,
    layers: Annotated[int | None, _whole("Recurrent layers.  [default: 1]")] = None,
    hidden: Annotated[int | None, _whole("Units of each.  [default: 512]")] = None,
    embedding: Annotated[int | None, _whole("Inputs of the first layer.  [default: 128]")] = None,
    tie: Annotated[
        bool | None, typer.Option("--tie", help="Read out with the embedding's weights.")
    ] = None,
    dropout: Annotated[
        float | None, _number("Share of units dropped after each layer.  [default: 0]", "SHARE")
    ] = None,
    weight_drop: Annotated[
        float | None, _number("Share of recurrent weights dropped.  [default: 0]", "SHARE")
    ] = None,
    batch: Annotated[int | None, _whole("Streams, over all processes.  [default: 64]")] = None,
    length: Annotated[int | None, _whole("Steps of a chunk.  [default: 128]")] = None,
    optimizer: Annotated[
        str | None, typer.Option(metavar="NAME", help="adamw or sgd.  [default: adamw]")
    ] = None,
    lr: Annotated[float | None, _number("Learning rate.  [default: the cell's]")] = None,
    weight_decay: Annotated[float | None, _number("Of matrices.  [default: 0.01]")] = None,
    clip: Annotated[
        float | None, _number("Largest gradient norm, 0 for any.  [default: 1]")
    ] = None,
    warmup: Annotated[
        int | None, _whole("Updates to the full learning rate.  [default: 100]")
    ] = None,
    updates: Annotated[
        int | None, _whole("Updates in all.  [default: by epochs or minutes]")
    ] = None,
    epochs: Annotated[float | None, _number("Passes over the text.  [default: 4]")] = None,
    minutes: Annotated[float | None, _number("Time after which it ends.")] = None,
    validate_every: Annotated[int | None, _whole("Updates.  [default: 500]")] = None,
    save_every: Annotated[int | None, _whole("Updates.  [default: 250]")] = None,
    patience: Annotated[
        int | None, _whole("Validations without a better one, after which it ends.")
    ] = None,
    budget: Annotated[
        float | None,
        _number("Share of the time for the monitor; -1 for none.  [default: 0.02]", "SHARE"),
    ] = None,
    seed: Annotated[int | None, _whole("Of weights, order and dropout.  [default: 0]")] = None,
    backend: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="auto, native, reference or torch.  [default: auto]"),
    ] = None,
    bf16: Annotated[
        bool | None, typer.Option("--bf16", help="Round operands of the recurrence to bfloat16.")
    ] = None,
) -> None:
    """Train a language model on text; the monitor watches, and a run that was stopped can be resumed.

    Exits with 0 when it has come to its end, 130 or 143 if it was stopped, 2 if it cannot go on.
    """
    told = {key: value for key, value in locals().items() if key in _TOLD_TO_TRAIN}
    told["held_out"] = tuple(map(str, held_out)) if held_out else None

    def chosen() -> None:
        from bptt.cli._train import train

        train(files or [], out, resume, told)

    context.obj.append(chosen)


_TOLD_TO_TRAIN = frozenset(
    [
        "field",
        "tokens",
        "vocabulary",
        "cell",
        "layers",
        "hidden",
        "embedding",
        "tie",
        "dropout",
        "weight_drop",
        "batch",
        "length",
        "optimizer",
        "lr",
        "weight_decay",
        "clip",
        "warmup",
        "updates",
        "epochs",
        "minutes",
        "validate_every",
        "save_every",
        "patience",
        "budget",
        "seed",
        "backend",
        "bf16",
    ]
)


@app.command("eval")
def evaluate(
    context: typer.Context,
    model: Model,
    files: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="TEXT", help="As for train.  [default: the newest State of the Union addresses]"
        ),
    ] = None,
    field: Field = None,
    reach: Annotated[
        int | None,
        typer.Option(
            "--context", metavar="N", help="Also the loss given 1, 2, 4, … up to N symbols before."
        ),
    ] = None,
    json: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write the numbers here as JSON.")
    ] = None,
) -> None:
    """Bits per character and perplexity of a trained model on other text."""

    def chosen() -> None:
        from bptt.cli._eval import evaluate

        evaluate(model, files or [], field=field or "text", context=reach, json_file=json)

    context.obj.append(chosen)


@app.command()
def sample(
    context: typer.Context,
    model: Model,
    prompt: Annotated[str, typer.Option(metavar="TEXT", help="What the text begins with.")] = "",
    length: Annotated[int, _whole("Symbols at most.")] = 500,
    temperature: Annotated[float, _number("0 takes the most probable symbol.")] = 0.8,
    top_p: Annotated[
        float, _number("Draw among the most probable that make up this share.", "SHARE")
    ] = 1.0,
    seed: Annotated[int, _whole("Of the draw.")] = 0,
) -> None:
    """Print text that a trained model writes."""

    def chosen() -> None:
        from bptt.cli._sample import sample

        sample(model, prompt=prompt, length=length, temperature=temperature, top_p=top_p, seed=seed)

    context.obj.append(chosen)


app.command()(sweep)


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
