"""What is kept of the update in which something stopped being finite, and running it again.

`nonfinite.pt` holds, for every recurrent module that ran in that update: how to build it, its weights, its input and
state, and the gradients that reached its outputs; and the batch's own tensors and the random numbers' state. The
script is not needed. The file is one of torch's that holds tensors and plain values only: reading it runs no code. Its
content lies in it as bytes, with their SHA-256.
"""

import hashlib
import io
import pickle
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from bptt._errors import BpttError
from bptt._files import DamagedFileError, newer, put_whole, regular, writer
from bptt.doctor._folder import KEPT
from bptt.doctor._incident import Place, in_gradients, in_states
from bptt.doctor._seen import Seen

CLASSES: dict[str, type[nn.Module]] = {
    each.__name__: each for each in (nn.RNN, nn.GRU, nn.LSTM, nn.RNNCell, nn.GRUCell, nn.LSTMCell)
}
SETTINGS = (
    "input_size", "hidden_size", "num_layers", "bias", "batch_first", "bidirectional", "proj_size", "nonlinearity",
)  # fmt: skip
FORMAT = 2
"""Of the files that are written; format 1 had no checksum, and is read."""
CONTENT = frozenset(("version", "update", "place", "random", "batch", "calls"))


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


def keep(path: Path, content: dict[str, Any]) -> None:
    """Write what `pack` gave, whole or not at all.

    Raises:
        OSError: the disk does not take it.
    """
    data = _saved(content)
    outside = {
        "format": FORMAT,
        "writer": writer(),
        "sha256": hashlib.sha256(data).hexdigest(),
        "content": torch.frombuffer(bytearray(data), dtype=torch.uint8),
    }
    put_whole(path, _saved(outside))


def _saved(content: dict[str, Any]) -> bytes:
    file = io.BytesIO()
    torch.save(content, file)
    return file.getvalue()


def read(path: Path) -> dict[str, Any]:
    """What `keep` wrote.

    Raises:
        OSError: it cannot be read.
        DamagedFileError: it is damaged, of a newer format, or would run code if it were read.
    """
    outside = _loaded(path)
    if not isinstance(outside, dict):
        raise DamagedFileError("it is damaged: expected a dictionary")
    if outside.keys() == CONTENT and outside["version"] == 1:
        return outside
    data = outside.get("content")
    if not isinstance(data, Tensor) or data.dtype != torch.uint8:
        raise DamagedFileError("it is damaged: it holds no content")
    data = data.numpy().tobytes()
    if outside.get("sha256") != hashlib.sha256(data).hexdigest():
        raise DamagedFileError("it is damaged: its content does not fit its checksum")
    if outside.get("format") != FORMAT:
        raise DamagedFileError(newer(outside.get("format"), FORMAT, outside.get("writer")))
    return _loaded(io.BytesIO(data))


def _loaded(file: Any) -> Any:
    """Tensors and plain values; whatever asks for more is refused before it is made."""
    try:
        with regular(file) if isinstance(file, Path) else file as opened:
            return torch.load(opened, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        raise DamagedFileError(
            "it is damaged, or it would run code: it asks for more than tensors and plain values"
        ) from None
    except OSError as error:
        if isinstance(file, Path) and not file.is_file():
            raise
        raise DamagedFileError(f"it is damaged: {error}") from None


def replay(folder: Path) -> tuple[dict[str, Any], Place | None]:
    """Run the kept update again: what was kept, and where it is not finite this time; None where it is.

    Args:
        folder: a run folder, or the file itself.

    Raises:
        ReplayError: there is nothing to run again, or it is damaged.
    """
    path = folder / KEPT if folder.is_dir() else folder
    try:
        kept = read(path)
        return kept, _again(kept)
    except FileNotFoundError:
        raise ReplayError(
            f"{path} is not there: a run keeps it when something stops being finite; "
            "give the folder of such a run"
        ) from None
    except DamagedFileError as damage:
        raise ReplayError(f"{path} cannot be run again: {damage}") from None
    except Exception as damage:
        raise ReplayError(f"{path} cannot be run again, it is damaged: {damage}") from None


def _again(kept: dict[str, Any]) -> Place | None:
    """Where it is not finite this time."""
    described = describe(kept["place"])
    if not isinstance(kept["update"], int):
        raise TypeError(f"its update is no number ({described})")
    calls = [_run(entry) for entry in kept["calls"]]
    if kept["place"]["where"] == "input":
        return Place(**kept["place"]) if _still_bad(kept["batch"]) else None
    names = {
        id(seen.module): str(entry["name"])
        for seen, entry in zip(calls, kept["calls"], strict=True)
    }
    named = lambda module: names[id(module)]  # noqa: E731
    return in_states(calls, named) or in_gradients(calls, named)


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
