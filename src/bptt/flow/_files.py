"""Flows in files: JSON with a checksum, written whole or not at all."""

from dataclasses import fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bptt._errors import FlowFileError
from bptt._files import DamagedFileError, put_whole, seal, unseal
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
        if not all(isinstance(site.grad_h, Tensor) for site in sites):
            raise ValueError("grad_h is not a tensor")
        notes = [Note(**note) for note in data["notes"]]
        return Flow({site.name: site for site in sites}, notes, data["threshold"])
    except (KeyError, TypeError, ValueError, RuntimeError, AttributeError) as damage:
        raise FlowFileError(f"damaged flow: {damage}") from damage


def save(flow: Flow, path: Any) -> None:
    """Write aside, flush, rename: a reader sees the old file or the new one."""
    path = Path(path)
    if not path.parent.is_dir():
        raise FlowFileError(f"{path}: the folder {path.parent} does not exist; make it first")
    put_whole(path, seal(to_dict(flow), FORMAT, indent=None))


def load_flow(path: Any) -> Flow:
    """Read a flow that `Flow.save` wrote.

    Raises:
        FlowFileError: the file is missing, damaged, or of a format that this version does not read.
    """
    try:
        data = Path(path).read_bytes()
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
