"""`bptt sample`: text from a model."""

import sys
from pathlib import Path

from bptt._errors import BpttError


def sample(
    model: Path, *, prompt: str, length: int, temperature: float, top_p: float, seed: int
) -> None:
    """Print the prompt and what follows; exit code 2 with a sentence if it cannot be."""
    from bptt import lm

    try:
        network, vocabulary = lm.load_model(model)
        pieces = lm.sample(
            network,
            vocabulary,
            prompt=prompt,
            length=length,
            temperature=temperature,
            top_p=top_p,
            seed=seed,
        )
        print(prompt, end="")
        for piece in pieces:
            print(piece, end="", flush=True)
        print()
    except BpttError as error:
        print(f"bptt: {error}", file=sys.stderr)
        raise SystemExit(2) from None
