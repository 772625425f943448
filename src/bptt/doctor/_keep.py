"""What is kept of the update in which something stopped being finite, and running it again.

`nonfinite.pt` holds, for every recurrent module that ran in that update: how to build it, its weights, its input and
state, and the gradients that reached its outputs; and the batch's own tensors and the random numbers' state. It is
read without unpickling code, and the script is not needed.
"""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from bptt._errors import BpttError
from bptt.doctor._folder import KEPT
from bptt.doctor._incident import Place, in_gradients, in_states
from bptt.doctor._seen import Seen

CLASSES: dict[str, type[nn.Module]] = {
    each.__name__: each for each in (nn.RNN, nn.GRU, nn.LSTM, nn.RNNCell, nn.GRUCell, nn.LSTMCell)
}
SETTINGS = (
    "input_size", "hidden_size", "num_layers", "bias", "batch_first", "bidirectional", "proj_size", "nonlinearity",
)  # fmt: skip


class ReplayError(BpttError):
    """A kept update that is missing, damaged, or cannot be run again."""


def pack(
    calls: list[Seen], data: list[Tensor], place: Place, update: int, names: Any
) -> dict[str, Any]:
    """Everything as tensors, numbers, strings, lists and dictionaries."""
    return {
        "version": 1,
        "update": update,
        "place": dict(place._asdict()),
        "random": torch.get_rng_state(),
        "batch": [tensor.clone() for tensor in data[:16]],
        "calls": [_pack(seen, names(seen.module)) for seen in calls],
    }


def _pack(seen: Seen, name: str) -> dict[str, Any]:
    module = seen.module
    kind = next(cls for cls in CLASSES.values() if isinstance(module, cls))
    settings = {key: getattr(module, key) for key in SETTINGS if hasattr(module, key)}
    if isinstance(module, nn.RNNBase) and seen.kind.startswith("rnn_"):
        settings["nonlinearity"] = seen.kind.removeprefix("rnn_")
    settings["bias"] = bool(settings.get("bias", True))
    if not isinstance(module, nn.LSTM):
        settings.pop("proj_size", None)
    names = [n for n, _ in module.named_parameters(recurse=False)]
    return {
        "class": kind.__name__,
        "name": name,
        "settings": settings,
        "weights": {n: getattr(module, n).detach().clone() for n in names},
        "x": _plain(seen.args[0] if seen.args else seen.kwargs["input"]),
        "hx": _plain(seen.args[1] if len(seen.args) > 1 else seen.kwargs.get("hx")),
        "grads": {key: grad.detach().clone() for key, grad in seen.grads.items()},
    }


def _plain(value: Any) -> Any:
    if isinstance(value, PackedSequence):
        return {"data": value.data, "sizes": value.batch_sizes, "order": value.sorted_indices,
                "back": value.unsorted_indices}  # fmt: skip
    if isinstance(value, (tuple, list)):
        return [_plain(each) for each in value]
    return value


def replay(folder: Path) -> tuple[dict[str, Any], Place | None]:
    """Run the kept update again: what was kept, and where it is not finite this time; None where it is.

    Args:
        folder: a run folder, or the file itself.

    Raises:
        ReplayError: there is nothing to run again, or it is damaged.
    """
    path = folder / KEPT if folder.is_dir() else folder
    try:
        kept = torch.load(path, weights_only=True)
        calls = [_run(entry) for entry in kept["calls"]]
    except FileNotFoundError:
        raise ReplayError(
            f"{path} is not there: a run keeps it when something stops being finite; "
            "give the folder of such a run"
        ) from None
    except Exception as damage:
        raise ReplayError(f"{path} cannot be run again, it is damaged: {damage}") from None
    if kept["place"]["where"] == "input":
        return kept, Place(**kept["place"]) if _still_bad(kept["batch"]) else None
    names = {
        id(seen.module): entry["name"] for seen, entry in zip(calls, kept["calls"], strict=True)
    }
    named = lambda module: names[id(module)]  # noqa: E731
    return kept, in_states(calls, named) or in_gradients(calls, named)


def _still_bad(batch: list[Tensor]) -> bool:
    return any(not bool(tensor.isfinite().all()) for tensor in batch)


def _run(entry: dict[str, Any]) -> Seen:
    settings = {key: value for key, value in entry["settings"].items() if value is not None}
    module = CLASSES[entry["class"]](**settings)
    module.load_state_dict(entry["weights"])
    x, hx = _given(entry["x"]), _given(entry["hx"])
    args = (x,) if hx is None else (x, tuple(hx) if isinstance(hx, list) else hx)
    with torch.no_grad():
        output = module(*args)
    first = args[0]
    kind = {"RNN": "rnn_", "GRU": "gru", "LSTM": "lstm"}[entry["class"].removesuffix("Cell")]
    kind += str(settings.get("nonlinearity", "tanh")) if kind == "rnn_" else ""
    return Seen(module, kind, (first, *args[1:]), {}, output, grads=dict(entry["grads"]))


def _given(value: Any) -> Any:
    if isinstance(value, dict):
        return PackedSequence(value["data"], value["sizes"], value["order"], value["back"])
    return value


def describe(place: dict[str, Any]) -> str:
    """A place in words.

    Example:
        >>> describe(
        ...     {"where": "forward", "site": "rnn.l0", "what": "inf", "step": 41, "gate": "c", "unit": 3, "sample": 0}
        ... )
        'first state that is inf: rnn.l0, step 41, gate c, unit 3, sample 0'
    """
    noun = {"forward": "state", "backward": "gradient", "input": "input"}[place["where"]]
    parts = [
        f"{key} {place[key]}"
        for key in ("step", "gate", "unit", "sample")
        if place.get(key) is not None
    ]
    return f"first {noun} that is {place['what']}: {', '.join([place['site'], *parts])}"
