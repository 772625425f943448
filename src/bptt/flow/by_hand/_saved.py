"""What nodes of the graph keep for their backward.

A script may have it packed (`torch.utils.checkpoint`, `save_on_cpu`): to read it is then to call the script's own
function, which may run a whole segment again. What is packed is left alone.
"""

from collections.abc import Iterator
from functools import cache
from typing import Any


def saved(node: Any, name: str) -> Any:
    """What a node keeps under a name such as `_saved_result`; None where it keeps nothing there that may be read.

    >>> import torch
    >>> y = torch.ones(2, requires_grad=True).tanh()
    >>> saved(y.grad_fn, "_saved_result").tolist() == y.tolist(), saved(y.grad_fn, "_saved_other")
    (True, None)
    """
    try:
        return None if _is_packed(node, f"_raw{name}") else getattr(node, name, None)
    except RuntimeError:  # let go of already
        return None


def all_saved(node: Any) -> Iterator[tuple[str, Any]]:
    """Everything that may be read, by name."""
    for name in _names(type(node), "_saved_"):
        if (value := saved(node, name)) is not None:
            yield name, value


def is_packed(node: Any) -> bool:
    """Whether to run a node is to call a function of the script's that unpacks what it keeps."""
    try:
        return any(_is_packed(node, name) for name in _names(type(node), "_raw_saved_"))
    except RuntimeError:
        return False


def _is_packed(node: Any, raw: str) -> bool:
    held = getattr(node, raw, None)
    each = held if isinstance(held, tuple) else (held,)
    return any(getattr(one, "unpack_hook", None) is not None for one in each)


@cache
def _names(kind: type, beginning: str) -> tuple[str, ...]:
    return tuple(name for name in dir(kind) if name.startswith(beginning))
