"""`bptt eval`: what a model is worth on other text, and how much of the past it uses."""

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bptt._errors import BpttError
from bptt._files import put_out


def evaluate(
    model: Path, files: list[Path], *, field: str, context: int | None, json_file: Path | None
) -> None:
    """Print the numbers; exit code 2 with a sentence if there are none."""
    try:
        found = _evaluated(model, files, field, context)
        if json_file is not None:
            _save(json_file, found)
    except BpttError as error:
        print(f"bptt: {error}", file=sys.stderr)
        raise SystemExit(2) from None


def _evaluated(model: Path, files: list[Path], field: str, context: int | None) -> dict[str, Any]:
    from bptt import lm

    network, vocabulary = lm.load_model(model)

    def texts() -> Any:
        if files:
            return lm.documents(files, field=field)
        return ([text] for text in lm.addresses()[2])

    tally = lm.evaluate(network, vocabulary, texts())
    print(
        f"{tally.bits:.4f} bits per character, perplexity {tally.perplexity:.2f} · {tally.characters:,} characters, "
        f"{tally.symbols:,} symbols"
    )
    if tally.unknown:
        print(
            f"{tally.unknown:,} characters are unknown to the model; each costs {lm.UNKNOWN_BITS:.2f} bits on top of "
            "the symbol for them"
        )
    found = asdict(tally) | {"bits": tally.bits, "perplexity": tally.perplexity}
    if context is not None:
        curve = lm.context_curve(network, vocabulary, texts(), longest=context)
        _print_curve(curve)
        found["context"] = asdict(curve) | {"used": curve.used}
    return found


def _print_curve(curve: Any) -> None:
    print("symbols given  bits per symbol")
    for given, bits, error in zip(curve.given, curve.bits, curve.errors, strict=True):
        print(f"{given:13,}  {bits:.4f} ± {error:.4f}")
    print(f"it uses about {curve.used:,} symbols: with more the loss falls by under 0.01 bits")
    for site, steps in curve.horizon.items():
        print(
            f"{site}: gradient reaches {steps if steps is None else format(steps, ',')} of {curve.steps:,} steps"
        )


def _save(path: Path, found: dict[str, Any]) -> None:
    try:
        put_out(path, (json.dumps(found, indent=1) + "\n").encode())
    except OSError as error:
        raise BpttError(f"{path} could not be written: {error.strerror}") from None
