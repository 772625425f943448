"""Gradient flossing: Lyapunov exponents of a layer pushed towards zero."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from bptt.flow.walk._sequence import Sequence, Track, layers, output_grad, tracks
from bptt.remedies._change import Change
from bptt.remedies._lines import lines
from bptt.remedies._target import Layer, RemedyError, Target
from bptt.remedies.regularisers._exponents import lyapunov_penalty as lyapunov_penalty
from bptt.remedies.regularisers._exponents import penalty_of, weights_of
from bptt.remedies.regularisers._updates import (
    Trace,
    act_before_steps,
    add_to_grad,
    no_lbfgs,
    positive,
    sites_named,
)

CURES: tuple[str, ...] = ()
FEWEST = 4
"""Steps of a sequence below which nothing is flossed."""


def fits(target: Target) -> str:
    """A tanh RNN, a GRU or an LSTM."""
    return no_lbfgs(target) or target.refusal(_why_not)


def _why_not(layer: Layer) -> str:
    if layer.kind == "rnn_relu":
        return (
            "a ReLU unit that is off has an exponent of minus infinity, which no push brings to 0"
        )
    try:
        layer.weight("weight_hh")
    except RemedyError as reason:
        return str(reason)
    return ""


class Flossing:
    """The mean of `λ_j²` over the first k exponents of each layer, along the update's own data, and its gradient.

        J_t Q_{t-1} = Q_t R_t,    λ_j = 1/T Σ_t log |R_t[j, j]|,    penalty = mean_j λ_j²

    A layer's input counts as given, so that its parameters (`W_hh`, `W_ih`, the biases) get the gradient. It comes
    from the reference cell unrolled over `steps` steps and from the derivative of QR: the layer's own kernel is not
    differentiated.

    Args:
        model: holds the layers; watched from now on, until `remove()`.
        weight: the term's factor.
        k: how many exponents; half the state's size if None.
        steps: of a sequence, counted from its start; a tenth of them is warm-up.
        samples: of a batch, the longest first.
        every: steps between two QRs.
        period: it acts at every n-th update.
        until: and no more after so many updates; None for ever. Flossing before the training proper is the cheap half
            of its use.
        site: one module or site, `""` for all that fit.

    Attributes:
        value: the penalty when it last acted, without the factor, all sites together.
        exponents: by site, `[k]`, mean over the samples, when it last acted.
        updates: how many it has seen.

    Example:
        >>> from bptt.remedies.regularisers import Flossing
        >>> rnn = nn.RNN(2, 8)
        >>> flossing = Flossing(rnn, k=4)
        >>> rnn(torch.ones(20, 3, 2))[0][-1].sum().backward()
        >>> flossing.add_() > 0, flossing.exponents["l0"].shape
        (True, torch.Size([4]))
        >>> flossing.remove()

    Source: Engelken (2023), "Gradient flossing: improving gradient descent through dynamic control of Jacobians",
    arXiv 2312.17306.
    """

    name = "flossing"

    def __init__(
        self,
        model: nn.Module,
        *,
        weight: int | float = 1.0,
        k: int | None = None,
        steps: int = 60,
        samples: int = 1,
        every: int = 1,
        period: int = 1,
        until: int | None = None,
        site: str = "",
    ) -> None:
        positive(weight=weight)
        whole = {"k": k, "samples": samples, "every": every, "period": period, "until": until}
        for name, number in {**whole, "steps": steps}.items():
            least = FEWEST if name == "steps" else 1
            wrong = isinstance(number, bool) or not isinstance(number, int) or number < least
            if number is not None and wrong:
                raise RemedyError(f"{name} is {number!r}, expected a whole number from {least} on")
        found = Target(model, site=site).fitting(_why_not)
        for layer in found:
            size = sum(weights_of(layer).sizes)
            if k is not None and k > size:
                raise RemedyError(f"k is {k}, and the state of {layer.site} has {size} entries")
        self.weight, self.k, self.steps, self.samples = weight, k, steps, samples
        self.every, self.period, self.until = every, period, until
        self.updates, self.value = 0, 0.0
        self.exponents: dict[str, Tensor] = {}
        self._layers = {layer.site: layer for layer in found}
        self._trace = Trace(model)

    @property
    def parameters(self) -> list[Tensor]:
        """All parameters of the layers."""
        return [p for layer in self._layers.values() for p in weights_of(layer).parameters()]

    def add_(self) -> float:
        """Add the gradient of `weight · penalty` to `.grad`; the penalty, 0.0 where it was not this update's turn."""
        sequences, turn = self._trace.take(), self.updates % self.period == 0
        if not sequences:
            return 0.0
        self.updates += 1
        if not turn or (self.until is not None and self.updates > self.until):
            return 0.0
        self.value, done = 0.0, set()
        for sequence in sequences:
            for track in _tracks(sequence):
                if track.site in self._layers and track.site not in done:
                    done |= {track.site} if self._floss(track) else set()
        return self.value

    def _floss(self, track: Track) -> bool:
        """One layer on the beginning of one of its sequences; whether it was long enough."""
        rows, steps = self._choose(track)
        if steps < FEWEST:
            return False
        # QR takes float32 or better, whatever the layer itself runs in.
        wide = torch.promote_types(track.x.dtype, torch.float32)
        x = track.x[:steps, rows].detach().to(wide)
        start = tuple(s[rows].detach().to(wide) for s in track.start)
        weights = weights_of(self._layers[track.site])
        with torch.enable_grad():
            value, exponents = penalty_of(
                weights.to(wide), x, start, k=self.k, warmup=steps // 10, every=self.every
            )
            live = [p for p in weights.parameters() if p.requires_grad]
            grads = torch.autograd.grad(value, live)
        for parameter, grad in zip(live, grads, strict=True):
            add_to_grad(parameter, grad, self.weight)
        self.value += float(value.detach())
        self.exponents[track.site] = exponents.detach().mean(0)
        return True

    def _choose(self, track: Track) -> tuple[Tensor, int]:
        """The longest samples, and how many steps all of them have."""
        batch = track.y.shape[1]
        lengths = torch.full((batch,), track.steps) if track.lengths is None else track.lengths
        rows = lengths.argsort(descending=True, stable=True)[: self.samples]
        return rows.to(track.y.device), min(self.steps, int(lengths[rows.cpu()].min()))

    def state_dict(self) -> dict[str, Any]:
        """The count that `period` and `until` go by."""
        return {"updates": self.updates}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from there."""
        self.updates = int(state_dict["updates"])

    def remove(self) -> None:
        """Watch the model no more."""
        self._trace.remove()


@torch.no_grad()
def _tracks(sequence: Sequence) -> list[Track]:
    """All layers and directions with their inputs; gradients are not looked at."""
    stack, direct = layers(sequence), output_grad(sequence)
    nothing = [torch.zeros_like(layer.y) for layer in stack[:-1]]
    pairs = enumerate(zip(stack, [*nothing, direct], strict=True))
    return [track for n, (layer, none) in pairs for track in tracks(sequence, n, layer, none)]


def flossing(
    model: nn.Module,
    *,
    optimizer: Optimizer | None = None,
    site: str = "",
    weight: int | float = 1.0,
    k: int | None = None,
    steps: int = 60,
    samples: int = 1,
    every: int = 1,
    period: int = 1,
    until: int | None = None,
) -> Change:
    """Add gradient flossing to the loss: each update pushes the first k Lyapunov exponents towards 0.

        penalty = mean_j λ_j²,    λ_j = 1/T Σ_t log |R_t[j, j]|,    J_t Q_{t-1} = Q_t R_t

    At `λ = 0` a gradient neither grows nor shrinks along that direction in the long run. What acts is `Flossing`,
    before each `step()`: after whatever clipping the script does, so that the term itself is not clipped.

    What is lost: time, of `steps` steps of the reference cell and as many QRs of `[S, k]` at each turn; and, with a
    large k, the contraction that lets a network forget.

    Args:
        model: holds the layers.
        optimizer: in whose steps it acts, and whose checkpoints carry the count; None for any that holds the layers.
        site: one module or site, `""` for all that fit.
        weight, k, steps, samples, every, period, until: as for `Flossing`.

    Raises:
        RemedyError: no layer that fits (ReLU units that are off have no exponent), or a number that makes no sense.

    Example:
        >>> from bptt.remedies import flossing
        >>> rnn = nn.RNN(2, 8)
        >>> optimizer = torch.optim.SGD(rnn.parameters(), lr=0.01)
        >>> change = flossing(rnn, optimizer=optimizer, k=4, until=100)
        >>> rnn(torch.ones(20, 3, 2))[0][-1].sum().backward()
        >>> optimizer.step()
        >>> change.undo()

    Source: Engelken (2023), arXiv 2312.17306.
    """
    args = {"weight": weight, "k": k, "steps": steps, "samples": samples, "every": every}
    args |= {"period": period, "until": until}
    with Change("flossing", args) as change:
        regulariser = Flossing(model, site=site, **args)  # type: ignore[arg-type]
        act_before_steps(change, regulariser, optimizer)
        some = "half of the" if k is None else f"the first {k}"
        change.said.append(
            f"{sites_named(regulariser._layers)}: updates push {some} Lyapunov exponents towards 0 (weight {weight:g})"
        )
        change.lines = lines(flossing, change.args, site, first="model, optimizer=optimizer")
    return change
