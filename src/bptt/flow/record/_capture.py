"""From a module's call to a `Call`: what to copy, and which earlier call its state came from."""

import copy
from collections import deque
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrize
from torch.nn.utils.rnn import PackedSequence

from bptt._errors import UnmeasurableError
from bptt.cells import CELLS, Weights
from bptt.flow.record._call import Call
from bptt.flow.record._watch import only_views, path_between, same_values


def capture(
    module: nn.Module,
    kind: str,
    name: str,
    args: Any,
    kwargs: Any,
    output: Any,
    rng: Tensor | None,
    copies: dict[int, Any],
    computed: dict[int, Tensor],
) -> Call:
    """Write one call down.

    `copies` holds the weights' copies of this update, one for each module; `computed` what each parametrization has
    last made, by its id.
    """
    x = _vectors(args[0] if args else kwargs["input"], kwargs.get("embedding"))
    hx = _given_state(args, kwargs)
    _check_shapes(module, kind, hx, output)
    weights = _weights(module, copies, computed)
    if isinstance(module, nn.RNNBase):
        call = _sequence_call(module, kind, name, x, hx, output, weights)
        call.dropout, call.rng = (module.dropout, rng) if rng is not None else (0.0, None)
    else:
        call = _cell_call(module, kind, name, x, hx, output, weights)
    device = call.y.device.type
    if torch.is_autocast_enabled(device):
        call.autocast = torch.get_autocast_dtype(device)
    return call


def _vectors(x: Any, embedding: Tensor | None) -> Any:
    """The input as vectors: a layer of bptt.nn may have been given symbols' numbers, and looked them up itself."""
    if embedding is None:
        return x
    if isinstance(x, PackedSequence):
        return x._replace(data=F.embedding(x.data, embedding.detach()))
    return F.embedding(x, embedding.detach())


def _check_shapes(module: nn.Module, kind: str, hx: Any, output: Any) -> None:
    """A subclass may return or take something else than the layer it extends."""
    hidden = module.hidden_size
    sizes = [getattr(module, "proj_size", 0) or hidden, hidden][: CELLS[kind].parts]
    state = output
    if isinstance(module, nn.RNNBase):
        pair = (
            isinstance(output, tuple)
            and len(output) == 2
            and not isinstance(output, PackedSequence)
        )
        state = output[1] if pair else None
        y = output[0] if pair else None
        y = y.data if isinstance(y, PackedSequence) else y
        width = sizes[0] * (2 if module.bidirectional else 1)
        state = state if isinstance(y, Tensor) and y.shape[-1] == width else None
    for what, parts in (("returns", state), ("was given", hx)):
        parts = parts if isinstance(parts, tuple) else (parts,)
        if what == "was given" and hx is None:
            continue
        found = [
            p.shape[-1]
            for p in parts
            if isinstance(p, Tensor) and p.is_floating_point() and p.dim()
        ]
        if found != sizes or len(parts) != len(sizes):
            raise UnmeasurableError(
                f"{type(module).__name__} {what} something else than the torch.nn layer it extends; "
                "call that layer inside a module of your own instead of overriding its forward"
            )


def _given_state(args: Any, kwargs: Any) -> tuple[Tensor, ...] | None:
    hx = args[1] if len(args) > 1 else kwargs.get("hx")
    if hx is None or isinstance(hx, tuple):
        return hx
    return tuple(hx) if isinstance(hx, list) else (hx,)


def _weights(
    module: nn.Module, copies: dict[int, Any], computed: dict[int, Tensor]
) -> list[Weights]:
    """Copies of the tensors that the kernel used, made anew only when they have changed."""
    flat: list[Any]
    if isinstance(module, nn.RNNBase):
        # By name first: functional_call puts other tensors under the names, and not into the list.
        own, names = module._parameters, module._flat_weights_names
        flat = [own.get(n, w) for n, w in zip(names, module._flat_weights, strict=True)]
        flat = [w for w in flat if w is not None]
        each = len(flat) // (module.num_layers * (2 if module.bidirectional else 1))
        groups = [flat[n : n + each] for n in range(0, len(flat), each)]
        bias, projected = module.bias, module.proj_size > 0
    else:
        names = ["weight_ih", "weight_hh", "bias_ih", "bias_hh"][: 4 if module.bias else 2]
        flat = [_weight(module, name, computed) for name in names]
        groups, bias, projected = [flat], bool(module.bias), False
    known = copies.get(id(module))
    key = [(w.data_ptr(), w._version) for w in flat] if all(w.is_leaf for w in flat) else None
    if known is not None and (known[0] == key if key else _unchanged(groups, known[1])):
        return known[1]
    made = [_group(group, bias, projected) for group in groups]
    copies[id(module)] = (key, made)
    return made


