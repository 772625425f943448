"""Flows in files: JSON with a checksum, written whole or not at all."""

from dataclasses import fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bptt._errors import FlowFileError
from bptt._files import DamagedFileError, put_out, read_regular, seal, unseal
from bptt.flow._flow import Flow, Note, Site

VERSION = 1
"""Of what `to_dict` gives; and the format of the files that hold it:"""
FORMAT = 2
"""Files of format 1 had no checksum; they are read."""
KEPT = [each.name for each in fields(Site) if each.name != "statistics"]


def to_dict(flow: Flow) -> dict[str, Any]:
    """Everything, in numbers, lists and strings. A non-finite number is `{"float": "nan"}` and the like."""
    return {
        "version": VERSION,
        "threshold": flow.threshold,
        "sites": [{name: _plain(getattr(site, name)) for name in KEPT} for site in flow],
        "notes": [{"subject": note.subject, "reason": note.reason} for note in flow.notes],
    }


def from_dict(data: Any) -> Flow:
    """The flow that `to_dict` wrote."""
    if not isinstance(data, dict) or "version" not in data:
        raise FlowFileError("this is not a flow: expected an object with a version")
    if data["version"] != VERSION:
        raise FlowFileError(
            f"flow of format {data['version']}: this bptt reads format {VERSION}; install the bptt that wrote it"
        )
    try:
        sites = [
            Site(**{name: _restored(value) for name, value in site.items()})
            for site in data["sites"]
        ]
        for site in sites:
            _check(site)
        notes = [Note(**note) for note in data["notes"]]
        if not all(isinstance(each, str) for note in notes for each in (note.subject, note.reason)):
            raise ValueError("a note is no text")
        return Flow({site.name: site for site in sites}, notes, _share(data["threshold"]))
    except (KeyError, TypeError, ValueError, RuntimeError, AttributeError, OverflowError) as damage:
        raise FlowFileError(f"damaged flow: {damage}") from damage


AXES = {
    "lengths": 1, "grad_h": 2, "grad_c": 2, "grad_state": 2, "grad_direct": 2, "log_credit": 1, "dh": 3, "dc": 3,
    "log_factors": 2, "w_hh": 2,
}  # fmt: skip
"""Axes of a site's tensors."""
ALWAYS = ("lengths", "grad_h", "grad_state")
"""Those that are never None."""
PLAIN = {
    "name": str,
    "kind": str,
    "unreached": (float, int, type(None)),
    "reverse": bool,
    "cuts": int,
}
"""Types of a site's other fields."""


def _check(site: Site) -> None:
    """That a site's fields are of their types and shapes."""
    for name, kinds in PLAIN.items():
        if not isinstance(getattr(site, name), kinds):
            raise ValueError(f"{name} is of type {type(getattr(site, name)).__name__}")
    _share(site.threshold)
    for name, axes in AXES.items():
        tensor = getattr(site, name)
        if tensor is None and name not in ALWAYS:
            continue
        if not isinstance(tensor, Tensor) or tensor.dim() != axes:
            raise ValueError(f"{name} is no tensor of {axes} axes")
        if not tensor.numel() and (name != "log_factors" or site.steps > 1):
            raise ValueError(
                f"{name} is empty"
            )  # factors lie between steps: of one step there are none
        if name.startswith("grad_") and tensor.shape != site.grad_h.shape:
            raise ValueError(f"{name} is of another shape than grad_h")


def _share(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, float | int) or not 0 < value <= 1:
        raise ValueError(f"threshold is {value!r}")
    return float(value)


def save(flow: Flow, path: Any) -> None:
    """Write aside, flush, rename: a reader sees the old file or the new one."""
    path = Path(path)
    if not path.parent.is_dir():
        raise FlowFileError(f"{path}: the folder {path.parent} does not exist; make it first")
    put_out(path, seal(to_dict(flow), FORMAT, indent=None), mode=0o600)


def load_flow(path: Any) -> Flow:
    """Read a flow that `Flow.save` wrote.

    Raises:
        FlowFileError: the file is missing, damaged, or of a format that this version does not read.
    """
    try:
        data = read_regular(Path(path))
    except OSError as error:
        raise FlowFileError(f"{path}: cannot be read ({error.strerror})") from error
    try:
        content = unseal(data, FORMAT, before=("version", "threshold", "sites", "notes"))
        return from_dict(content)
    except DamagedFileError as error:
        raise FlowFileError(f"{path} cannot be used: {error}") from None
    except FlowFileError as error:
        raise FlowFileError(f"{path} cannot be used: {error}") from error


def _plain(value: Any) -> Any:
    if isinstance(value, Tensor):
        numbers = value.detach().cpu()
        name = str(numbers.dtype).removeprefix("torch.")
        flat = [_number(each) for each in numbers.flatten().tolist()]
        return {"dtype": name, "shape": list(numbers.shape), "values": flat}
    return _number(value)


def _number(value: Any) -> Any:
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return {"float": str(value)}
    return value


def _restored(value: Any) -> Any:
    if isinstance(value, dict) and "values" in value:
        dtype = getattr(torch, value["dtype"])
        numbers = [_restored(each) for each in value["values"]]
        return torch.tensor(numbers, dtype=dtype).reshape(value["shape"])
    if isinstance(value, dict):
        return float(value["float"])
    return value
