"""h-detach: at random steps the gradient goes back through an LSTM's cell alone."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import PackedSequence
from torch.optim import Optimizer

from bptt.cells import CELLS, State, Weights
from bptt.kernels import Rows
from bptt.nn._sequence import sequence_of, state_of
from bptt.remedies._change import Change
from bptt.remedies._lines import lines
from bptt.remedies._target import Layer, RemedyError, Target
from bptt.remedies.regularisers._updates import in_checkpoints, sites_named

CURES: tuple[str, ...] = ()


def fits(target: Target) -> str:
    """An LSTM, or its cell."""
    return target.refusal(_why_not, whole=True)


def _why_not(layer: Layer) -> str:
    if layer.kind != "lstm":
        return f"h_detach keeps the way through the cell state c, and {layer.kind} has none"
    if "forward" in vars(layer.module):
        return "something else has replaced its forward pass"
    if type(layer.module).forward not in (nn.LSTM.forward, nn.LSTMCell.forward):
        kind = type(layer.module)
        return (
            f"{kind.__module__}.{kind.__qualname__} has a forward pass of its own, which would be lost; "
            "bptt.nn.restore(model) gives torch.nn's layers back"
        )
    return ""


class HDetach:
    """Draws at which steps `h_{t-1}` is detached, from a random stream of its own.

    Args:
        p: probability of a step to be cut.
        seed: of the stream.

    Attributes:
        cut, steps: how many were, of how many drawn.
    """

    name = "h_detach"

    def __init__(self, p: int | float = 0.25, seed: int = 0) -> None:
        real = isinstance(p, int | float) and not isinstance(p, bool)
        if not real or not 0 < p <= 1:
            raise RemedyError(f"p is {p!r}, expected a probability above 0 and up to 1")
        self.p, self.cut, self.steps = float(p), 0, 0
        self._stream = torch.Generator().manual_seed(seed)

    def draw(self, steps: int) -> list[bool]:
        """Which of so many steps are cut; the same ones for all samples."""
        drawn = (torch.rand(steps, generator=self._stream) < self.p).tolist()
        self.cut, self.steps = self.cut + sum(drawn), self.steps + steps
        return drawn

    def state_dict(self) -> dict[str, Any]:
        """The stream's state and the counts."""
        return {"stream": self._stream.get_state(), "cut": self.cut, "steps": self.steps}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from there: the same steps are drawn as without the break."""
        self._stream.set_state(state_dict["stream"].cpu())
        self.cut, self.steps = int(state_dict["cut"]), int(state_dict["steps"])


def detached_lstm(module: nn.LSTM, given: Any, hx: Any, draws: HDetach) -> tuple[Any, Any]:
    """`nn.LSTM`'s call as a loop over the reference cell, `h_{t-1}` detached at the steps drawn. Values stay."""
    weights = [p for group in module.all_weights for p in group]
    sequence = sequence_of(module, weights[0].dtype, given, None)
    packed = isinstance(given, PackedSequence)
    batched = packed or given.dim() == 3
    sort = given.sorted_indices if packed else None
    state = None if sequence is None else state_of(module, hx, sequence, batched, sort)
    if sequence is None or state is None:
        return nn.LSTM.forward(module, given, hx)  # torch has the sentence for what does not fit
    data, ends, rows = sequence.data, [], sequence.rows
    for number in range(module.num_layers):
        if number and module.dropout and module.training:
            data = F.dropout(data, module.dropout)
        outputs = []
        for direction in range(2 if module.bidirectional else 1):
            w = _weights(module, f"_l{number}" + ("_reverse" if direction else ""))
            start = _start(module, state, len(ends), data, rows.B)
            y, end = _layer(rows, data, start, w, direction == 1, draws.draw(rows.T))
            outputs.append(y)
            ends.append(end)
        data = outputs[0] if len(outputs) == 1 else torch.cat(outputs, -1)
    final = tuple(torch.stack(part) for part in zip(*ends, strict=True))
    if packed:
        order = sequence.order
        final = tuple(e if order is None else e.index_select(1, order) for e in final)
        return given._replace(data=data), final
    out = data.view(rows.T, rows.B, -1)
    if not batched:
        return out.squeeze(1), tuple(e.squeeze(1) for e in final)
    return (out.transpose(0, 1) if module.batch_first else out), final


