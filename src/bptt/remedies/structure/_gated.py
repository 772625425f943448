"""What the swaps to a gated cell share: what is kept, how the new gates start, what is said of it."""

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

import bptt.nn
from bptt.cells import CELLS
from bptt.remedies._change import Change
from bptt.remedies._target import Layer, RemedyError, Target, is_whole
from bptt.remedies.initialisation._gates import KEEPS
from bptt.remedies.structure._h_alone import LSTM, FastLSTM, LSTMCell
from bptt.remedies.structure._swap import become, by_module, check, stacked, writable

OPEN = 3.0
"""Bias of a new gate that keeps the state, where no lag is stated: it keeps 0.95 a step, as `forget_bias(value=3)`."""

CLASSES: dict[type[nn.Module], dict[str, type[nn.Module]]] = {
    nn.RNN: {"gru": nn.GRU, "lstm": LSTM},
    nn.GRU: {"lstm": LSTM},
    bptt.nn.RNN: {"gru": bptt.nn.GRU, "lstm": FastLSTM},
    bptt.nn.GRU: {"lstm": FastLSTM},
    nn.RNNCell: {"gru": nn.GRUCell, "lstm": LSTMCell},
    nn.GRUCell: {"lstm": LSTMCell},
}
"""Which class takes which one's place."""

Kept = dict[str, tuple[str, int]]
"""New gate: the old gate whose weights it gets, and with what sign."""


def why_not(layer: Layer, kind: str) -> str:
    """Why a layer cannot become a `kind`; `""` if it can."""
    places = CLASSES.get(type(layer.module))
    if places is None and isinstance(layer.module, (nn.LSTM, nn.LSTMCell)):
        return "it is an LSTM already"
    if places is None:
        return f"{type(layer.module).__name__} has a forward of its own, which would be lost"
    if kind not in places:
        return "it is a GRU already"
    return writable(layer)


def swap(
    change: Change,
    model: nn.Module,
    optimizer: Optimizer | None,
    site: str,
    kind: str,
    kept: dict[str, Kept],
    lag: int | None,
    seed: int,
) -> None:
    """Make every fitting layer at the site a `kind`. `kept`: by the old cell's kind.

    Raises:
        RemedyError: nothing fits, the lag makes no sense, or the optimizer is another model's.
    """
    if lag is not None and not is_whole(lag, 2):
        raise RemedyError(f"lag is {lag!r}, expected a whole number of steps, 2 or more")
    check(model, optimizer)
    layers = Target(model, site=site).fitting(lambda layer: why_not(layer, kind), whole=True)
    generator = torch.Generator().manual_seed(seed)
    for module, own in by_module(layers):
        if lag is not None and not module.bias:
            raise RemedyError(
                f"{own[0].site} has no biases, and gates open by a bias; build it with bias=True"
            )
        parameters = {}
        for layer in own:
            parameters |= _parameters(layer, kind, kept[layer.kind], lag, generator)
            change.said.append(_sentence(layer, kind, kept[layer.kind], lag))
        attributes: dict[str, str | None] = {"nonlinearity": None, "_handed": None}
        if isinstance(module, nn.RNNBase):
            attributes["mode"] = kind.upper()
        become(change, module, CLASSES[type(module)][kind], attributes, parameters, optimizer)


def _parameters(
    layer: Layer, kind: str, kept: Kept, lag: int | None, generator: torch.Generator
) -> dict[str, Tensor]:
    """All parameters of one layer as a `kind`."""
    found = {}
    for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")[: 4 if layer.module.bias else 2]:
        blocks = {
            new: sign * layer.gate(layer.weight(name), old) for new, (old, sign) in kept.items()
        }
        found[name + layer.suffix] = stacked(layer, name, kind, blocks, generator)
    if layer.module.bias and (lag is not None or KEEPS[kind] not in kept):
        _open(found, layer, kind, lag, generator)
    return found


def _open(
    found: dict[str, Tensor], layer: Layer, kind: str, lag: int | None, generator: torch.Generator
) -> None:
    """Biases of the gate that keeps the state: for a range of spans up to the lag (`chrono`), else open."""
    keep = torch.full((layer.hidden_size,), OPEN, dtype=torch.float64)
    if lag is not None:
        u = torch.rand(layer.hidden_size, dtype=torch.float64, generator=generator)
        keep = (1 + u * (lag - 2)).log()
    values = {KEEPS[kind]: keep}
    if lag is not None and kind == "lstm":
        values["i"] = -keep
    names = CELLS[kind].gate_names
    for gate, value in values.items():
        for name, share in (("bias_ih", 1), ("bias_hh", 0)):
            found[name + layer.suffix].split(layer.hidden_size)[names.index(gate)].copy_(
                share * value
            )


def _sentence(layer: Layer, kind: str, kept: Kept, lag: int | None) -> str:
    was = CELLS[layer.kind].gate_names
    from_to = ", ".join(
        f"{'-' if sign < 0 else ''}{old} -> {new}" for new, (old, sign) in kept.items()
    )
    fresh = " ".join(gate for gate in CELLS[kind].gate_names if gate not in kept)
    lost = [gate for gate in was if gate not in {old for old, _ in kept.values()}]
    lost += ["the ReLU (the candidate is a tanh)"] if layer.kind == "rnn_relu" else []
    opened = f"for spans of 2 to {lag} steps" if lag is not None else f"at {OPEN:g}"
    given = lag is not None or KEEPS[kind] not in kept
    words = [f"{layer.site}: {layer.kind} -> {kind}; kept {from_to}; fresh {fresh}"]
    if given and layer.module.bias:
        words.append(f"bias of {KEEPS[kind]} {opened}")
    if lost:
        words.append(f"lost: {', '.join(lost)}")
    return "; ".join(words)