def _weight(module: nn.Module, name: str, computed: dict[int, Tensor]) -> Tensor:
    """A cell's weight as the call had it. To ask a parametrization for it may change its buffers, or draw numbers."""
    if not parametrize.is_parametrized(module, name):
        return getattr(module, name)  # type: ignore[no-any-return]
    made_by = module.parametrizations[name]  # type: ignore[union-attr,index]
    made = computed.get(id(made_by))
    return copy.deepcopy(made_by).eval().forward() if made is None else made  # type: ignore[no-any-return]


def _unchanged(groups: list[list[Any]], copies: list[Weights]) -> bool:
    """Whether weights that are computed anew for every call came out as they were before."""
    pairs = zip(groups, copies, strict=True)
    return all(
        torch.equal(w, kept)
        for group, known in pairs
        for w, kept in zip(group, (part for part in known if part is not None), strict=True)
    )


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
        start = tuple(_batched(part.detach(), unbatched).clone() for part in hx)
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
    given = ends if hx is None else tuple(_rows(part).clone() for part in hx)
    start = tuple(torch.zeros_like(part) for part in ends) if hx is None else given
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


def link(call: Call, args: Any, kwargs: Any, tails: deque[Call]) -> None:
    """Find the earlier call of the same module whose final state this call starts from.

    `linked`: the very state, or a rearrangement of it; `cut`: its values without its graph (a detach);
    `altered`: other operations lie in between, or the parts of the state come from different places; `start`: a state
    from elsewhere, or none; `apart`: linked, but the sequences cannot be laid end to end.

    `tails` holds the module's last calls, oldest first.
    """
    hx = _given_state(args, kwargs)
    if hx is None:
        return
    latest_first = [*reversed(tails)]
    latest_first.sort(key=lambda each: not _is_end(hx[0], each, 0))
    for earlier in latest_first:
        found = [_relation(part, earlier, n) for n, part in enumerate(hx)]
        kinds = {kind for kind, _ in found}
        if kinds == {"start"}:
            continue
        call.previous = earlier
        if len(kinds) > 1:
            call.link, call.altered_by = "altered", _parts_differ(found)
        else:
            call.link, call.altered_by = found[0]
        if call.link == "linked":
            _join(earlier, call)
        return


def _parts_differ(found: list[tuple[str, str]]) -> str:
    words = {"cut": "a detach of {}", "start": "a new {}", "altered": "a change of {}"}
    each = [
        words[kind].format(part)
        for part, (kind, _) in zip("hc", found, strict=False)
        if kind in words
    ]
    return " and ".join(each)


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


def _is_end(state: Tensor, earlier: Call, part: int) -> bool:
    """Whether a tensor is, in the graph, the earlier call's own final state."""
    if part >= len(earlier.nodes) or state.grad_fn is None:
        return False
    node, nr = earlier.nodes[part]
    return state.grad_fn is node and state.output_nr == nr


def _relation(state: Tensor, earlier: Call, part: int) -> tuple[str, str]:
    """How a part of the given state relates to the earlier call's final one, and what lies in between."""
    if part >= len(earlier.end):
        return "start", ""
    if _is_end(state, earlier, part):
        return "linked", ""
    same = same_values(state, earlier.end[part])
    if not state.requires_grad:
        return ("cut", "") if same and bool(state.any()) else ("start", "")
    path = path_between(state, earlier.nodes[part][0]) if part < len(earlier.nodes) else None
    if path is None:
        return "start", ""
    if only_views(path):
        return ("linked", "") if same else ("altered", "a change of the batch")
    named = next((name for name in path if not only_views([name])), path[-1])
    return "altered", named.removesuffix("0").removesuffix("Backward")
