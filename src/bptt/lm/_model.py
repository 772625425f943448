"""The network: symbols in, recurrent layers, the next symbol's scores out."""

from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from bptt import nn as ours
from bptt.lm._config import Config
from bptt.remedies import forget_bias, identity_relu, orthogonal

KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "rnn": ("RNN", {}),
    "relu-rnn": ("RNN", {"nonlinearity": "relu"}),
    "gru": ("GRU", {}),
    "lstm": ("LSTM", {}),
}

Mask = Float[Tensor, "..."]


class Masks(NamedTuple):
    """What dropout leaves, scaled so that means stay.

    Attributes:
        units: a layer each, `[b, H]`, or None.
        weights: a layer each, the shape of its `weight_hh`, or None.
    """

    units: list[Tensor] | None
    weights: list[Tensor] | None


class LanguageModel(nn.Module):
    """`logits_t = W_o h_t + b_o`, `h_t` the last layer's state after the symbols up to t.

    Layers are bptt.nn's, the first reading symbols directly (a symbol's share of its gates is looked up). They begin
    orthogonal, gated ones with a forget bias of 1, ReLU ones as the identity.

    Args:
        config: cell, layers, sizes, tying, backend.
        V: symbols.

    Example:
        >>> model = LanguageModel(Config(hidden=8, embedding=4), V=10)
        >>> logits, state = model(torch.zeros(5, 2, dtype=torch.long))
        >>> logits.shape, state.shape  # [T, B, V], [L, parts, B, H]
        (torch.Size([5, 2, 10]), torch.Size([1, 2, 2, 8]))
    """

    def __init__(self, config: Config, V: int) -> None:
        super().__init__()
        self.config = config
        H, I = config.hidden, config.inputs
        plain = config.backend == "torch"
        name, options = KINDS[config.cell]
        if not plain:
            options = options | {"backend": config.backend, "bf16": config.bf16}
        kind = getattr(nn if plain else ours, name)
        self.embedding = nn.Embedding(V, I)
        self.layers = nn.ModuleList(
            [kind(H if n else I, H, **options) for n in range(config.layers)]
        )
        self.readout = nn.Linear(H, V)
        if config.tie:
            nn.init.normal_(self.embedding.weight, std=H**-0.5)
            self.readout.weight = self.embedding.weight
        nn.init.zeros_(self.readout.bias)
        self._begin(config)

    def _begin(self, config: Config) -> None:
        for number, layer in enumerate(self.layers):
            if config.cell == "relu-rnn":
                identity_relu(layer, seed=config.seed + number, std=0.01)
            else:
                orthogonal(layer, seed=config.seed + number)
            if config.cell in ("gru", "lstm"):
                forget_bias(layer)

    @property
    def parts(self) -> int:
        """What a state consists of: 2 for an LSTM, `h` and `c`, else 1."""
        return 2 if self.config.cell == "lstm" else 1

    def start(self, B: int) -> Float[Tensor, "L parts B H"]:
        """The state before any symbol."""
        return self.readout.weight.new_zeros(self.config.layers, self.parts, B, self.config.hidden)

    def forward(
        self,
        ids: Int[Tensor, "T B"],
        state: Float[Tensor, "L parts B H"] | None = None,
        masks: Masks | None = None,
    ) -> tuple[Float[Tensor, "T B V"], Float[Tensor, "L parts B H"]]:
        """Scores of the symbol after each, and the state after the last."""
        units, weights = masks or (None, None)
        state = self.start(ids.shape[1]) if state is None else state
        x: Tensor = ids
        ends = []
        for n, layer in enumerate(self.layers):
            x, end = self._layer(n, layer, x, state[n], None if weights is None else weights[n])
            ends.append(end)
            if units is not None:
                x = x * units[n]
        return self.readout(x), torch.stack(ends)

    def _layer(
        self, n: int, layer: nn.Module, x: Tensor, state: Tensor, mask: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        told: dict[str, Any] = {}
        if n == 0 and self.config.backend == "torch":
            x = self.embedding(x)
        elif n == 0:
            told = {"embedding": self.embedding.weight}
        start = state.unsqueeze(1).unbind()
        given = (x, start if self.parts == 2 else start[0])
        if mask is None:
            y, end = layer(*given, **told)
        else:
            dropped = {"weight_hh_l0": layer.weight_hh_l0 * mask}  # pyright: ignore[reportOperatorIssue]
            y, end = torch.func.functional_call(layer, dropped, given, told)
        return y, torch.cat(end if self.parts == 2 else (end,))


def draw(model: LanguageModel, B: int, own: slice, step: int) -> Masks | None:
    """The masks of one update, from (seed, step) alone; None without dropout.

    Units are drawn for all B lanes, of which a process takes its `own`, so that however many there are, each lane has
    the same. One mask serves all steps of a chunk (Gal & Ghahramani, arXiv 1512.05287, 2016; for recurrent weights Wan
    et al., 2013, as Merity, Keskar & Socher use it, arXiv 1708.02182, 2018).
    """
    config = model.config
    if not (config.dropout or config.weight_drop):
        return None
    words = np.random.SeedSequence([config.seed, step]).generate_state(1, np.uint64)
    generator = torch.Generator().manual_seed(int(words[0] >> 1))
    units = weights = None
    if config.dropout:
        units = [_mask((B, config.hidden), config.dropout, generator)[own] for _ in model.layers]
    if config.weight_drop:
        shapes = [tuple(layer.weight_hh_l0.shape) for layer in model.layers]  # pyright: ignore[reportAttributeAccessIssue, reportCallIssue, reportArgumentType]
        weights = [_mask(shape, config.weight_drop, generator) for shape in shapes]
    place = model.readout.weight.device
    return Masks(
        *(None if each is None else [m.to(place) for m in each] for each in (units, weights))
    )


def _mask(shape: tuple[int, ...], share: float, generator: torch.Generator) -> Tensor:
    return (torch.rand(shape, generator=generator) >= share).float() / (1 - share)


def nats(logits: Float[Tensor, "T B V"], targets: Int[Tensor, "T B"]) -> Float[Tensor, ""]:
    """`-Σ log p(target)` over the targets that count."""
    return F.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="sum")
