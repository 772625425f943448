"""From a module's call to a `Call`: what to copy, and which earlier call its state came from."""

import weakref
from itertools import islice
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from bptt.cells import Weights
from bptt.flow._call import Call
from bptt.flow._watch import only_views, path_between, same_values


def capture(
    module: nn.Module,
    kind: str,
    name: str,
    args: Any,
    kwargs: Any,
    output: Any,
    rng: Tensor | None,
    copies: dict[int, Any],
) -> Call:
    """Write one call down. `copies` holds the weights' copies of this update, one for each module."""
    x = args[0] if args else kwargs["input"]
    hx = _given_state(args, kwargs)
    weights = _weights(module, copies)
    if isinstance(module, nn.RNNBase):
        call = _sequence_call(module, kind, name, x, hx, output, weights)
        call.dropout, call.rng = (module.dropout, rng) if rng is not None else (0.0, None)
    else:
        call = _cell_call(module, kind, name, x, hx, output, weights)
    device = call.y.device.type
    if torch.is_autocast_enabled(device):
        call.autocast = torch.get_autocast_dtype(device)
    return call


def _given_state(args: Any, kwargs: Any) -> tuple[Tensor, ...] | None:
    hx = args[1] if len(args) > 1 else kwargs.get("hx")
    if hx is None or isinstance(hx, tuple):
        return hx
    return tuple(hx) if isinstance(hx, list) else (hx,)


def _weights(module: nn.Module, copies: dict[int, Any]) -> list[Weights]:
    """Copies of the tensors that the kernel used, made anew only when they have changed."""
    flat: list[Any]
    if isinstance(module, nn.RNNBase):
        flat = [w for w in module._flat_weights if w is not None]
        each = len(flat) // (module.num_layers * (2 if module.bidirectional else 1))
        groups = [flat[n : n + each] for n in range(0, len(flat), each)]
        bias, projected = module.bias, module.proj_size > 0
    else:
        flat = [module.weight_ih, module.weight_hh]
        flat += [module.bias_ih, module.bias_hh] if module.bias is not False else []
        groups, bias, projected = [flat], bool(module.bias), False
    key = [(w.data_ptr(), w._version) for w in flat]
    known = copies.get(id(module))
    if known is not None and known[0] == key:
        return known[1]
    made = [_group(group, bias, projected) for group in groups]
    copies[id(module)] = (key, made)
    return made


def _group(tensors: list[Tensor], bias: bool, projected: bool) -> Weights:
    w = [tensor.detach().clone() for tensor in tensors]
    b_ih, b_hh = (w[2], w[3]) if bias else (None, None)
    return Weights(w[0], w[1], b_ih, b_hh, w[-1] if projected else None)


def _sequence_call(
    module: nn.RNNBase, kind: str, name: str, x: Any, hx: Any, output: Any, weights: list[Weights]
) -> Call:
    """nn.RNN, nn.GRU, nn.LSTM: time first, batched."""
    y, end = output
    end = end if isinstance(end, tuple) else (end,)
    packed = isinstance(x, PackedSequence)
    unbatched = not packed and x.dim() == 2
    time_first = x.data if packed else _time_first(x, module.batch_first, unbatched)
    ends = tuple(_batched(part.detach(), unbatched).clone() for part in end)
    if hx is None:
        start = tuple(torch.zeros_like(part) for part in ends)
    else:
        start = tuple(_batched(part.detach(), unbatched) for part in hx)
    y = y.data if packed else _time_first(y, module.batch_first, unbatched)
    return Call(
        module=module,
        name=name,
        kind=kind,
        layers=module.num_layers,
        directions=2 if module.bidirectional else 1,
        weights=weights,
        x=time_first.detach(),
        x_version=time_first._version,
        start=start,
        y=y.detach().clone(),
        end=ends,
        batch_sizes=x.batch_sizes if packed else None,
        sorted_indices=x.sorted_indices if packed else None,
        unsorted_indices=x.unsorted_indices if packed else None,
    )


def _cell_call(
    module: nn.Module, kind: str, name: str, x: Tensor, hx: Any, output: Any, weights: list[Weights]
) -> Call:
    """nn.RNNCell, nn.GRUCell, nn.LSTMCell: one step, shaped as a sequence of one."""
    end = output if isinstance(output, tuple) else (output,)
    ends = tuple(_rows(part).clone() for part in end)
    start = tuple(torch.zeros_like(part) for part in ends) if hx is None else tuple(map(_rows, hx))
    return Call(
        module=module,
        name=name or type(module).__name__,
        kind=kind,
        layers=1,
        directions=1,
        weights=weights,
        x=_rows(x),
        x_version=x._version,
        start=start,
        y=ends[0],
        end=ends,
        is_cell=True,
    )


def _rows(tensor: Tensor) -> Tensor:
    """`[B, N]` or `[N]` as `[1, B, N]`."""
    return tensor.detach().reshape(1, -1, tensor.shape[-1])


def _batched(state: Tensor, unbatched: bool) -> Tensor:
    return state.unsqueeze(1) if unbatched else state


def _time_first(tensor: Tensor, batch_first: bool, unbatched: bool) -> Tensor:
    if unbatched:
        return tensor.unsqueeze(1)
    return tensor.transpose(0, 1) if batch_first else tensor


def link(
    call: Call, args: Any, kwargs: Any, tails: dict[int, tuple[weakref.ref[Tensor], Call]]
) -> None:
    """Find the earlier call of the same module whose final state this call starts from.

    `linked`: the very state, or a rearrangement of it; `cut`: its values without its graph (a detach);
    `altered`: other operations lie in between; `start`: a state from elsewhere, or none.
    """
    hx = _given_state(args, kwargs)
    if hx is None:
        return
    h = hx[0]
    known = [tails[id(h)]] if id(h) in tails else []
    for weak, earlier in [*known, *islice(reversed(tails.values()), 4)]:
        if earlier.module is not call.module:
            continue
        call.link = _relation(h, weak(), earlier, call)
        if call.link != "start":
            call.previous = earlier
        if call.link == "linked":
            _join(earlier, call)
        if call.link in ("linked", "apart", "cut"):
            return


def _join(earlier: Call, call: Call) -> None:
    """Chain two calls where their sequences can be laid end to end; else treat them apart."""
    apart = (
        earlier.next is not None
        or earlier.batch_sizes is not None
        or call.batch_sizes is not None
        or call.directions > 1
        or earlier.batch != call.batch
        or earlier.weights is not call.weights
    )
    if apart:
        call.link = "apart"
    else:
        earlier.next = call


def _relation(h: Tensor, tail: Tensor | None, earlier: Call, call: Call) -> str:
    if tail is h:
        return "linked"
    same = same_values(h, earlier.end[0])
    if not h.requires_grad:
        return "cut" if same and bool(h.any()) else "start"
    path = None if tail is None else path_between(h, tail)
    if path is None:
        return "start"
    if same and only_views(path):
        return "linked"
    call.altered_by = next((name for name in path if not only_views([name])), path[-1])
    return "altered"
