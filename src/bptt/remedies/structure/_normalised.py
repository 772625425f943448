"""RNN, GRU and LSTM with layer normalisation: one readable loop over the steps."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from bptt._errors import BpttError

GATES = {"RNN_TANH": 1, "RNN_RELU": 1, "GRU": 3, "LSTM": 4}


class LayerNormed(nn.RNNBase):
    """A recurrent layer whose gate inputs are normalised over the units, at every step and for every sample.

    With `LN(a; g) = g ⊙ (a - mean(a)) / √(var(a) + ε)` over all G·H gate inputs, `u = LN(W x_t; g_ih) + b_ih` and
    `v = LN(W' h_{t-1}; g_hh) + b_hh`:

        RNN    h_t = tanh(u + v)      or ReLU
        GRU    r, z = σ(u_r + v_r), σ(u_z + v_z);   n = tanh(u_n + r v_n);   h_t = (1 - z) n + z h_{t-1}
        LSTM   i, f, o = σ(u + v), g = tanh(u_g + v_g);   c_t = f c_{t-1} + i g;   h_t = o tanh(LN(c_t; g_c) + s_c)

    Parameters, shapes and calls are torch.nn's, and besides `gain_ih_l0`, `gain_hh_l0` `[G·H]` and for an LSTM
    `gain_c_l0`, `shift_c_l0` `[H]`. A state dict of torch's layer loads; gains that it does not have stay as they are.
    The loop is Python: some five to twenty times slower than torch's fused layers.

    Example:
        >>> rnn = LayerNormed("GRU", 2, 3, bidirectional=True)
        >>> y, h = rnn(torch.ones(5, 4, 2))
        >>> y.shape, h.shape, rnn.gain_hh_l0.shape
        (torch.Size([5, 4, 6]), torch.Size([2, 4, 3]), torch.Size([9]))

    Source: Ba, Kiros & Hinton (2016), "Layer normalization", arXiv 1607.06450, supplement.
    """

    eps: float = 1e-5

    def __init__(self, mode: str, *args: Any, **kwargs: Any) -> None:
        if mode not in GATES or kwargs.get("proj_size"):
            raise BpttError(
                f"mode is {mode!r}, expected one of {', '.join(GATES)}, without proj_size"
            )
        super().__init__(mode, *args, **kwargs)
        like = self.get_parameter("weight_hh_l0")
        for name, value in extras(self).items():
            self.register_parameter(name, nn.Parameter(value.to(like)))

    def forward(self, input: Tensor | PackedSequence, hx: Any = None) -> tuple[Any, Any]:
        """torch.nn's call: `[T, B, I]`, batch first, unbatched or packed; `h` or `(h, c)` in and out."""
        if not isinstance(input, PackedSequence):
            single = input.dim() == 2
            x = input.unsqueeze(1) if single else input
            x = x.transpose(0, 1) if self.batch_first and not single else x
            state = self._start(x, hx, single)
            y, ends = self._layers(x, state, None)
            y = y.transpose(0, 1) if self.batch_first and not single else y
            if single:
                y, ends = y.squeeze(1), [end.squeeze(1) for end in ends]
            return y, tuple(ends) if len(ends) == 2 else ends[0]
        x, lengths = pad_packed_sequence(PackedSequence(input.data, input.batch_sizes))
        state = self._start(x, hx, single=False)
        if input.sorted_indices is not None:
            state = [part.index_select(1, input.sorted_indices) for part in state]
        inside = (torch.arange(len(x)).unsqueeze(1) < lengths).unsqueeze(-1).to(x.device)
        y, ends = self._layers(x, state, inside)
        packed = pack_padded_sequence(y, lengths)
        order = input.unsorted_indices
        if order is not None:
            ends = [end.index_select(1, order) for end in ends]
        output = PackedSequence(packed.data, input.batch_sizes, input.sorted_indices, order)
        return output, tuple(ends) if len(ends) == 2 else ends[0]

    def _start(self, x: Tensor, hx: Any, single: bool) -> list[Tensor]:
        """The states before the first step, `[L·D, B, H]` each."""
        parts = 2 if self.mode == "LSTM" else 1
        shape = (self.num_layers * (1 + self.bidirectional), x.shape[1], self.hidden_size)
        self.check_input(x, None)
        if hx is None:
            return [x.new_zeros(shape) for _ in range(parts)]
        given = list(hx) if isinstance(hx, tuple | list) else [hx]
        if len(given) != parts:
            raise BpttError(f"{len(given)} states were given; a {self.mode} takes {parts}")
        given = [part.unsqueeze(1) if single else part for part in given]
        for part in given:
            self.check_hidden_size(part, shape)
        return given

    def _layers(
        self, x: Tensor, state: list[Tensor], inside: Tensor | None
    ) -> tuple[Tensor, list[Tensor]]:
        ends = []
        for layer in range(self.num_layers):
            if layer and self.dropout and self.training:
                x = F.dropout(x, self.dropout)
            outputs = []
            for direction in ("", "_reverse")[: 1 + self.bidirectional]:
                start = tuple(part[len(ends)] for part in state)
                y, end = self._run(x, start, f"l{layer}{direction}", inside)
                outputs.append(y)
                ends.append(end)
            x = torch.cat(outputs, -1)
        return x, [torch.stack(part) for part in zip(*ends, strict=True)]

    def _run(
        self, x: Tensor, state: tuple[Tensor, ...], site: str, inside: Tensor | None
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """One layer and direction. Past a sample's end (`inside` `[T, B, 1]` is False) its state stays."""
        weights = {
            name.removesuffix(f"_{site}"): p
            for name, p in self.named_parameters()
            if name.endswith(f"_{site}")
        }
        # What does not depend on the state is done for all steps at once.
        u = self._norm(
            F.linear(x, weights["weight_ih"]), weights["gain_ih"], weights.get("bias_ih")
        )
        outputs: list[Tensor] = [x] * len(x)
        order = range(len(x))
        for t in reversed(order) if site.endswith("reverse") else order:
            after = self._step(u[t], state, weights)
            if inside is not None:
                pairs = zip(after, state, strict=True)
                after = tuple(torch.where(inside[t], new, old) for new, old in pairs)
            state = after
            outputs[t] = state[0]
        return torch.stack(outputs), state

    def _step(
        self, u: Tensor, state: tuple[Tensor, ...], w: dict[str, nn.Parameter]
    ) -> tuple[Tensor, ...]:
        v = self._norm(F.linear(state[0], w["weight_hh"]), w["gain_hh"], w.get("bias_hh"))
        if self.mode == "GRU":
            (u_r, u_z, u_n), (v_r, v_z, v_n) = u.chunk(3, -1), v.chunk(3, -1)
            z, n = torch.sigmoid(u_z + v_z), torch.tanh(u_n + torch.sigmoid(u_r + v_r) * v_n)
            return ((1 - z) * n + z * state[0],)
        if self.mode == "LSTM":
            i, f, g, o = (u + v).chunk(4, -1)
            c = torch.sigmoid(f) * state[1] + torch.sigmoid(i) * torch.tanh(g)
            inner = self._norm(c, w["gain_c"], w["shift_c"])
            return torch.sigmoid(o) * torch.tanh(inner), c
        return (torch.relu(u + v) if self.mode == "RNN_RELU" else torch.tanh(u + v),)

    def _norm(self, a: Tensor, gain: Tensor, shift: Tensor | None) -> Tensor:
        return F.layer_norm(a, a.shape[-1:], gain, shift, self.eps)

    def _load_from_state_dict(  # type: ignore[override]
        self, state_dict: Any, prefix: str, *args: Any
    ) -> None:
        for name in extras(self):
            state_dict.setdefault(prefix + name, self.get_parameter(name))
        super()._load_from_state_dict(state_dict, prefix, *args)


def extras(rnn: nn.RNNBase, gain: float = 1.0) -> dict[str, Tensor]:
    """What layer normalisation adds to a layer's parameters: gains, and an LSTM's shift of `c`."""
    found = {}
    for layer in range(rnn.num_layers):
        for direction in ("", "_reverse")[: 1 + rnn.bidirectional]:
            site, H = f"l{layer}{direction}", rnn.hidden_size
            for name in ("gain_ih", "gain_hh"):
                found[f"{name}_{site}"] = torch.full((GATES[rnn.mode] * H,), gain)
            if rnn.mode == "LSTM":
                found[f"gain_c_{site}"] = torch.ones(H)
                found[f"shift_c_{site}"] = torch.zeros(H)
    return found