def _weights(module: nn.LSTM, suffix: str) -> Weights:
    names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh", "weight_hr")
    return Weights(*(getattr(module, name + suffix, None) for name in names))  # type: ignore[arg-type]


def _start(
    module: nn.LSTM, state: tuple[Tensor, ...], place: int, data: Tensor, batch: int
) -> State:
    if state:
        return tuple(part[place] for part in state)
    sizes = (module.proj_size or module.hidden_size, module.hidden_size)
    return tuple(data.new_zeros(batch, size) for size in sizes)


def _layer(
    rows: Rows, data: Tensor, state: State, w: Weights, reverse: bool, cut: list[bool]
) -> tuple[Tensor, State]:
    """One layer in one direction over packed rows: its output `[N, P]`, and the state of each sample at its end."""
    after: dict[int, Tensor] = {}
    cell = CELLS["lstm"]
    for t in range(rows.T)[:: -1 if reverse else 1]:
        here = rows.steps[t]
        n = here.stop - here.start
        h, c = (part[:n] for part in state)
        new = cell.step(data[here], (h.detach() if cut[t] else h, c), w)
        after[t] = new[0]
        state = tuple(torch.cat([a, b[n:]]) for a, b in zip(new, state, strict=True))
    return torch.cat([after[t] for t in range(rows.T)]), state


class _Cutting:
    """A layer's or a cell's forward pass, with cuts in training. An object: a copied or loaded module has its own."""

    def __init__(self, module: nn.Module, draws: HDetach) -> None:
        self.module, self.draws = module, draws

    def __call__(self, input: Any, hx: Any = None) -> Any:
        module: Any = self.module
        trains = module.training and torch.is_grad_enabled()
        if trains and isinstance(module, nn.LSTM):
            return detached_lstm(module, input, hx, self.draws)
        if trains and hx is not None and self.draws.draw(1)[0]:
            hx = (hx[0].detach(), hx[1])
        return type(module).forward(module, input, hx)


def h_detach(
    model: nn.Module,
    *,
    optimizer: Optimizer | None = None,
    site: str = "",
    p: int | float = 0.25,
    seed: int = 0,
) -> Change:
    """In training, cut the gradient's way through `h_{t-1}` at each step with probability `p`; the way through c stays.

        i, f, o, g from W x_t + W' h̃_{t-1},    h̃ = h.detach() with probability p, else h
        c_t = f ∘ c_{t-1} + i ∘ g               gradient kept at every step

    The forward values do not change. An LSTM's gradient through the gates and `W_hh` drowns the part that the cell
    carries linearly, where the weights are large; with it gone now and then, the long way is heard.

    What is lost: speed, for a layer runs step by step on the reference cell while it trains (evaluation does not); and
    an unbiased gradient. The probe measures the recurrence as it is, cuts not included. A site that is one layer of a
    module stands for the module.

    Args:
        model: holds the LSTMs or LSTM cells.
        optimizer: its checkpoints carry the random stream, so that a run that is resumed draws as one that was not.
        site: one module or site, `""` for every LSTM.
        p: the probability.
        seed: of a random stream of its own.

    Raises:
        RemedyError: no LSTM at the site, or a `p` that is no probability; nothing was changed.

    Example:
        >>> from bptt.remedies import h_detach
        >>> lstm, x = nn.LSTM(2, 4), torch.ones(30, 1, 2)
        >>> before = lstm(x)[0]
        >>> change = h_detach(lstm, p=0.5)
        >>> torch.allclose(lstm(x)[0], before, atol=1e-6)
        True
        >>> change.undo()

    Source: Arpit et al. (2018), "h-detach: modifying the LSTM gradient towards better optimization", arXiv 1810.03023.
    """
    draws = HDetach(p, seed)
    found = Target(model, site=site).fitting(_why_not, whole=True)
    with Change("h_detach", {"p": p, "seed": seed}) as change:
        for module in dict.fromkeys(layer.module for layer in found):
            change.attribute(module, "forward", _Cutting(module, draws))
        if optimizer is not None:
            in_checkpoints(change, draws, optimizer)
        change.said.append(
            f"{sites_named(layer.site for layer in found)}: gradient through h cut at a step with probability {p:g}"
        )
        change.lines = lines(h_detach, change.args, site)
    return change
