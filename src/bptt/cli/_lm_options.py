"""The options of `bptt train`, `eval` and `sample`; what they do is imported when it was chosen."""

from pathlib import Path
from typing import Annotated, Any

import typer


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
