"""Text from a model, one symbol after another."""

from collections.abc import Iterator

import torch
from jaxtyping import Float
from torch import Tensor

from bptt.lm._config import LmError
from bptt.lm._model import LanguageModel
from bptt.lm._vocabulary import END, Vocabulary


def sample(
    model: LanguageModel,
    vocabulary: Vocabulary,
    *,
    prompt: str = "",
    length: int = 500,
    temperature: float = 1.0,
    top_p: float = 1.0,
    seed: int = 0,
) -> Iterator[str]:
    """Pieces of text as they come, until a document's end or so many symbols.

    A symbol is drawn from `softmax(logits / temperature)`, of which only the most probable ones are kept whose
    probabilities add up to `top_p`. An unknown character is never drawn.

    Args:
        model, vocabulary: as `load_model` gives them.
        prompt: what the text begins with; not repeated.
        length: symbols at most.
        temperature: 0 takes the most probable symbol each time.
        top_p: above 0, up to 1.
        seed: of the draw's own generator.

    Raises:
        LmError: a number out of range, or a prompt of characters that the model does not know.

    Example:
        >>> from bptt.lm import Config
        >>> from bptt.lm._vocabulary import Characters
        >>> model = LanguageModel(Config(hidden=4), V=4)
        >>> text = "".join(sample(model, Characters("ab"), length=20))
        >>> set(text) <= {"a", "b"}
        True

    Source: Holtzman, Buys, Du, Forbes & Choi (2020), arXiv 1904.09751, for top-p.
    """
    if not (0 <= temperature < float("inf") and 0 < top_p <= 1 and length >= 0):
        raise LmError(
            f"temperature is {temperature}, top_p {top_p}, length {length}; expected at least 0, a share above 0 up to "
            "1, and at least 0"
        )
    if not -(2**63) <= seed < 2**64:
        raise LmError(f"seed is {seed}, expected a number of 64 bits")
    ids = [int(n) for n in vocabulary.encode(prompt)]
    if vocabulary.unknown is not None and vocabulary.unknown in ids:
        character = prompt[ids.index(vocabulary.unknown)]
        raise LmError(
            f"the prompt has {character!r}, a character that the model's text did not have"
        )
    return _pieces(model, vocabulary, [END, *ids], length, temperature, top_p, seed)


def _pieces(
    model: LanguageModel,
    vocabulary: Vocabulary,
    given: list[int],
    length: int,
    temperature: float,
    top_p: float,
    seed: int,
) -> Iterator[str]:
    generator = torch.Generator().manual_seed(seed)
    state, held = None, list[int]()
    for _ in range(length):
        with torch.no_grad():
            logits, state = model(torch.tensor(given).unsqueeze(1), state)
        scores = logits[-1, 0].double()
        if vocabulary.unknown is not None:
            scores[vocabulary.unknown] = -torch.inf
        drawn = draw(scores, temperature, top_p, generator)
        if drawn == END:
            break
        given = [drawn]
        held.append(drawn)
        text = vocabulary.decode(held)
        if not text.endswith("�"):  # of a character in several symbols the rest is still to come
            yield text
            held.clear()
    if held:
        yield vocabulary.decode(held)


def draw(
    scores: Float[Tensor, " V"], temperature: float, top_p: float, generator: torch.Generator
) -> int:
    """One symbol.

    >>> draw(torch.tensor([0.0, 3.0, 1.0]), 0.0, 1.0, torch.Generator())
    1
    """
    if temperature == 0:
        return int(scores.argmax())
    # From the largest score on, so that no quotient overflows upwards.
    chances, order = torch.softmax((scores - scores.max()) / temperature, 0).sort(descending=True)
    before = chances.cumsum(0) - chances
    chances = chances.masked_fill(before >= top_p, 0.0)
    return int(order[torch.multinomial(chances, 1, generator=generator)])
